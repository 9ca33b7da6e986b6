#include "scheduler/volumes.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/core_v1.h"
#include "api/storage_v1.h"
#include "base/strings.h"

namespace knarr::scheduler {
namespace {

using api::NodeText;
using api::ObjectPtr;
using api::core_v1::PersistentVolume;
using api::core_v1::PersistentVolumeClaim;
using api::core_v1::Pod;
using api::storage_v1::StorageClass;

// Upstream's VolumeBindingArgs.bindTimeoutSeconds.
constexpr Duration kBindMost = 600s;
constexpr std::string_view kByClass = "scheduler/class";  // volumes
constexpr const char* kNodeConflict = "node(s) didn't match PersistentVolume's node affinity";
constexpr const char* kBindConflict = "node(s) didn't find available persistent volumes to bind";
constexpr const char* kVolumeMissing = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
constexpr std::string_view kZoneLabels[] = {
    "topology.kubernetes.io/zone", "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region"};
constexpr std::string_view kBetaZone = "failure-domain.beta.kubernetes.io/";
constexpr std::string_view kZone = "topology.kubernetes.io/";

const api::KindInfo& Claims() { return api::core_v1::PersistentVolumeClaimInfo(); }
const api::KindInfo& Volumes() { return api::core_v1::PersistentVolumeInfo(); }

client::ObjectName NameOf(const api::Object& object) { return {std::string(object.ns()), std::string(object.name())}; }

int64_t RevisionOf(const api::Object& object) { return ParseInt64(object.resource_version()).value_or(0); }

/// Whether volumes of the class can be made on the node.
bool InTopology(StorageClass storage_class, const NodeText& node) {
  const auto terms = storage_class.allowed_topologies();
  const auto meets = [&](api::core_v1::TopologySelectorTerm term) {
    for (const auto requirement : term.match_label_expressions()) {
      const auto value = node.labels.Find(requirement.key());
      if (!value || !api::HasAccessMode(requirement.values(), *value)) return false;
    }
    return true;
  };
  for (const auto term : terms) {
    if (meets(term)) return true;
  }
  return terms.empty();
}

bool CanBeMade(const PodVolumes::Open& open, const NodeText& node) {
  if (open.storage_class == nullptr) return false;
  const StorageClass storage_class(open.storage_class->tree());
  if (storage_class.provisioner().empty() || storage_class.provisioner() == api::kNoProvisioner) return false;
  return InTopology(storage_class, node);
}

bool AllReachable(const PodVolumes& volumes, const NodeText& node) {
  return std::ranges::all_of(
      volumes.bound, [&](const ObjectPtr& volume) { return api::IsReachable(PersistentVolume(volume->tree()), node); });
}

/// Why the pod can't use the claim at all; "" when it can.
std::string CheckClaim(Pod pod, api::core_v1::Volume volume, const std::string& name, const ObjectPtr& found) {
  if (found == nullptr && volume.ephemeral()) {
    return fmt::format("waiting for ephemeral volume controller to create the persistentvolumeclaim {}",
                       GoQuote(name));
  }
  if (found == nullptr) return fmt::format("persistentvolumeclaim {} not found", GoQuote(name));
  const PersistentVolumeClaim claim(found->tree());
  if (claim.status().phase() == "Lost") {
    return fmt::format("persistentvolumeclaim {} bound to non-existent persistentvolume {}", GoQuote(name),
                       GoQuote(claim.spec().volume_name()));
  }
  if (found->deleting()) return fmt::format("persistentvolumeclaim {} is being deleted", GoQuote(name));
  return volume.ephemeral() ? api::WhyNotForPod(pod, claim) : std::string();
}

}  // namespace

PodVolumes LookAtVolumes(Pod pod, const VolumeSource& source, const std::map<std::string, int, std::less<>>& users) {
  PodVolumes out;
  bool unbound = false;
  for (const auto volume : pod.spec().volumes()) {
    const std::string name = api::ClaimNameOf(pod, volume);
    if (name.empty()) continue;
    const ObjectPtr object = source.Claim({std::string(pod.metadata().ns()), name});
    out.unresolvable = CheckClaim(pod, volume, name, object);
    if (!out.unresolvable.empty()) return out;
    const PersistentVolumeClaim claim(object->tree());
    if (api::HasAccessMode(claim.spec().access_modes(), "ReadWriteOncePod") && users.contains(KeyOf(*object))) {
      out.exclusive_taken = true;
    }
    if (api::IsFullyBound(claim)) {
      ObjectPtr bound = source.Volume(std::string(claim.spec().volume_name()));
      if (bound == nullptr) out.volume_missing = true;
      if (bound != nullptr) out.bound.push_back(std::move(bound));
      continue;
    }
    ObjectPtr storage_class = source.StorageClassOf(std::string(api::ClassOf(claim)));
    const bool waits = storage_class != nullptr && api::WaitsForFirstConsumer(StorageClass(storage_class->tree()));
    if (waits && claim.spec().volume_name().empty()) {
      out.open.push_back({.claim = object,
                          .storage_class = std::move(storage_class),
                          .selected_node = source.NodeFor(*object),
                          .candidates = source.Candidates(*object)});
    } else {
      unbound = true;
    }
  }
  if (unbound) out.unresolvable = "pod has unbound immediate PersistentVolumeClaims";
  std::ranges::stable_sort(out.open, [](const PodVolumes::Open& a, const PodVolumes::Open& b) {
    return api::StorageRequest(PersistentVolumeClaim(a.claim->tree())) <
           api::StorageRequest(PersistentVolumeClaim(b.claim->tree()));
  });
  return out;
}

VolumePlan PlanVolumes(const PodVolumes& volumes, const NodeText& node) {
  VolumePlan plan;
  if (!AllReachable(volumes, node)) plan.reasons.emplace_back(kNodeConflict);
  if (volumes.volume_missing) plan.reasons.emplace_back(kVolumeMissing);
  std::set<std::string, std::less<>> chosen;
  bool satisfied = true;
  for (const PodVolumes::Open& open : volumes.open) {
    ObjectPtr found;
    if (open.selected_node.empty()) {
      const auto search = api::FindVolume(PersistentVolumeClaim(open.claim->tree()), open.candidates,
                                          {.node = &node, .excluded = &chosen});
      if (search.ok()) found = *search;
    }
    if (found != nullptr) {
      chosen.emplace(found->name());
      plan.bindings.push_back({found, open.claim});
    } else if (open.selected_node.empty() ? CanBeMade(open, node) : open.selected_node == node.name) {
      plan.provisions.push_back({open.claim});
    } else {
      satisfied = false;
    }
  }
  if (!satisfied) plan.reasons.emplace_back(kBindConflict);
  return plan;
}

bool InZone(const PodVolumes& volumes, const NodeText& node) {
  const bool anywhere =
      std::ranges::none_of(kZoneLabels, [&](std::string_view label) { return node.labels.Has(label); });
  if (anywhere) return true;
  for (const ObjectPtr& volume : volumes.bound) {
    const auto labels = PersistentVolume(volume->tree()).metadata().labels();
    for (const std::string_view label : kZoneLabels) {
      const auto zones = labels.Find(label);
      if (!zones) continue;
      auto at = node.labels.Find(label);
      if (!at && label.starts_with(kBetaZone)) {
        at = node.labels.Find(fmt::format("{}{}", kZone, label.substr(kBetaZone.size())));
      }
      // A volume may be in several: "a__b".
      bool there = false;
      for (size_t from = 0; at && from <= zones->size() && !there;) {
        const size_t to = std::min(zones->find("__", from), zones->size());
        there = zones->substr(from, to - from) == *at;
        from = to + 2;
      }
      if (!there) return false;
    }
  }
  return true;
}

std::vector<std::string> ClaimsOf(Pod pod) {
  std::vector<std::string> out;
  for (const auto volume : pod.spec().volumes()) {
    const std::string name = api::ClaimNameOf(pod, volume);
    if (!name.empty()) out.push_back(fmt::format("{}/{}", pod.metadata().ns(), name));
  }
  return out;
}

VolumeBinder::VolumeBinder(rt::Runtime& runtime, client::Client& client, client::InformerFactory& informers)
    : runtime_(runtime),
      client_(client),
      claims_(informers.For(Claims())),
      volumes_(informers.For(Volumes())),
      classes_(informers.For(api::storage_v1::StorageClassInfo())),
      pods_(informers.For(api::core_v1::PodInfo())),
      nodes_(informers.For(api::core_v1::NodeInfo())),
      changed_(runtime) {
  volumes_.AddIndex(std::string(kByClass), [](const api::Object& volume) {
    return std::vector<std::string>{std::string(api::ClassOf(PersistentVolume(volume.tree())))};
  });
  const auto wake = [this](const ObjectPtr&, const ObjectPtr&) {
    if (!assumed_.empty()) changed_.NotifyAll();
  };
  claims_.AddHandler(wake);
  volumes_.AddHandler(wake);
  pods_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
    if (after == nullptr && assumed_.contains(before->uid())) changed_.NotifyAll();
  });
  nodes_.AddHandler([wake](const ObjectPtr& before, const ObjectPtr& after) {
    if (after == nullptr) wake(before, after);
  });
}

