#include <fmt/format.h>

#include "api/core_v1.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/verbs.h"

namespace knarr::cli {
namespace {

class ClusterInfo : public Command {
 public:
  void AddFlags(FlagSet&) override {}

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    if (!args.empty()) return UsageError(fmt::format("unknown command \"{}\"", args[0]));
    client::ListOptions options{.label_selector = "kubernetes.io/cluster-service=true"};
    client::ObjectList services = TRY(session.client().List(api::core_v1::ServiceInfo(), "kube-system", options));
    const std::string server = session.connection().server();
    TRY(session.Print(fmt::format("Kubernetes control plane is running at {}\n", server)));
    for (const api::ObjectPtr& service : services.items) {
      const doc::Value& ports = service->tree().Get("spec", "ports");
      std::string_view name = service->tree().Get("metadata", "labels").At("kubernetes.io/name").AsString();
      if (name.empty()) name = service->name();
      const std::string port = ports.empty() ? "" : std::string(ports[0].At("name").AsString());
      TRY(session.Print(fmt::format("{} is running at {}/api/v1/namespaces/{}/services/{}{}/proxy\n", name, server,
                                    service->ns(), service->name(), port.empty() ? "" : ":" + port)));
    }
    TRY(session.Print("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.\n"));
    return 0;
  }
};

}  // namespace

std::unique_ptr<Command> MakeClusterInfo() { return std::make_unique<ClusterInfo>(); }

}  // namespace knarr::cli
