#include "controller/node_taints.h"

#include <algorithm>

namespace knarr::controller {
namespace {

constexpr std::string_view kNoSchedule = "NoSchedule";
constexpr std::string_view kNoExecute = "NoExecute";

struct ConditionTaint {
  std::string_view condition;
  std::string_view status;
  std::string_view key;
  bool executes;  ///< pods leave, too
};
constexpr ConditionTaint kTaints[] = {
    {"Ready", "False", "node.kubernetes.io/not-ready", true},
    {"Ready", "Unknown", "node.kubernetes.io/unreachable", true},
    {"MemoryPressure", "True", "node.kubernetes.io/memory-pressure", false},
    {"DiskPressure", "True", "node.kubernetes.io/disk-pressure", false},
    {"NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable", false},
    {"PIDPressure", "True", "node.kubernetes.io/pid-pressure", false},
};
constexpr std::string_view kUnschedulable = "node.kubernetes.io/unschedulable";

}  // namespace

std::vector<NodeTaint> TaintsFor(api::core_v1::Node node, bool heard) {
  std::vector<NodeTaint> out;
  for (const ConditionTaint& each : kTaints) {
    bool applies = !heard && each.condition == "Ready" && each.status == "Unknown";
    for (auto condition : node.status().conditions()) {
      if (condition.type() != each.condition) continue;
      const std::string_view status = heard ? condition.status() : std::string_view("Unknown");
      applies = applies || status == each.status;
    }
    if (!applies) continue;
    out.push_back({each.key, kNoSchedule});
    if (each.executes) out.push_back({each.key, kNoExecute});
  }
  if (node.spec().unschedulable()) out.push_back({kUnschedulable, kNoSchedule});
  return out;
}

bool IsConditionTaint(const NodeTaint& taint) {
  if (taint.effect == kNoSchedule && taint.key == kUnschedulable) return true;
  return std::ranges::any_of(kTaints, [&](const ConditionTaint& each) {
    return taint.key == each.key && (taint.effect == kNoSchedule || (each.executes && taint.effect == kNoExecute));
  });
}

bool FitTaints(api::core_v1::NodeEdit node, const std::vector<NodeTaint>& wanted, WallTime now) {
  bool changed = false;
  auto taints = node.spec().taints();
  std::vector<NodeTaint> missing = wanted;
  for (size_t i = 0; i < taints.size();) {
    const NodeTaint present{taints[i].key(), taints[i].effect()};
    if (IsConditionTaint(present) && std::erase(missing, present) == 0) {
      taints.Erase(i);
      changed = true;
    } else {
      ++i;
    }
  }
  for (const NodeTaint& taint : missing) {
    taints.Add().set_key(taint.key).set_effect(taint.effect).set_time_added(now);
    changed = true;
  }
  if (node.spec().view().taints().empty()) node.spec().clear_taints();
  return changed;
}

}  // namespace knarr::controller