Ok VolumeBinder::WaitSynced() {
  TRY(claims_.WaitSynced());
  TRY(volumes_.WaitSynced());
  return classes_.WaitSynced();
}

std::vector<ObjectPtr> VolumeBinder::Candidates(const api::Object& claim) const {
  std::vector<ObjectPtr> out;
  const auto volume = volume_of_.find(KeyOf(claim));
  for (ObjectPtr& each : volumes_.ByIndex(kByClass, api::ClassOf(PersistentVolumeClaim(claim.tree())))) {
    const bool free = volume == volume_of_.end() ? !taken_.contains(each->name()) : each->name() == volume->second;
    if (free) out.push_back(std::move(each));
  }
  return out;
}

std::string VolumeBinder::NodeFor(const api::Object& claim) const {
  const auto node = node_of_.find(KeyOf(claim));
  return node != node_of_.end() ? node->second : std::string(api::SelectedNode(claim));
}

void VolumeBinder::Assume(const std::string& pod_uid, const std::string& node, const VolumePlan& plan) {
  Assumed& assumed = assumed_[pod_uid];
  assumed.node = node;
  for (const VolumePlan::Provision& each : plan.provisions) {
    assumed.provisions.push_back(KeyOf(*each.claim));
    node_of_[assumed.provisions.back()] = node;
  }
  for (const VolumePlan::Binding& each : plan.bindings) {
    const std::string claim = KeyOf(*each.claim);
    const std::string volume(each.volume->name());
    assumed.bindings[volume] = claim;
    volume_of_[claim] = volume;
    taken_[volume] = claim;
  }
}

