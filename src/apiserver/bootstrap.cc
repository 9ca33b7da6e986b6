#include "apiserver/bootstrap.h"

#include <fmt/format.h>

#include "apiserver/local_client.h"
#include "base/ip.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

Ok Ensure(client::Client& client, std::string_view api_version, std::string_view kind, std::string_view ns,
          const std::string& json) {
  const doc::Document object = TRY(doc::ParseJson(json));
  const api::KindInfo* info = api::FindKind(api_version, kind);
  CHECK(info != nullptr);
  const auto made = client.Create(*info, ns, object.root);
  if (made.ok() || made.Failed(Reason::kAlreadyExists)) return {};
  return made.status().WithContext(fmt::format("creating {} in a new cluster", kind));
}

}  // namespace

Ok MakeBootstrapObjects(Core& core) {
  const auto client = MakeLocalClient(core.operations(), core.local(),
                                      {"system:apiserver", "", {"system:masters", "system:authenticated"}});
  for (const std::string_view name : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
    TRY(Ensure(*client, "v1", "Namespace", "", fmt::format(R"({{"metadata":{{"name":"{}"}}}})", name)));
    // The controller would make it a moment later; so no pod has to wait for it.
    TRY(Ensure(*client, "v1", "ServiceAccount", name, R"({"metadata":{"name":"default"}})"));
  }
  const Cidr services = TRY(Cidr::Parse(core.options().service_cidr));
  const std::string address = (services.Network() + 1).ToString();
  return Ensure(*client, "v1", "Service", "default",
                fmt::format(R"({{"metadata":{{"name":"kubernetes","labels":{{"component":"apiserver",)"
                            R"("provider":"kubernetes"}}}},"spec":{{"clusterIP":"{}","ports":[{{"name":"https",)"
                            R"("port":443,"protocol":"TCP","targetPort":{}}}],"type":"ClusterIP"}}}})",
                            address, core.options().listen.port == 0 ? 6443 : core.options().listen.port));
}

}  // namespace knarr::apiserver
