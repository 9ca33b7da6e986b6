#include "api/managed/scale_fields.h"

#include <algorithm>
#include <array>
#include <vector>

namespace knarr::api::managed {
namespace {

using doc::Value;

constexpr std::array<std::string_view, 2> kReplicas = {"f:spec", "f:replicas"};
constexpr std::string_view kScaleVersion = "autoscaling/v1";

}  // namespace

Value ScaleManagedFields(const Value& workload_fields, std::string_view api_version, doc::Arena& arena) {
  Managers out;
  const Managers workload = Managers::Stored(workload_fields);
  for (Manager manager : workload.all()) {
    if (manager.api_version != api_version || !Contains(manager.fields, kReplicas)) continue;
    manager.api_version = kScaleVersion;
    manager.fields = SetOf(kReplicas, arena);
    out.all().push_back(manager);
  }
  return out.ToList(arena);
}

Value WorkloadManagedFields(const Value& workload_fields, const Value& scale_fields, std::string_view api_version,
                            doc::Arena& arena) {
  const Managers workload = Managers::Stored(workload_fields);
  std::vector<Manager> scale = Managers::Stored(scale_fields).all();
  const Value replicas = SetOf(kReplicas, arena);
  Managers out;
  for (Manager manager : workload.all()) {
    if (manager.api_version != api_version) continue;
    if (Contains(manager.fields, kReplicas)) {
      const size_t taken = std::erase_if(scale, [&](const Manager& one) { return one.SameAs(manager); });
      if (taken == 0) manager.fields = Difference(manager.fields, replicas, arena);
      if (manager.fields.empty()) continue;
    }
    out.all().push_back(manager);
  }
  for (Manager& manager : scale) {
    if (!Contains(manager.fields, kReplicas)) continue;
    // Upstream keeps times of managers that the workload has had under the same name and version only.
    const auto before = std::ranges::find_if(workload.all(), [&](const Manager& one) { return one.SameAs(manager); });
    manager.time = before != workload.all().end() ? before->time : std::string_view();
    manager.api_version = api_version;
    manager.fields = replicas;
    out.all().push_back(manager);
  }
  return out.ToList(arena);
}

}  // namespace knarr::api::managed
