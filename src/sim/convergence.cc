#include "sim/convergence.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "api/core_v1.h"
#include "api/discovery_v1.h"
#include "api/label_selector.h"
#include "api/meta_v1.h"
#include "api/object.h"
#include "api/persistent_volumes.h"
#include "controller/framework/controller.h"
#include "controller/framework/pods.h"
#include "controller/node_taints.h"
#include "scheduler/plugin.h"
#include "sim/volumes_at_rest.h"

namespace knarr::sim {
namespace {

using api::ObjectPtr;
using api::core_v1::Pod;

// A node is given up after 50 s; pods of one that is gone are taken away after 40 s.
constexpr Duration kSilentMost = 60s;
constexpr Duration kRemovedMost = 50s;
// What reacts to changes has reacted by then.
constexpr Duration kSettled = 10s;

/// Everything in the store at one revision.
class State {
 public:
  explicit State(store::Store& store) {
    const std::shared_ptr<const store::Snapshot> snapshot = store.Latest();
    snapshot->Visit("/registry/", "", [this](std::string_view key, const store::Bytes& value, store::Revision) {
      // "/registry/<group>/<plural>/<name…>"
      const size_t plural = key.find('/', std::string_view("/registry/").size()) + 1;
      const size_t end = key.find('/', plural);
      const std::string kind(key.substr(plural, end - plural));
      if (kind != "events" && kind != "leases") objects_[kind].push_back(api::Object::FromBytes(value));
      return true;
    });
  }

  const std::vector<ObjectPtr>& Of(const std::string& plural) { return objects_[plural]; }

  std::vector<std::string> Check() {
    CheckEverything();
    for (const ObjectPtr& ns : Of("namespaces")) CheckNamespace(*ns);
    for (const char* kind : {"replicasets", "replicationcontrollers"}) {
      for (const ObjectPtr& set : Of(kind)) CheckSet(*set);
    }
    CheckPods();
    for (const ObjectPtr& service : Of("services")) CheckService(*service);
    for (const ObjectPtr& node : Of("nodes")) CheckNode(*node);
    CheckLeftOvers();
    for (const ObjectPtr& quota : Of("resourcequotas")) CheckQuota(*quota);
    for (const std::string& problem : StorageProblems(Storage())) Problem("{}", problem);
    return std::move(problems_);
  }

  std::vector<std::string> CheckOverdue(const std::vector<Silence>& silent, Duration undisturbed, Duration settled,
                                        WallTime now) {
    for (const Silence& silence : silent) {
      const Duration known = std::min(silence.lasts, undisturbed);
      if (silence.removed && known > kRemovedMost) CheckRemoved(silence.node);
      if (!silence.removed && known > kSilentMost) CheckSilent(silence.node, now);
    }
    if (std::min(undisturbed, settled) > kSettled) {
      for (const char* kind : {"replicasets", "replicationcontrollers"}) {
        for (const ObjectPtr& set : Of(kind)) CheckSetStatus(*set);
      }
      for (const ObjectPtr& service : Of("services")) CheckService(*service);
    }
    return std::move(problems_);
  }

