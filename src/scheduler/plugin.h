#pragma once

// What decides where a pod goes. A filter says whether a node can take it at all, a scorer how well it would do there.
// Both are pure: they read the snapshot and nothing else. Adding one is adding a file and a line in plugins/all.cc.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/snapshot.h"

namespace knarr::scheduler {

class Filter {
 public:
  virtual ~Filter() = default;
  virtual std::string_view name() const = 0;
  /// Empty when the node can take the pod; otherwise why not, as `describe` shows it ("Insufficient cpu"). Several when
  /// several things are short.
  virtual std::vector<std::string> Reasons(const PodInfo& pod, const NodeInfo& node) const = 0;
};

class Scorer {
 public:
  virtual ~Scorer() = default;
  virtual std::string_view name() const = 0;
  virtual int weight() const = 0;
  /// 0 (worst) … 100 (best) for each node, in their order.
  virtual std::vector<int64_t> Score(const PodInfo& pod, std::span<const NodeInfo* const> nodes) const = 0;
};

inline constexpr int64_t kScoreMost = 100;

/// Cheap and often decisive filters first.
struct Plugins {
  std::vector<std::unique_ptr<Filter>> filters;
  std::vector<std::unique_ptr<Scorer>> scorers;
};
Plugins DefaultPlugins();

/// Where the pod goes, or why nowhere.
struct Placement {
  std::string node;     ///< "" when nothing fits
  std::string message;  ///< then: "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable."
  size_t feasible = 0;  ///< how many nodes could have taken it
};
/// Whether the node can take the pod.
bool Fits(const PodInfo& pod, const NodeInfo& node, const Plugins& plugins);
/// `tie_break` picks among equally good nodes.
Placement Place(const PodInfo& pod, const Snapshot& snapshot, const Plugins& plugins, uint64_t tie_break);

}  // namespace knarr::scheduler
