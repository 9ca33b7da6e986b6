#include "sim/workload.h"

#include <fmt/format.h>

#include "api/apps_v1.h"
#include "api/core_v1.h"
#include "doc/json.h"

namespace knarr::sim {
namespace {

using api::ObjectPtr;
using client::ObjectName;

const std::vector<std::string> kNamespaces = {"default", "one", "two"};
const std::vector<std::string> kApps = {"red", "green", "blue"};

ObjectName NameOf(const api::Object& object) { return {std::string(object.ns()), std::string(object.name())}; }

Ok Drop(const Result<ObjectPtr>& result) { return result.ok() ? Ok() : Ok(result.status()); }

}  // namespace

Workload::Workload(rt::Runtime& runtime, Cluster& cluster, Journal& journal)
    : runtime_(runtime), cluster_(cluster), journal_(journal) {}

void Workload::MakeNodes() {
  const int count = 1 + static_cast<int>(Draw(5));
  const bool crash = Draw(2) == 0;
  const bool fail = Draw(2) == 0;
  for (int i = 0; i < count; ++i) {
    HollowNodeOptions options;
    options.index = i;
    options.cpu_milli = 500 + 500 * static_cast<int>(Draw(6));
    options.pods = 3 + static_cast<int>(Draw(20));
    options.zone = Draw(2) == 0 ? "a" : "b";
    options.crash = crash ? 200 : 0;
    options.fail = fail ? 100 : 0;
    cluster_.AddNode(options).Start();
  }
  journal_.Note(fmt::format("{} nodes", count));
}

void Workload::Begin() {
  for (size_t i = 1; i < kNamespaces.size(); ++i) {
    Create(api::core_v1::NamespaceInfo(), "", "create namespace " + kNamespaces[i],
           fmt::format(R"({{"metadata":{{"name":"{}"}}}})", kNamespaces[i]));
  }
  for (int i = 0; i < 4; ++i) MakeSet();
  for (int i = 0; i < 2; ++i) MakeService();
}

void Workload::Step() {
  struct Choice {
    int weight;
    void (Workload::*step)();
  };
  static constexpr Choice kChoices[] = {
      {8, &Workload::MakeSet},         {10, &Workload::ScaleSet},     {4, &Workload::DeleteSet},
      {4, &Workload::MakeService},     {2, &Workload::DeleteService}, {4, &Workload::MakePod},
      {5, &Workload::DeletePod},       {2, &Workload::RelabelPod},    {2, &Workload::MakeNamespace},
      {1, &Workload::DeleteNamespace}, {3, &Workload::MarkNode},      {2, &Workload::LoseNode},
      {3, &Workload::FindNode},        {1, &Workload::RemoveNode},    {1, &Workload::RestartControlPlane},
  };
  int total = 0;
  for (const Choice& choice : kChoices) total += choice.weight;
  int draw = static_cast<int>(Draw(static_cast<uint64_t>(total)));
  for (const Choice& choice : kChoices) {
    draw -= choice.weight;
    if (draw < 0) return (this->*choice.step)();
  }
}

std::string Workload::Namespace() { return Pick(kNamespaces); }

ObjectPtr Workload::AnyOf(const api::KindInfo& kind) {
  Result<client::ObjectList> list = cluster_.client().List(kind, "");
  if (!list.ok()) {
    Said(fmt::format("list {}", kind.plural), list.status());
    return nullptr;
  }
  // The server's own Service is not the users' to take away.
  std::erase_if(list->items, [](const ObjectPtr& object) { return object->name() == "kubernetes"; });
  return list->items.empty() ? nullptr : Pick(list->items);
}

void Workload::Said(const std::string& step, const Ok& outcome) {
  journal_.Note("step: " + step + (outcome.ok() ? "" : ": " + outcome.status().ToString()));
  if (outcome.ok()) return;
  switch (outcome.status().reason()) {
    case Reason::kNotFound:
    case Reason::kAlreadyExists:
    case Reason::kConflict:
    case Reason::kForbidden:
    case Reason::kCancelled:
      return;
    default:
      journal_.Violation("step: " + step + ": " + outcome.status().ToString());
  }
}

void Workload::Create(const api::KindInfo& kind, const std::string& ns, const std::string& step,
                      const std::string& json) {
  const doc::Document object = MUST(doc::ParseJson(json));  // written in this file
  Said(step, Drop(cluster_.client().Create(kind, ns, object.root)));
}

void Workload::MakeNamespace() {
  const std::string& name = kNamespaces[1 + Draw(kNamespaces.size() - 1)];
  Create(api::core_v1::NamespaceInfo(), "", "create namespace " + name,
         fmt::format(R"({{"metadata":{{"name":"{}"}}}})", name));
}

void Workload::DeleteNamespace() {
  const std::string& name = kNamespaces[1 + Draw(kNamespaces.size() - 1)];
  Said("delete namespace " + name, Drop(cluster_.client().Delete(api::core_v1::NamespaceInfo(), {"", name})));
}

void Workload::MakeSet() {
  const bool old = Draw(3) == 0;
  const std::string ns = Namespace();
  const std::string& app = Pick(kApps);
  const std::string selector = fmt::format(R"({{"app":"{}"}})", app);
  const std::string seconds = Draw(2) == 0 ? "30" : "0";
  const std::string spec = fmt::format(
      R"({{"replicas":{},"minReadySeconds":{},"selector":{},"template":{{"metadata":{{"labels":{{"app":"{}"}}}},)"
      R"("spec":{{"terminationGracePeriodSeconds":{},"containers":[{{"name":"c","image":"i","resources":{{"requests":)"
      R"({{"cpu":"{}m","memory":"{}Mi"}}}},"ports":[{{"name":"http","containerPort":8080}}]}}],"tolerations":)"
      R"([{{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute",)"
      R"("tolerationSeconds":{}}}]}}}}}})",
      Draw(9), Draw(4) == 0 ? 5 : 0, old ? selector : fmt::format(R"({{"matchLabels":{}}})", selector), app, seconds,
      Draw(5) * 100, Draw(4) * 64, 10 + Draw(60));
  // Both kinds for one app never: they would fight over its pods for ever, as upstream's do.
  const api::KindInfo& kind = old ? api::core_v1::ReplicationControllerInfo() : api::apps_v1::ReplicaSetInfo();
  const api::KindInfo& other = old ? api::apps_v1::ReplicaSetInfo() : api::core_v1::ReplicationControllerInfo();
  if (cluster_.client().Get(other, {ns, app}).ok()) return;
  Create(kind, ns, fmt::format("create {} {}/{} {}", kind.singular, ns, app, spec),
         fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{}}})", app, spec));
}

