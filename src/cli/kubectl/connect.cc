#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "base/strings.h"
#include "base/time.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/session.h"
#include "client/http_client.h"
#include "client/http_pods.h"
#include "client/kubeconfig.h"

namespace knarr::cli {
namespace {

constexpr int64_t kTellFiles = 6;

class HttpConnection : public Connection {
 public:
  HttpConnection(rt::Runtime& runtime, std::unique_ptr<client::HttpClient> client, std::string ns)
      : client_(std::move(client)), pods_(client::MakeHttpPods(runtime, *client_)), ns_(std::move(ns)) {}
  client::Client& client() override { return *client_; }
  client::PodAccess& pods() override { return *pods_; }
  Result<std::string> GetRaw(std::string_view path) override { return client_->GetRaw(path); }
  std::string server() const override { return client_->server(); }
  std::string ns() const override { return ns_; }

 private:
  std::unique_ptr<client::HttpClient> client_;
  std::unique_ptr<client::PodAccess> pods_;
  const std::string ns_;
};

Result<Duration> ParseRequestTimeout(const std::string& text) {
  if (const Result<int64_t> seconds = ParseInt64(text); seconds.ok() && *seconds >= 0) {
    constexpr int64_t kMost = std::chrono::duration_cast<std::chrono::seconds>(Duration::max()).count();
    return Duration(std::chrono::seconds(std::min(*seconds, kMost)));
  }
  if (const Result<Duration> duration = ParseDuration(text); duration.ok()) return duration;
  return BadRequest(
      "Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a corresponding "
      "time unit (e.g. 1s | 2m | 3h)");
}

/// A line of klog's: "I1121 10:00:00.123456   12345 place] message".
std::string LogLine(WallTime now, std::string_view place, std::string_view message) {
  const auto since = now.time_since_epoch();
  const time_t seconds = std::chrono::floor<std::chrono::seconds>(since).count();
  const int64_t micros = std::chrono::duration_cast<std::chrono::microseconds>(since).count() - seconds * 1'000'000;
  tm local{};
  localtime_r(&seconds, &local);
  return fmt::format("I{:02}{:02} {:02}:{:02}:{:02}.{:06} {:7} {}] {}\n", local.tm_mon + 1, local.tm_mday,
                     local.tm_hour, local.tm_min, local.tm_sec, micros, getpid(), place, message);
}

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
  Console& console = invocation.console;
  rt::Runtime& runtime = invocation.runtime;
  auto tell = [&console, &runtime](std::string_view place, std::string_view message) {
    // What is told beside the work must not fail it.
    (void)console.Err(LogLine(runtime.Wall(), place, message));
  };
  const Duration request_timeout = TRY(ParseRequestTimeout(flags.request_timeout));
  if (flags.verbosity >= kTellFiles) {
    source.on_file = [tell](const std::string& path) {
      tell("connect.cc:" + std::to_string(__LINE__), "Config loaded from file:  " + path);
    };
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
  config.request_timeout = request_timeout;
  config.trace_level = flags.verbosity;
  config.on_trace = tell;
  config.on_warning = [&console](std::string_view text) {
    // A warning that can't be shown must not fail the command.
    (void)console.Err(fmt::format("Warning: {}\n", text));
  };
  const std::string ns = config.ns;
  auto client = TRY(client::HttpClient::Create(invocation.runtime, config));
  return std::unique_ptr<Connection>(new HttpConnection(invocation.runtime, std::move(client), ns));
}

}  // namespace knarr::cli
