#include <fmt/format.h>

#include "cli/kubectl/errors.h"
#include "cli/kubectl/session.h"
#include "client/http_client.h"
#include "client/http_pods.h"
#include "client/kubeconfig.h"

namespace knarr::cli {
namespace {

class HttpConnection : public Connection {
 public:
  HttpConnection(rt::Runtime& runtime, std::unique_ptr<client::HttpClient> client, std::string ns)
      : client_(std::move(client)), pods_(client::MakeHttpPods(runtime, *client_)), ns_(std::move(ns)) {}
  client::Client& client() override { return *client_; }
  client::NodeAccess& pods() override { return *pods_; }
  Result<std::string> GetRaw(std::string_view path) override { return client_->GetRaw(path); }
  std::string server() const override { return client_->server(); }
  std::string ns() const override { return ns_; }

 private:
  std::unique_ptr<client::HttpClient> client_;
  std::unique_ptr<client::NodeAccess> pods_;
  const std::string ns_;
};

}  // namespace

Result<std::unique_ptr<Connection>> ConnectByKubeconfig(const Invocation& invocation, const GlobalFlags& flags) {
  client::KubeconfigSource source{.path = flags.kubeconfig,
                                  .environment = invocation.env("KUBECONFIG").value_or(""),
                                  .home = invocation.env("HOME").value_or(""),
                                  .context = flags.context,
                                  .cluster = flags.cluster,
                                  .user = flags.user,
                                  .server = flags.server,
                                  .token = flags.token,
                                  .certificate_authority = flags.certificate_authority,
                                  .client_certificate = flags.client_certificate,
                                  .client_key = flags.client_key,
                                  .impersonate_user = flags.as,
                                  .ns = flags.ns,
                                  .insecure = flags.insecure};
  for (std::string_view name : {"PATH", "HOME"}) {
    if (auto value = invocation.env(name)) source.exec_environ.push_back(fmt::format("{}={}", name, *value));
  }
  Result<client::RestConfig> loaded = client::LoadKubeconfig(invocation.runtime, source);
  if (!loaded.ok()) {
    // A context named on the command line that is not there has words of its own.
    const bool context = loaded.status().message() == fmt::format("context \"{}\" does not exist", flags.context);
    if (!context) return loaded.status();
    return PlainError("Error in configuration: context was not found for specified context: " + flags.context);
  }
  client::RestConfig config = std::move(*loaded);
  config.user_agent = "kubectl/v1.36.0 (linux/amd64) knarr/" KNARR_VERSION;
  Console& console = invocation.console;
  config.on_warning = [&console](std::string_view text) {
    // A warning that can't be shown must not fail the command.
    (void)console.Err(fmt::format("Warning: {}\n", text));
  };
  const std::string ns = config.ns;
  auto client = TRY(client::HttpClient::Create(invocation.runtime, config));
  return std::unique_ptr<Connection>(new HttpConnection(invocation.runtime, std::move(client), ns));
}

}  // namespace knarr::cli
