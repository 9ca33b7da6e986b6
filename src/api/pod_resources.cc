#include "api/pod_resources.h"

#include <algorithm>

namespace knarr::api {
namespace {

using doc::Value;

bool IsPodLevel(std::string_view resource, bool hugepages) {
  return resource == "cpu" || resource == "memory" || (hugepages && resource.starts_with("hugepages-"));
}

bool IsSidecar(const Value& container) { return container.At("restartPolicy").AsString() == "Always"; }

// A resize that the node can't grant is as if it had not been asked for.
bool ResizeInfeasible(const Value& pod) {
  for (const Value& condition : pod.Get("status", "conditions").items()) {
    if (condition.At("type").AsString() != "PodResizePending") continue;
    return condition.At("reason").AsString() == "Infeasible";
  }
  return false;
}

const Value* StatusOf(const Value& pod, std::string_view list, std::string_view container) {
  for (const Value& status : pod.Get("status", list).items()) {
    if (status.At("name").AsString() == container) return &status;
  }
  return nullptr;
}

/// Sums one side ("requests" or "limits") of all containers of a pod.
class Summing {
 public:
  Summing(const Value& pod, std::string_view side, bool use_status)
      : pod_(pod), side_(side), use_status_(use_status), infeasible_(use_status && ResizeInfeasible(pod)) {}

  ResourceList Sum() const {
    const Value& spec = pod_.At("spec");
    ResourceList sum;
    for (const Value& container : spec.At("containers").items()) AddTo(sum, Of(container, "containerStatuses"));
    ResourceList sidecars;  // those started so far
    ResourceList peak;
    for (const Value& container : spec.At("initContainers").items()) {
      const bool sidecar = IsSidecar(container);
      ResourceList own = sidecar ? Of(container, "initContainerStatuses") : Asked(container);
      if (sidecar) {
        AddTo(sum, own);
        AddTo(sidecars, own);
        RaiseTo(peak, sidecars);
      } else {
        AddTo(own, sidecars);
        RaiseTo(peak, own);
      }
    }
    RaiseTo(sum, peak);
    return sum;
  }

 private:
  ResourceList Asked(const Value& container) const { return ReadResources(container.Get("resources", side_)); }

  ResourceList Of(const Value& container, std::string_view statuses) const {
    const Value* status = use_status_ ? StatusOf(pod_, statuses, container.At("name").AsString()) : nullptr;
    if (status == nullptr || status->At("resources").is_null()) return Asked(container);
    ResourceList out = infeasible_ ? ResourceList() : Asked(container);
    RaiseTo(out, ReadResources(status->Get("resources", side_)));
    if (side_ == "requests") RaiseTo(out, ReadResources(status->At("allocatedResources")));
    return out;
  }

  const Value& pod_;
  const std::string_view side_;
  const bool use_status_;
  const bool infeasible_;
};

ResourceList SumOf(const Value& pod, std::string_view side, const PodResourcesOptions& options) {
  ResourceList sum = Summing(pod, side, options.use_status).Sum();
  const Value& given = pod.Get("status", "resources");
  ResourceList floor;  // what the pod as a whole has been given
  const bool use_given = options.use_status && !given.is_null();
  if (use_given) RaiseTo(floor, ReadResources(given.At(side)));
  if (use_given && side == "requests") RaiseTo(floor, ReadResources(pod.Get("status", "allocatedResources")));
  const bool spec_counts = !use_given || !ResizeInfeasible(pod);
  for (const doc::Member& member : pod.Get("spec", "resources", side).members()) {
    if (!IsPodLevel(member.key, options.pod_level_hugepages)) continue;
    const Quantity asked = spec_counts ? ReadQuantity(member.value) : Quantity();
    const auto at = floor.find(member.key);
    sum.insert_or_assign(std::string(member.key), at == floor.end() ? asked : std::max(asked, at->second));
  }
  return sum;
}

}  // namespace

ResourceList PodRequests(const Value& pod, const PodResourcesOptions& options) {
  ResourceList sum = SumOf(pod, "requests", options);
  if (options.overhead) AddTo(sum, ReadResources(pod.Get("spec", "overhead")));
  return sum;
}

ResourceList PodLimits(const Value& pod, const PodResourcesOptions& options) {
  ResourceList sum = SumOf(pod, "limits", options);
  if (!options.overhead) return sum;
  for (const auto& [name, amount] : ReadResources(pod.Get("spec", "overhead"))) {
    const auto at = sum.find(name);
    if (at != sum.end() && !at->second.IsZero()) at->second += amount;
  }
  return sum;
}

bool HasPodLevelResources(const Value& pod) {
  const auto any = [&](std::string_view side) {
    const auto members = pod.Get("spec", "resources", side).members();
    return std::ranges::any_of(members, [](const doc::Member& member) { return IsPodLevel(member.key, true); });
  };
  return any("requests") || any("limits");
}

}  // namespace knarr::api