void VolumeBinder::Forget(const std::string& pod_uid) {
  const auto at = assumed_.find(pod_uid);
  if (at == assumed_.end()) return;
  const Assumed gone = std::move(at->second);
  assumed_.erase(at);
  // Several pods may have decided the same.
  const auto others = [&](const std::string& claim) {
    return std::ranges::any_of(assumed_, [&](const auto& entry) {
      return std::ranges::find(entry.second.provisions, claim) != entry.second.provisions.end();
    });
  };
  for (const std::string& claim : gone.provisions) {
    if (!others(claim)) node_of_.erase(claim);
  }
  for (const auto& [volume, claim] : gone.bindings) {
    const bool kept = std::ranges::any_of(
        assumed_, [&](const auto& entry) { return entry.second.bindings.contains(volume); });
    if (kept) continue;
    taken_.erase(volume);
    volume_of_.erase(claim);
  }
}

Ok VolumeBinder::Write(const std::string& node, VolumePlan& plan) {
  for (VolumePlan::Binding& binding : plan.bindings) {
    doc::Document copy = doc::Document::Copy(binding.volume->tree());
    if (!api::ReferToClaim(copy, PersistentVolumeClaim(binding.claim->tree()))) continue;
    binding.written = RevisionOf(*TRY(client_.Update(Volumes(), NameOf(*binding.volume), copy.root)));
  }
  for (VolumePlan::Provision& provision : plan.provisions) {
    if (api::SelectedNode(*provision.claim) == node) continue;
    doc::Document copy = doc::Document::Copy(provision.claim->tree());
    api::core_v1::PersistentVolumeClaimEdit(copy).metadata().put_annotations(api::kSelectedNode, node);
    provision.written = RevisionOf(*TRY(client_.Update(Claims(), NameOf(*provision.claim), copy.root)));
  }
  return {};
}

