#include "controller/node_taints.h"

#include <algorithm>

#include "api/tolerations.h"

namespace knarr::controller {
namespace {

constexpr std::string_view kNoSchedule = "NoSchedule";
constexpr std::string_view kNoExecute = "NoExecute";

constexpr std::string_view kUnschedulable = "node.kubernetes.io/unschedulable";
constexpr std::string_view kUnreachable = "node.kubernetes.io/unreachable";
constexpr std::string_view kNotReady = "node.kubernetes.io/not-ready";
// What DefaultTolerationSeconds gives.
constexpr Duration kTolerationDefault = 300s;
// A century, which is as good as what more seconds would mean: times that far away have no number.
constexpr int64_t kSecondsMost = int64_t{100} * 365 * 24 * 3600;
constexpr std::string_view kAgentConditions[] = {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"};

struct ConditionTaint {
  std::string_view condition;
  std::string_view status;
  std::string_view key;
  bool executes;  ///< pods leave, too
};
constexpr ConditionTaint kTaints[] = {
    {"Ready", "False", kNotReady, true},
    {"Ready", "Unknown", kUnreachable, true},
    {"MemoryPressure", "True", "node.kubernetes.io/memory-pressure", false},
    {"DiskPressure", "True", "node.kubernetes.io/disk-pressure", false},
    {"NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable", false},
    {"PIDPressure", "True", "node.kubernetes.io/pid-pressure", false},
};

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

std::optional<Duration> StaysFor(api::core_v1::Pod pod, api::core_v1::Taint taint) {
  std::optional<Duration> shortest;
  bool tolerated = false;
  for (api::core_v1::Toleration toleration : pod.spec().tolerations()) {
    if (!api::Tolerates(toleration, api::TaintText::Of(taint))) continue;
    tolerated = true;
    if (auto seconds = toleration.toleration_seconds()) {
      const Duration stays = std::chrono::seconds(std::clamp<int64_t>(*seconds, 0, kSecondsMost));
      shortest = std::min(shortest.value_or(stays), stays);
    }
  }
  if (tolerated) return shortest;
  const bool ours = taint.key() == kUnreachable || taint.key() == kNotReady;
  return ours ? kTolerationDefault : Duration{};
}

bool MarkUnknown(api::core_v1::NodeEdit node, WallTime now) {
  bool changed = false;
  const WallTime created = node.metadata().view().creation_timestamp().value_or(now);
  for (std::string_view type : kAgentConditions) {
    auto conditions = node.status().conditions();
    size_t at = 0;
    while (at < conditions.size() && conditions[at].type() != type) ++at;
    const bool said = at < conditions.size();
    if (said && conditions[at].status() == "Unknown") continue;
    auto condition = said ? conditions[at] : conditions.Add();
    if (!said) condition.set_type(type).set_last_heartbeat_time(created);
    condition.set_status("Unknown")
        .set_reason(said ? "NodeStatusUnknown" : "NodeStatusNeverUpdated")
        .set_message(said ? "Kubelet stopped posting node status." : "Kubelet never posted node status.")
        .set_last_transition_time(now);
    changed = true;
  }
  return changed;
}

}  // namespace knarr::controller
