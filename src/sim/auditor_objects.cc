// What must hold of objects of every kind, of owners and what they own, of services and quotas.

#include <fmt/format.h>

#include <algorithm>

#include "api/core_v1.h"
#include "api/discovery_v1.h"
#include "api/meta_v1.h"
#include "base/quantity.h"
#include "controller/framework/controller.h"
#include "controller/framework/pods.h"
#include "sim/auditor.h"
#include "sim/player.h"

namespace knarr::sim {
namespace {

using api::ObjectPtr;
using api::core_v1::Pod;
using api::meta_v1::ObjectMeta;

constexpr std::string_view kServices = "/registry/core/services/";
constexpr std::string_view kQuotas = "/registry/core/resourcequotas/";
constexpr std::string_view kBudgets = "/registry/policy/poddisruptionbudgets/";
constexpr std::string_view kMaps = "/registry/core/configmaps/";
constexpr std::string_view kNamespaces = "/registry/core/namespaces/";
constexpr std::string_view kSlices = "/registry/discovery.k8s.io/endpointslices/";
// From a call's arrival at the server until what it did is in the store, also on a slow disk.
constexpr Duration kCallMost = 1s;

bool HasAnyFinalizer(const api::Object& object) {
  return api::Mentions(object.json(), "finalizers") && !object.tree().Get("metadata", "finalizers").empty();
}

/// The uids of owners, and of those among them that it blocks.
std::pair<std::set<std::string>, std::set<std::string>> OwnersOf(const ObjectPtr& object) {
  std::pair<std::set<std::string>, std::set<std::string>> out;
  if (object == nullptr || !api::Mentions(object->json(), "ownerReferences")) return out;
  for (auto owner : ObjectMeta(object->tree().At("metadata")).owner_references()) {
    out.first.emplace(owner.uid());
    if (owner.block_owner_deletion().value_or(false)) out.second.emplace(owner.uid());
  }
  return out;
}

/// What the events of components are about that a good set of seeds has seen.
constexpr std::string_view kRareEvents[] = {"FailedCreate", "FailedDelete", "FailedScheduling", "NodeNotReady",
                                            "TaintManagerEviction"};
constexpr std::string_view kRare[] = {
    "an owner left its dependents",   "an owner waited for its dependents", "a pod was adopted",
    "a pod was released",             "a held object was let go",           "a namespace went with something in it",
    "a quota was full",               "a pod was deleted by its set",       "a pod was collected with its owner",
    "a pod of a lost node was ended", "a pod on a node that is gone was removed",
    "an object of two owners lost one", "a pod was evicted by the API",    "a host port was taken",
    "a finished pod was deleted",     "a budget was used",                "a backend was on its way out",
};

}  // namespace

bool HasFinalizer(const api::Object& object, std::string_view wanted) {
  if (!api::Mentions(object.json(), "finalizers")) return false;
  for (std::string_view finalizer : ObjectMeta(object.tree().At("metadata")).finalizers()) {
    if (finalizer == wanted) return true;
  }
  return false;
}

std::map<std::string, uint64_t, std::less<>> Auditor::probes() const {
  std::map<std::string, uint64_t, std::less<>> out = probes_;
  for (const std::string_view name : kRare) out.try_emplace(std::string(name));
  for (const std::string_view name : kRareEvents) out.try_emplace(fmt::format("event {}", name));
  return out;
}

void Auditor::SeeEvent(const store::Event& event) {
  if (event.type == store::Event::Type::kDelete || event.previous != nullptr) return;
  const ObjectPtr object = api::Object::FromBytes(event.value);
  const std::string_view reason = object->tree().At("reason").AsString();
  if (std::ranges::find(kRareEvents, reason) != std::end(kRareEvents)) Probe(fmt::format("event {}", reason));
}

void Auditor::SeeAny(const store::Event& event, const ObjectPtr& before, const ObjectPtr& after) {
  const std::string_view key = event.key;
  if (after != nullptr && !after->resource_version().empty() &&
      after->resource_version() != std::to_string(event.revision)) {
    journal_.Violation(fmt::format("{} says it is of version {}, and is of {}", key, after->resource_version(),
                                   event.revision));
  }
  SeeOwned(key, before, after);
  if (after == nullptr && before != nullptr) SeeGone(key, *before);
  if (key.starts_with(kServices)) SeeService(key, before, after);
  if (key.starts_with(kQuotas)) {
    if (after != nullptr) {
      quotas_[std::string(key)] = after;
      const std::string_view used = after->tree().Get("status", "used", "count/configmaps").AsString();
      if (used == std::to_string(counts_[std::string(after->ns())])) counted_.emplace(after->uid());
    } else {
      quotas_.erase(std::string(key));
    }
  }
  SeeQuota(key, before, after);
  if (key.starts_with(kBudgets)) SeeBudget(key, before, after);
  if (key.starts_with(kSlices) && after != nullptr) SeeSlice(key, *after);
  if (key.starts_with(kNamespaces)) SeeNamespace(key, before, after);
  if (before == nullptr || after == nullptr) return;
  const bool counted = !after->tree().Get("metadata", "generation").is_null();
  const bool changed = !before->tree().At("spec").Equals(after->tree().At("spec"));
  const auto generation = [](const ObjectPtr& object) { return object->tree().Get("metadata", "generation").AsInt(); };
  // A pod's binding is no change of what it asks for.
  const auto placed = [](const ObjectPtr& object) { return !object->tree().Get("spec", "nodeName").is_null(); };
  const bool bound = !placed(before) && placed(after);
  if (counted && changed && !bound && generation(after) <= generation(before)) {
    journal_.Violation(fmt::format("{} changed, and its generation stays {}", key, generation(after)));
  }
}

void Auditor::SeeOwned(std::string_view /*key*/, const ObjectPtr& before, const ObjectPtr& after) {
  const std::string uid(after != nullptr ? after->uid() : before->uid());
  const auto [owners, blocked] = OwnersOf(after);
  std::set<std::string>& known = owners_of_[uid];
  if (known.size() == 2 && owners.size() == 1) Probe("an object of two owners lost one");
  known = owners;
  if (owners.empty()) owners_of_.erase(uid);
  for (const std::string& owner : OwnersOf(before).second) {
    if (!blocked.contains(owner)) dependents_[owner].erase(uid);
  }
  for (const std::string& owner : blocked) dependents_[owner].try_emplace(uid, runtime_.Mono());
  // It begins to leave what it owns.
  if (after != nullptr && after->deleting() && HasFinalizer(*after, "orphan") && !spared_.contains(uid)) {
    Probe("an owner left its dependents");
    std::set<std::string>& spared = spared_[uid];
    // The collector's copy may not show yet what was made just before.
    for (const auto& [dependent, since] : dependents_[uid]) {
      if (runtime_.Mono() - since > staleness_) spared.insert(dependent);
    }
  }
}

void Auditor::SeeGone(std::string_view key, const api::Object& before) {
  const std::string uid(before.uid());
  if (HasAnyFinalizer(before) && !before.deleting()) {
    journal_.Violation(fmt::format("{} is gone although a finalizer holds it", key));
  }
  if (HasFinalizer(before, kHoldFinalizer)) {
    Probe("a held object was let go");
    if (!released_.contains(uid)) journal_.Violation(fmt::format("{} is gone, and nobody let it go", key));
  }
  // A second delete that asks for something else lets it go.
  if (HasFinalizer(before, "foregroundDeletion") && !hurried_.contains(uid)) {
    Probe("an owner waited for its dependents");
    for (const auto& [dependent, since] : dependents_[uid]) {
      if (runtime_.Mono() - since <= staleness_ || !owners_of_.contains(dependent)) continue;
      if (!owners_of_[dependent].contains(uid)) continue;
      journal_.Violation(fmt::format("{} is gone before what blocks it", key));
      break;
    }
  }
  dependents_.erase(uid);
  if (!key.starts_with("/registry/core/pods/")) return;
  if (api::Mentions(before.json(), "EvictionByEvictionAPI")) Probe("a pod was evicted by the API");
  const Pod pod(before.tree());
  if (controller::IsFinished(pod)) Probe("a finished pod was deleted");
  const auto runs = running_.find(uid);
  const bool patient = pod.spec().termination_grace_period_seconds().value_or(0) > 0 && !controller::IsFinished(pod);
  if (runs != running_.end() && patient && !graceless_.contains(uid)) {
    journal_.Violation(fmt::format("{} is gone while it runs on {}", key, runs->second));
  }
}

void Auditor::SeeService(std::string_view key, const ObjectPtr& before, const ObjectPtr& after) {
  auto address = [](const ObjectPtr& service) -> std::string {
    if (service == nullptr) return "";
    const std::string_view ip = service->tree().Get("spec", "clusterIP").AsString();
    return ip == "None" ? "" : std::string(ip);
  };
  const std::string old = address(before);
  const std::string now = address(after);
  if (old == now) return;
  if (auto at = services_.find(old); at != services_.end() && at->second == key) services_.erase(at);
  if (now.empty()) return;
  const auto [at, free] = services_.emplace(now, key);
  if (!free) journal_.Violation(fmt::format("{} and {} both have address {}", key, at->second, now));
}

/// One that nobody deletes is neither finalized nor gone.
void Auditor::SeeNamespace(std::string_view key, const ObjectPtr& before, const ObjectPtr& after) {
  const auto finalizers = [](const ObjectPtr& space) { return space->tree().Get("spec", "finalizers").size(); };
  if (before == nullptr || before->deleting()) return;
  if (after != nullptr && (after->deleting() || finalizers(after) >= finalizers(before))) return;
  journal_.Violation(fmt::format("{} is to stay, and is {}", key, after == nullptr ? "gone" : "finalized"));
}

/// What is not ready or on its way out gets no new connections (no service of a workload publishes what is not ready).
void Auditor::SeeSlice(std::string_view key, const api::Object& slice) {
  for (auto endpoint : api::discovery_v1::EndpointSlice(slice.tree()).endpoints()) {
    const auto conditions = endpoint.conditions();
    if (conditions.terminating().value_or(false)) Probe("a backend was on its way out");
    if (!conditions.ready().value_or(false)) continue;
    const std::string_view pod = endpoint.target_ref().uid();
    const char* why = nullptr;
    if (conditions.terminating().value_or(false)) why = "is on its way out";
    if (!conditions.serving().value_or(true)) why = "does not serve";
    if (!pod.empty() && !ever_ready_.contains(pod)) why = "never was ready";
    if (why == nullptr) continue;
    journal_.Violation(fmt::format("{} calls {} ready, which {}", key, endpoint.addresses()[0], why));
  }
}

/// An eviction takes one of what a budget allows, and there is one to take.
void Auditor::SeeBudget(std::string_view key, const ObjectPtr& before, const ObjectPtr& after) {
  if (before == nullptr || after == nullptr) return;
  const doc::Value& old = before->tree().At("status");
  const doc::Value& now = after->tree().At("status");
  const int64_t allowed = now.At("disruptionsAllowed").AsInt();
  const bool evicts = now.At("disruptedPods").size() > old.At("disruptedPods").size();
  if (evicts) Probe("a budget was used");
  if (allowed < 0 || (evicts && allowed != old.At("disruptionsAllowed").AsInt() - 1)) {
    journal_.Violation(fmt::format("{} allowed {} disruptions before an eviction, and allows {}", key,
                                   old.At("disruptionsAllowed").AsInt(), allowed));
  }
}

/// What is made is counted in one step with what it is made of.
void Auditor::SeeQuota(std::string_view key, const ObjectPtr& before, const ObjectPtr& after) {
  if (!key.starts_with(kMaps) || (before != nullptr) == (after != nullptr)) return;
  const std::string ns(after != nullptr ? after->ns() : before->ns());
  int& count = counts_[ns];
  count += after != nullptr ? 1 : -1;
  if (after == nullptr) return;
  for (const auto& [quota_key, quota] : quotas_) {
    if (quota->ns() != ns) continue;
    const doc::Value& status = quota->tree().At("status");
    const auto hard = Quantity::Parse(status.Get("hard", "count/configmaps").AsString());
    // What came just before the first count may not be in it, as the controller's copy is late.
    if (!hard.ok() || !counted_.contains(quota->uid())) continue;
    if (count == hard->Value()) Probe("a quota was full");
    if (count > hard->Value()) {
      journal_.Violation(fmt::format("{} is one of {}, of which {} allows {}", key, count, quota_key, hard->Value()));
    }
  }
}

void Auditor::SeePorts(std::string_view key, const ObjectPtr& before, const ObjectPtr& after) {
  auto ports = [](const ObjectPtr& object) {
    std::set<std::string> out;
    if (object == nullptr) return out;
    const Pod pod(object->tree());
    if (pod.spec().node_name().empty() || controller::IsFinished(pod)) return out;
    for (auto container : pod.spec().containers()) {
      for (auto port : container.ports()) {
        if (port.host_port() > 0) out.insert(fmt::format("{}/{}", pod.spec().node_name(), port.host_port()));
      }
    }
    return out;
  };
  const std::set<std::string> now = ports(after);
  for (const std::string& port : ports(before)) {
    const auto at = ports_.find(port);
    if (at != ports_.end() && at->second == key && !now.contains(port)) ports_.erase(at);
  }
  for (const std::string& port : now) {
    const auto [at, free] = ports_.emplace(port, key);
    if (free) Probe("a host port was taken");
    if (free || at->second == key) continue;
    journal_.Violation(fmt::format("{} and {} both have port {}", key, at->second, port));
  }
}

/// A pod of a set that is no longer active: the set must not have deleted more than it has too many.
void Auditor::SeeLost(std::string_view key, Set& set, const std::string& uid) {
  const MonoTime now = runtime_.Mono();
  // What it asked for long ago failed: somebody else has deleted the pod now.
  const auto shrunk = shrunk_.find(uid);
  const bool by_set = shrunk != shrunk_.end() && now - shrunk->second <= kCallMost;
  if (shrunk != shrunk_.end()) shrunk_.erase(shrunk);
  if (!by_set) {
    set.lost.push_back(now);
    return;
  }
  Probe("a pod was deleted by its set");
  int least = set.asked;
  for (const auto& [until, asked] : set.asked_before) {
    if (now - until <= staleness_) least = std::min(least, asked);
  }
  const auto others = std::ranges::count_if(set.lost, [&](MonoTime at) { return now - at <= staleness_; });
  if (set.known && static_cast<int>(set.active.size()) + static_cast<int>(others) < least) {
    journal_.Violation(fmt::format("{}: its set deleted it, and has {} left of the {} that it was asked for", key,
                                   set.active.size(), least));
  }
}

}  // namespace knarr::sim