Ok VolumeBinder::Carry(const api::Object& pod, const std::string& node, VolumePlan& plan) {
  TRY(Write(node, plan).Context("binding volumes"));
  Result<bool> done = false;
  const Ok waited = changed_.WaitUntil(
      [&] {
        done = IsDone(pod, node, plan);
        return !done.ok() || *done;
      },
      runtime_.Mono() + kBindMost);
  if (!done.ok()) return done.status().WithContext("binding volumes");
  if (waited.Failed(Reason::kTimeout)) return Timeout("binding volumes: context deadline exceeded");
  return waited;
}

Result<bool> VolumeBinder::IsDone(const api::Object& pod, const std::string& node, const VolumePlan& plan) const {
  const ObjectPtr machine = nodes_.Get({"", node});
  if (machine == nullptr) return NotFound(fmt::format("failed to get node {}", GoQuote(node)));
  const ObjectPtr now = pods_.Get(NameOf(pod));
  if (now == nullptr || now->uid() != pod.uid()) return NotFound("pod does not exist any more");
  const NodeText text{api::core_v1::Node(machine->tree()).metadata().labels(), node};
  for (const VolumePlan::Binding& binding : plan.bindings) {
    if (!TRY(IsBound(binding, text))) return false;
  }
  for (const VolumePlan::Provision& provision : plan.provisions) {
    if (!TRY(IsMade(provision, text))) return false;
  }
  return true;
}

Result<bool> VolumeBinder::IsBound(const VolumePlan::Binding& binding, const NodeText& node) const {
  const ObjectPtr object = volumes_.Get(NameOf(*binding.volume));
  const ObjectPtr claim = claims_.Get(NameOf(*binding.claim));
  if (object == nullptr) {
    return NotFound(fmt::format("failed to check binding: persistentvolume {} not found",
                                GoQuote(binding.volume->name())));
  }
  if (claim == nullptr || claim->uid() != binding.claim->uid()) {
    return NotFound(fmt::format("failed to check binding: persistentvolumeclaim {} not found",
                                GoQuote(binding.claim->name())));
  }
  if (RevisionOf(*object) < binding.written) return false;  // what we wrote is not seen yet
  const PersistentVolume volume(object->tree());
  if (!api::IsReachable(volume, node)) {
    return Conflict(fmt::format("pv {} node affinity doesn't match node {}", GoQuote(object->name()),
                                GoQuote(node.name)));
  }
  if (volume.spec().claim_ref().uid().empty()) {
    return Conflict(fmt::format("ClaimRef got reset for pv {}", GoQuote(object->name())));
  }
  return api::IsFullyBound(PersistentVolumeClaim(claim->tree()));
}

Result<bool> VolumeBinder::IsMade(const VolumePlan::Provision& provision, const NodeText& node) const {
  const ObjectPtr object = claims_.Get(NameOf(*provision.claim));
  if (object == nullptr || object->uid() != provision.claim->uid()) {
    return NotFound(fmt::format("failed to check provisioning pvc: persistentvolumeclaim {} not found",
                                GoQuote(provision.claim->name())));
  }
  if (RevisionOf(*object) < provision.written) return false;
  const PersistentVolumeClaim claim(object->tree());
  if (api::SelectedNode(*object) != node.name) {
    return Conflict(fmt::format("provisioning failed for PVC {}", GoQuote(object->name())));
  }
  if (claim.spec().volume_name().empty()) return false;
  const ObjectPtr volume = volumes_.Get({"", std::string(claim.spec().volume_name())});
  if (volume == nullptr) return false;  // it may come
  if (!api::IsReachable(PersistentVolume(volume->tree()), node)) {
    return Conflict(fmt::format("pv {} node affinity doesn't match node {}", GoQuote(volume->name()),
                                GoQuote(node.name)));
  }
  return api::IsFullyBound(claim);
}

}  // namespace knarr::scheduler