void Workload::ScaleSet() {
  const api::KindInfo& kind = Draw(3) == 0 ? api::core_v1::ReplicationControllerInfo() : api::apps_v1::ReplicaSetInfo();
  const ObjectPtr set = AnyOf(kind);
  if (set == nullptr) return;
  const uint64_t replicas = Draw(9);
  Said(fmt::format("scale {} {} to {}", kind.singular, KeyOf(*set), replicas),
       Drop(cluster_.client().Patch(kind, NameOf(*set), client::PatchType::kMerge,
                                    fmt::format(R"({{"spec":{{"replicas":{}}}}})", replicas), "scale")));
}

void Workload::DeleteSet() {
  const api::KindInfo& kind = Draw(3) == 0 ? api::core_v1::ReplicationControllerInfo() : api::apps_v1::ReplicaSetInfo();
  const ObjectPtr set = AnyOf(kind);
  if (set == nullptr) return;
  static constexpr client::Propagation kWays[] = {client::Propagation::kBackground, client::Propagation::kForeground,
                                                  client::Propagation::kOrphan};
  static constexpr const char* kNames[] = {"background", "foreground", "orphan"};
  const size_t way = Draw(3);
  Said(fmt::format("delete {} {} {}", kind.singular, KeyOf(*set), kNames[way]),
       Drop(cluster_.client().Delete(kind, NameOf(*set), {.propagation = kWays[way]})));
}