 private:
  template <typename... Args>
  void Problem(fmt::format_string<Args...> format, Args&&... args) {
    problems_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

  StorageObjects Storage() {
    return {Of("persistentvolumeclaims"), Of("persistentvolumes"), Of("storageclasses"), Of("pods")};
  }

  /// Of all kinds: nothing is being deleted, every owner and every namespace is there.
  void CheckEverything() {
    std::set<std::string, std::less<>> uids;
    std::set<std::string, std::less<>> namespaces;
    for (const auto& [kind, objects] : objects_) {
      for (const ObjectPtr& object : objects) uids.emplace(object->uid());
    }
    for (const ObjectPtr& ns : Of("namespaces")) namespaces.emplace(ns->name());
    for (const auto& [kind, objects] : objects_) {
      for (const ObjectPtr& object : objects) {
        if (object->deleting() && !MayStay(*object, Storage())) {
          Problem("{} {} is still being deleted", kind, KeyOf(*object));
        }
        if (!object->ns().empty() && !namespaces.contains(object->ns())) {
          Problem("{} {} outlived its namespace", kind, KeyOf(*object));
        }
        for (auto owner : api::meta_v1::ObjectMeta(object->tree().At("metadata")).owner_references()) {
          if (!uids.contains(owner.uid())) Problem("{} {} outlived its owner", kind, KeyOf(*object));
        }
      }
    }
  }

  void CheckNamespace(const api::Object& ns) {
    for (const ObjectPtr& account : Of("serviceaccounts")) {
      if (account->ns() == ns.name() && account->name() == "default") return;
    }
    Problem("namespace {} has no default service account", ns.name());
  }

  /// Nothing is left on a node whose object is gone.
  void CheckRemoved(std::string_view node) {
    for (const ObjectPtr& pod : Of("pods")) {
      if (Pod(pod->tree()).spec().node_name() == node)
        Problem("pod {} is on node {}, which is gone", KeyOf(*pod), node);
    }
    for (const ObjectPtr& claim : Of("persistentvolumeclaims")) {
      const bool waits = api::core_v1::PersistentVolumeClaim(claim->tree()).spec().volume_name().empty();
      if (waits && !claim->deleting() && api::SelectedNode(*claim) == node) {
        Problem("claim {} waits for node {}, which is gone", KeyOf(*claim), node);
      }
    }
  }

  /// A silent node is marked, nothing on it counts as ready, and what does not tolerate that for longer is ended.
  void CheckSilent(std::string_view name, WallTime now) {
    for (const ObjectPtr& node : Of("nodes")) {
      if (node->name() != name) continue;
      const auto taints = api::core_v1::Node(node->tree()).spec().taints();
      bool marked = false;
      for (auto taint : taints) {
        marked |= taint.key() == "node.kubernetes.io/unreachable" && taint.effect() == "NoExecute";
      }
      if (!marked) Problem("node {} is silent, and not marked", name);
      for (const ObjectPtr& object : Of("pods")) {
        const Pod pod(object->tree());
        if (pod.spec().node_name() != name) continue;
        if (controller::IsReady(pod)) Problem("pod {} is ready, on node {}, which is silent", KeyOf(*object), name);
        for (auto taint : taints) {
          if (taint.effect() != "NoExecute" || object->deleting()) continue;
          const std::optional<Duration> stays = controller::StaysFor(pod, taint);
          if (!stays || taint.time_added().value_or(now) + *stays + kSettled > now) continue;
          Problem("pod {} stays on node {} in spite of {}", KeyOf(*object), name, taint.key());
        }
      }
    }
  }

  void CheckSet(const api::Object& set) {
    const int64_t wanted = set.tree().Get("spec", "replicas").AsInt();
    const auto [active, ready] = CountPods(set);
    if (active != wanted) Problem("{} {}: {} pods for {} replicas", set.kind(), KeyOf(set), active, wanted);
    CheckSetStatus(set);
    if (!set.tree().Get("status", "conditions").empty()) {
      Problem("{} {}: still says that it failed", set.kind(), KeyOf(set));
    }
  }

  /// The set's active pods, and those that are ready.
  std::pair<int, int> CountPods(const api::Object& set) {
    int active = 0;
    int ready = 0;
    for (const ObjectPtr& pod : Of("pods")) {
      auto owner = controller::ControllerOf(*pod);
      if (!owner || owner->uid != set.uid() || !controller::IsActive(Pod(pod->tree()))) continue;
      active++;
      if (controller::IsReady(Pod(pod->tree()))) ready++;
    }
    return {active, ready};
  }

  void CheckSetStatus(const api::Object& set) {
    const auto [active, ready] = CountPods(set);
    const doc::Value& tree = set.tree();
    auto status = [&](std::string_view name) { return tree.Get("status", name).AsInt(); };
    if (status("replicas") != active || status("readyReplicas") != ready || status("availableReplicas") != ready ||
        status("fullyLabeledReplicas") != active) {
      Problem("{} {}: {} pods, {} ready, but its status says {}, {} ready, {} available", set.kind(), KeyOf(set),
              active, ready, status("replicas"), status("readyReplicas"), status("availableReplicas"));
    }
    if (status("observedGeneration") != tree.Get("metadata", "generation").AsInt()) {
      Problem("{} {}: generation not observed", set.kind(), KeyOf(set));
    }
  }

  void CheckPods() {
    scheduler::Snapshot snapshot;
    for (const ObjectPtr& node : Of("nodes")) {
      Ok set = snapshot.SetNode(node);
      if (!set.ok()) Problem("{}", set.status().ToString());
    }
    for (const ObjectPtr& object : Of("pods")) {
      Pod pod(object->tree());
      if (controller::IsFinished(pod) || pod.spec().node_name().empty()) continue;
      snapshot.SetPod(scheduler::PodInfo::Make(object), pod.spec().node_name());
    }
    const scheduler::Plugins plugins = scheduler::DefaultPlugins();
    for (const ObjectPtr& object : Of("pods")) {
      Pod pod(object->tree());
      if (controller::IsFinished(pod)) continue;
      if (!pod.spec().node_name().empty()) {
        if (snapshot.Find(pod.spec().node_name()) == nullptr) {
          Problem("pod {} is on node {}, which is not there", KeyOf(*object), pod.spec().node_name());
        }
        if (!controller::IsReady(pod)) Problem("pod {} is not ready", KeyOf(*object));
        continue;
      }
      const std::string_view by = pod.spec().scheduler_name();
      if ((by != "default-scheduler" && !by.empty()) || !pod.spec().scheduling_gates().empty()) continue;
      scheduler::PodInfo info = scheduler::PodInfo::Make(object);
      if (!info.claims.empty()) {
        info.volumes =
            std::make_shared<const scheduler::PodVolumes>(VolumesOf(*object, Storage(), snapshot.claim_users()));
      }
      const scheduler::Placement placement = scheduler::Place(info, snapshot, plugins, 0);
      if (!placement.node.empty()) Problem("pod {} waits, and would fit on {}", KeyOf(*object), placement.node);
      if (!SaysUnschedulable(pod)) Problem("pod {} waits, and does not say why", KeyOf(*object));
    }
  }

  /// An address and an orphan that somebody should have taken, Endpoints that somebody should have taken away.
  void CheckLeftOvers() {
    std::set<std::string> used;
    for (const ObjectPtr& service : Of("services")) {
      const std::string ip(service->tree().Get("spec", "clusterIP").AsString());
      if (ip != "None" && !ip.empty()) used.insert(ip);
    }
    for (const ObjectPtr& slice : Of("endpointslices")) {
      const auto labels = api::discovery_v1::EndpointSlice(slice->tree()).metadata().labels();
      const std::string_view service = labels.Find("kubernetes.io/service-name").value_or("");
      const bool has = std::ranges::any_of(Of("services"), [&](const ObjectPtr& each) {
        return each->ns() == slice->ns() && each->name() == service;
      });
      if (!has) Problem("slice {} of service {}, which is not there", KeyOf(*slice), service);
    }
    std::set<std::string> taken;
    for (const ObjectPtr& address : Of("ipaddresses")) taken.emplace(address->name());
    if (used != taken) Problem("{} addresses of services, {} taken", used.size(), taken.size());
    for (const ObjectPtr& endpoints : Of("endpoints")) {
      const bool has = std::ranges::any_of(Of("services"), [&](const ObjectPtr& service) {
        return service->ns() == endpoints->ns() && service->name() == endpoints->name();
      });
      if (!has) Problem("endpoints {} without a service", KeyOf(*endpoints));
    }
    for (const ObjectPtr& pod : Of("pods")) {
      if (controller::ControllerOf(*pod) || !controller::IsActive(Pod(pod->tree()))) continue;
      for (const char* kind : {"replicasets", "replicationcontrollers"}) {
        for (const ObjectPtr& set : Of(kind)) {
          const doc::Value& selector = set->tree().Get("spec", "selector");
          const doc::Value& labels = selector.Find("matchLabels") != nullptr ? selector.At("matchLabels") : selector;
          if (set->ns() != pod->ns() ||
              !api::Matches(api::ToLabelSelector(api::StringMap(labels)), Pod(pod->tree()).metadata().labels())) {
            continue;
          }
          Problem("pod {} belongs to nobody, and {} {} would have it", KeyOf(*pod), kind, KeyOf(*set));
        }
      }
    }
  }

  /// A quota says how much there is.
  void CheckQuota(const api::Object& quota) {
    const auto count = [&](const char* kind, auto counts) {
      return std::ranges::count_if(Of(kind), [&](const ObjectPtr& object) {
        return object->ns() == quota.ns() && counts(*object);
      });
    };
    const auto check = [&](const char* resource, int64_t there) {
      const doc::Value& spec = quota.tree().Get("spec", "hard", resource);
      if (spec.is_null()) return;
      const std::string_view used = quota.tree().Get("status", "used", resource).AsString();
      const std::string_view hard = quota.tree().Get("status", "hard", resource).AsString();
      if (used != std::to_string(there) || hard != spec.AsString()) {
        Problem("quota {}: {} {} are there, it says {} of {}", KeyOf(quota), there, resource, used, hard);
      }
    };
    check("count/configmaps", count("configmaps", [](const api::Object&) { return true; }));
    check("pods", count("pods", [](const api::Object& pod) { return !controller::IsFinished(Pod(pod.tree())); }));
  }

  static bool SaysUnschedulable(Pod pod) {
    for (auto condition : pod.status().conditions()) {
      if (condition.type() == "PodScheduled") {
        return condition.status() == "False" && condition.reason() == "Unschedulable" && !condition.message().empty();
      }
    }
    return false;
  }

  void CheckService(const api::Object& object) {
    api::core_v1::Service service(object.tree());
    if (service.spec().selector().empty()) return;
    const LabelSelector selector = api::ToLabelSelector(service.spec().selector());
    std::set<std::string> ready;
    const bool by_name = service.spec().ports()[0].target_port().is_string;
    for (const ObjectPtr& pod : Of("pods")) {
      Pod view(pod->tree());
      if (pod->ns() != object.ns() || !api::Matches(selector, view.metadata().labels())) continue;
      if (!controller::IsActive(view) || !controller::IsReady(view)) continue;
      const auto ports = view.spec().containers()[0].ports();
      // The only name of a port that workloads use.
      if (by_name && (ports.empty() || ports[0].name() != "http")) continue;
      ready.emplace(view.status().pod_ip());
    }
    std::set<std::string> listed;
    for (const ObjectPtr& endpoints : Of("endpoints")) {
      if (endpoints->ns() != object.ns() || endpoints->name() != object.name()) continue;
      for (auto subset : api::core_v1::Endpoints(endpoints->tree()).subsets()) {
        for (auto address : subset.addresses()) listed.emplace(address.ip());
      }
    }
    if (listed != ready)
      Problem("endpoints {}: {} addresses for {} ready pods", KeyOf(object), listed.size(), ready.size());
    listed.clear();
    size_t slices = 0;
    for (const ObjectPtr& slice : Of("endpointslices")) {
      api::discovery_v1::EndpointSlice view(slice->tree());
      if (slice->ns() != object.ns()) continue;
      if (view.metadata().labels().Find("kubernetes.io/service-name").value_or("") != object.name()) continue;
      slices++;
      for (auto endpoint : view.endpoints()) {
        if (endpoint.conditions().ready().value_or(false)) listed.emplace(endpoint.addresses()[0]);
      }
    }
    if (listed != ready || slices == 0) {
      Problem("{} slices of {}: {} addresses for {} ready pods", slices, KeyOf(object), listed.size(), ready.size());
    }
  }

  void CheckNode(const api::Object& node) {
    for (auto taint : api::core_v1::Node(node.tree()).spec().taints()) {
      if (taint.key() == "node.kubernetes.io/unreachable") Problem("node {} is still tainted", node.name());
    }
    for (auto condition : api::core_v1::Node(node.tree()).status().conditions()) {
      // Hollow nodes say no more of themselves than this.
      if (condition.type() != "Ready" || condition.status() == "True") continue;
      Problem("node {} is {}={}", node.name(), condition.type(), condition.status());
    }
  }

  std::map<std::string, std::vector<ObjectPtr>> objects_;  // by plural
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> Unconverged(store::Store& store) { return State(store).Check(); }

std::vector<std::string> Overdue(store::Store& store, const std::vector<Silence>& silent, Duration undisturbed,
                                 Duration settled, WallTime now) {
  return State(store).CheckOverdue(silent, undisturbed, settled, now);
}

}  // namespace knarr::sim
