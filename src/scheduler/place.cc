#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "scheduler/plugin.h"
#include "scheduler/volumes.h"

namespace knarr::scheduler {
namespace {

/// "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable."
std::string NothingFits(size_t nodes, const std::map<std::string, int>& reasons) {
  std::vector<std::string> parts;
  for (const auto& [reason, count] : reasons) parts.push_back(fmt::format("{} {}", count, reason));
  std::ranges::sort(parts);
  return fmt::format("0/{} nodes are available: {}.", nodes, fmt::join(parts, ", "));
}

// Upstream's minFeasibleNodesToFind, and its rule for how large a part of a large cluster is looked at.
constexpr size_t kFeasibleLeast = 100;
constexpr size_t kPercentageLeast = 5;

/// How many nodes that a pod fits on are enough to choose from.
size_t FeasibleEnough(size_t nodes) {
  if (nodes < kFeasibleLeast) return nodes;
  const size_t less = nodes / 125;
  const size_t percentage = std::max(kPercentageLeast, less < 50 ? 50 - less : 0);
  return std::max(kFeasibleLeast, nodes * percentage / 100);
}

}  // namespace

bool Fits(const PodInfo& pod, const NodeInfo& node, const Plugins& plugins) {
  return std::ranges::all_of(plugins.filters, [&](const auto& filter) { return filter->Reasons(pod, node).empty(); });
}

Placement Place(const PodInfo& pod, const Snapshot& snapshot, const Plugins& plugins, uint64_t tie_break) {
  Placement out;
  if (snapshot.nodes().empty()) {
    out.message = "no nodes available to schedule pods";
    return out;
  }
  if (pod.volumes != nullptr && !pod.volumes->unresolvable.empty()) {
    out.message = fmt::format("0/{} nodes are available: {}.", snapshot.nodes().size(), pod.volumes->unresolvable);
    return out;
  }
  std::vector<const NodeInfo*> feasible;
  std::map<std::string, int> reasons;
  // Where not all are looked at, each has the same chance: begins anywhere, and goes round.
  const std::vector<const NodeInfo*>& nodes = snapshot.nodes();
  const size_t enough = FeasibleEnough(nodes.size());
  const size_t first = enough < nodes.size() ? tie_break % nodes.size() : 0;
  for (size_t looked = 0; looked < nodes.size() && feasible.size() < enough; ++looked) {
    const NodeInfo& node = *nodes[(first + looked) % nodes.size()];
    std::vector<std::string> why;
    for (const auto& filter : plugins.filters) {
      why = filter->Reasons(pod, node);
      if (!why.empty()) break;
    }
    if (why.empty()) feasible.push_back(&node);
    for (std::string& reason : why) reasons[std::move(reason)]++;
  }
  out.feasible = feasible.size();
  if (feasible.empty()) {
    out.message = NothingFits(snapshot.nodes().size(), reasons);
    return out;
  }
  std::vector<int64_t> totals(feasible.size(), 0);
  if (feasible.size() > 1) {
    for (const auto& scorer : plugins.scorers) {
      std::vector<int64_t> scores = scorer->Score(pod, feasible);
      for (size_t i = 0; i < totals.size(); ++i) totals[i] += scores[i] * scorer->weight();
    }
  }
  const int64_t best = *std::ranges::max_element(totals);
  std::vector<const NodeInfo*> equals;
  for (size_t i = 0; i < totals.size(); ++i) {
    if (totals[i] == best) equals.push_back(feasible[i]);
  }
  out.node = std::string(equals[tie_break % equals.size()]->name);
  return out;
}

}  // namespace knarr::scheduler