void Workload::MakeService() {
  const std::string ns = Namespace();
  const std::string& app = Pick(kApps);
  const bool headless = Draw(4) == 0;
  const std::string port = Draw(2) == 0 ? "\"http\"" : "8080";
  Create(api::core_v1::ServiceInfo(), ns, fmt::format("create service {}/{}", ns, app),
         fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{{{}"selector":{{"app":"{}"}},"ports":[{{"name":"web",)"
                     R"("port":80,"targetPort":{}}}]}}}})",
                     app, headless ? R"("clusterIP":"None",)" : "", app, port));
}

void Workload::DeleteService() {
  const ObjectPtr service = AnyOf(api::core_v1::ServiceInfo());
  if (service == nullptr) return;
  Said("delete service " + KeyOf(*service),
       Drop(cluster_.client().Delete(api::core_v1::ServiceInfo(), NameOf(*service))));
}

void Workload::MakePod() {
  const std::string ns = Namespace();
  std::string labels;
  if (Draw(2) == 0) labels = fmt::format(R"("app":"{}")", Pick(kApps));
  std::string selector;
  if (Draw(3) == 0) selector = fmt::format(R"("nodeSelector":{{"zone":"{}"}},)", Draw(2) == 0 ? "a" : "b");
  Create(api::core_v1::PodInfo(), ns, fmt::format("create pod in {} {} {}", ns, labels, selector),
         fmt::format(R"({{"metadata":{{"generateName":"bare-","labels":{{{}}}}},"spec":{{{}"containers":[{{"name":"c",)"
                     R"("image":"i","resources":{{"requests":{{"cpu":"{}m"}}}}}}]}}}})",
                     labels, selector, Draw(8) == 0 ? 100000 : Draw(5) * 100));
}

void Workload::DeletePod() {
  const ObjectPtr pod = AnyOf(api::core_v1::PodInfo());
  if (pod == nullptr) return;
  client::DeleteOptions options;
  if (Draw(3) == 0) options.grace_seconds = 0;
  Said(fmt::format("delete pod {}{}", KeyOf(*pod), options.grace_seconds ? " at once" : ""),
       Drop(cluster_.client().Delete(api::core_v1::PodInfo(), NameOf(*pod), options)));
}

void Workload::RelabelPod() {
  const ObjectPtr pod = AnyOf(api::core_v1::PodInfo());
  if (pod == nullptr) return;
  const std::string& app = Pick(kApps);
  Said(fmt::format("label pod {} app={}", KeyOf(*pod), app),
       Drop(cluster_.client().Patch(api::core_v1::PodInfo(), NameOf(*pod), client::PatchType::kMerge,
                                    fmt::format(R"({{"metadata":{{"labels":{{"app":"{}"}}}}}})", app))));
}

void Workload::MarkNode() {
  const ObjectPtr node = AnyOf(api::core_v1::NodeInfo());
  if (node == nullptr) return;
  std::string patch = R"({"spec":{"unschedulable":null}})";
  if (Draw(2) == 0) patch = R"({"spec":{"unschedulable":true}})";
  Said(fmt::format("patch node {} {}", node->name(), patch),
       Drop(cluster_.client().Patch(api::core_v1::NodeInfo(), NameOf(*node), client::PatchType::kMerge, patch)));
}

void Workload::LoseNode() {
  HollowNode& node = *cluster_.nodes()[Draw(cluster_.nodes().size())];
  const bool cut = Draw(2) == 0;
  journal_.Note(fmt::format("step: node {} {}", node.name(), cut ? "is cut off" : "crashes"));
  if (cut) {
    node.faults().cut = true;
  } else {
    node.Stop();
  }
}

void Workload::FindNode() {
  for (auto& node : cluster_.nodes()) {
    if (node->up() && !node->faults().cut) continue;
    journal_.Note(fmt::format("step: node {} comes back", node->name()));
    node->faults().cut = false;
    node->Start();
    return;
  }
}

void Workload::RemoveNode() {
  for (auto& node : cluster_.nodes()) {
    if (node->up() || Draw(2) == 0) continue;
    Said("delete node " + node->name(), Drop(cluster_.client().Delete(api::core_v1::NodeInfo(), {"", node->name()})));
    return;
  }
}

void Workload::RestartControlPlane() {
  journal_.Note("step: the control plane restarts");
  cluster_.StopControlPlane();
  if (!runtime_.Sleep(Duration(Draw(static_cast<uint64_t>(Duration(5s).count())))).ok()) return;
  cluster_.StartControlPlane();
}

void Workload::Calm() {
  journal_.Note("calm: no more faults, every node comes back");
  cluster_.SetFaults(nullptr);
  for (auto& node : cluster_.nodes()) {
    node->Calm();
    node->Start();
    Result<ObjectPtr> opened = cluster_.client().Patch(api::core_v1::NodeInfo(), {"", node->name()},
                                                       client::PatchType::kMerge, R"({"spec":{"unschedulable":null}})");
    if (!opened.ok()) Said("open node " + node->name(), opened.status());
  }
}

}  // namespace knarr::sim
