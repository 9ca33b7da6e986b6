#include "apiserver/bootstrap.h"

#include <fmt/format.h>

#include <functional>
#include <vector>

#include "apiserver/authorization/bootstrap_policy.h"
#include "apiserver/bootstrap_extensions.h"
#include "apiserver/local_client.h"
#include "apiserver/service_networks.h"
#include "base/log.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

constexpr int kTries = 20;

struct PriorityClass {
  std::string_view name;
  int32_t value;
  std::string_view description;
};
constexpr PriorityClass kPriorityClasses[] = {
    {"system-node-critical", 2000001000,
     "Used for system critical pods that must not be moved from their current node."},
    {"system-cluster-critical", 2000000000,
     "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."},
};

Ok Ensure(client::Client& client, std::string_view api_version, std::string_view kind, std::string_view ns,
          const std::string& json) {
  const doc::Document object = TRY(doc::ParseJson(json));
  const api::KindInfo* info = api::FindKind(api_version, kind);
  CHECK(info != nullptr);
  const auto made = client.Create(*info, ns, object.root);
  if (made.ok() || made.Failed(Reason::kAlreadyExists)) return {};
  return made.status().WithContext(fmt::format("creating {} in a new cluster", kind));
}

// Whoever was faster is another server that makes the same.
Ok Persist(const std::function<Ok()>& task) {
  Ok done = task();
  for (int i = 0; i < kTries && done.Failed(Reason::kConflict); ++i) done = task();
  return done;
}

// Runs each task in a fiber of its own. The first error, if any.
Ok AllAtOnce(rt::Runtime& runtime, const std::vector<std::function<Ok()>>& tasks) {
  Ok outcome;
  rt::TaskGroup group(runtime, "bootstrap");
  for (const auto& task : tasks) {
    group.Spawn("create", [&outcome, &task] {
      Ok done = Persist(task);
      if (!done.ok() && outcome.ok()) outcome = std::move(done);
    });
  }
  group.Join();
  return outcome;
}

std::unique_ptr<client::Client> OwnClient(Core& core) {
  return MakeLocalClient(core.operations(), core.local(),
                         {"system:apiserver", "", {"system:masters", "system:authenticated"}}, "kube-apiserver");
}

Ok EnsureService(client::Client& client, const ApiServerOptions& options) {
  const std::vector<Cidr> networks = TRY(ParseServiceNetworks(options.service_cidr));
  const std::string address = (networks.front().Network() + 1).ToString();
  return Ensure(client, "v1", "Service", "default",
                fmt::format(R"({{"metadata":{{"name":"kubernetes","labels":{{"component":"apiserver",)"
                            R"("provider":"kubernetes"}}}},"spec":{{"clusterIP":"{}","ports":[{{"name":"https",)"
                            R"("port":443,"protocol":"TCP","targetPort":{}}}],"type":"ClusterIP"}}}})",
                            address, options.listen.port == 0 ? 6443 : options.listen.port));
}

}  // namespace

Ok MakeBootstrapObjects(Core& core) {
  const auto client = OwnClient(core);
  // Two rounds of writes, each of which shares one flush of the disk.
  std::vector<std::function<Ok()>> first;
  std::vector<std::function<Ok()>> second;
  for (const std::string_view name : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
    first.emplace_back([&client, name] {
      return Ensure(*client, "v1", "Namespace", "", fmt::format(R"({{"metadata":{{"name":"{}"}}}})", name));
    });
    // The controller would make it a moment later; so no pod has to wait for it.
    second.emplace_back([&client, name] {
      return Ensure(*client, "v1", "ServiceAccount", name, R"({"metadata":{"name":"default"}})");
    });
  }
  for (const auto& [name, value, description] : kPriorityClasses) {
    first.emplace_back([&client, name, value, description] {
      return Ensure(
          *client, "scheduling.k8s.io/v1", "PriorityClass", "",
          fmt::format(R"({{"metadata":{{"name":"{}"}},"value":{},"description":"{}"}})", name, value, description));
    });
  }
  const std::vector<BootstrapObject> extensions = ExtensionObjects();
  for (const BootstrapObject& object : extensions) {
    first.emplace_back(
        [&client, &object] { return Ensure(*client, object.api_version, object.kind, "", object.json); });
  }
  second.emplace_back([&] { return EnsureService(*client, core.options()); });
  const BootstrapPolicy policy = ReadBootstrapPolicy();
  for (auto& task : ReconcileTasks(*client, policy)) second.push_back(std::move(task));
  const std::vector<Cidr> networks = TRY(ParseServiceNetworks(core.options().service_cidr));
  first.emplace_back([&] { return EnsureDefaultServiceCidr(*client, networks, core.world().Wall()); });
  TRY(Persist([&] { return RepairServiceAddresses(core); }));
  TRY(AllAtOnce(core.world(), first));
  return AllAtOnce(core.world(), second);
}

void ServiceKeeper::Start() {
  tasks_.Spawn("keep", [this] {
    // A watch that ends is begun again; one that fails at once is not tried without pause.
    do {
      const Ok ended = Watch();
      if (!ended.ok() && !ended.Failed(Reason::kCancelled) && !ended.Failed(Reason::kServiceUnavailable)) {
        LOG_WARN("the kubernetes Service", {"error", ended.status()});
      }
    } while (core_.world().Sleep(std::chrono::seconds(1)).ok());
  });
}

Ok ServiceKeeper::Watch() {
  const auto client = OwnClient(core_);
  const api::KindInfo& services = *api::FindKind("v1", "Service");
  client::WatchOptions options;
  options.field_selector = "metadata.name=kubernetes";
  const auto stream = TRY(client->Watch(services, "default", options));
  // It may have gone while nobody watched, or not have been made then.
  if (client->Get(services, {"default", "kubernetes"}).Failed(Reason::kNotFound)) {
    TRY(EnsureService(*client, core_.options()));
  }
  for (;;) {
    for (const client::WatchEvent& event : TRY(stream->Next())) {
      if (event.type == client::WatchEventType::kDeleted) TRY(EnsureService(*client, core_.options()));
    }
  }
}

}  // namespace knarr::apiserver
