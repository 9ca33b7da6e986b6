#include "controller/framework/pods.h"

#include <algorithm>
#include <charconv>

namespace knarr::controller {
namespace {

using api::core_v1::Pod;

std::optional<WallTime> ReadySince(Pod pod) {
  for (auto condition : pod.status().conditions()) {
    if (condition.type() == "Ready" && condition.status() == "True") {
      return condition.last_transition_time().value_or(WallTime{});
    }
  }
  return std::nullopt;
}

int PhaseRank(Pod pod) {
  const std::string_view phase = pod.status().phase();
  if (phase == "Running") return 2;
  return phase == "Unknown" ? 1 : 0;
}

int DeletionCost(Pod pod) {
  auto text = pod.metadata().annotations().Find("controller.kubernetes.io/pod-deletion-cost");
  int cost = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), cost);
  return cost;
}

int RestartsMost(Pod pod) {
  int most = 0;
  for (auto status : pod.status().container_statuses()) most = std::max(most, status.restart_count());
  return most;
}

}  // namespace

bool IsReady(Pod pod) { return ReadySince(pod).has_value(); }

bool IsAvailable(Pod pod, Duration min_ready, WallTime now, Duration* left) {
  std::optional<WallTime> since = ReadySince(pod);
  if (!since) return false;
  if (min_ready == Duration::zero() || *since + min_ready <= now) return true;
  if (left != nullptr) *left = *since + min_ready - now;
  return false;
}

bool IsFinished(Pod pod) {
  const std::string_view phase = pod.status().phase();
  return phase == "Succeeded" || phase == "Failed";
}

bool IsActive(Pod pod) { return !IsFinished(pod) && !pod.metadata().deletion_timestamp(); }

bool DeleteFirst(const DeletionRank& a, const DeletionRank& b) {
  const bool a_bound = !a.pod.spec().node_name().empty();
  const bool b_bound = !b.pod.spec().node_name().empty();
  if (a_bound != b_bound) return !a_bound;
  if (PhaseRank(a.pod) != PhaseRank(b.pod)) return PhaseRank(a.pod) < PhaseRank(b.pod);
  if (IsReady(a.pod) != IsReady(b.pod)) return !IsReady(a.pod);
  if (DeletionCost(a.pod) != DeletionCost(b.pod)) return DeletionCost(a.pod) < DeletionCost(b.pod);
  if (a.pods_on_node != b.pods_on_node) return a.pods_on_node > b.pods_on_node;
  const WallTime a_ready = ReadySince(a.pod).value_or(WallTime{});
  const WallTime b_ready = ReadySince(b.pod).value_or(WallTime{});
  if (a_ready != b_ready) return a_ready > b_ready;
  if (RestartsMost(a.pod) != RestartsMost(b.pod)) return RestartsMost(a.pod) > RestartsMost(b.pod);
  auto a_created = a.pod.metadata().creation_timestamp().value_or(WallTime{});
  auto b_created = b.pod.metadata().creation_timestamp().value_or(WallTime{});
  if (a_created != b_created) return a_created > b_created;
  return a.pod.metadata().uid() < b.pod.metadata().uid();
}

}  // namespace knarr::controller
