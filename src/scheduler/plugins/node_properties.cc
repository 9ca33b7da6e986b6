// What a node says of itself: its name, whether it takes pods at all, taints.

#include <algorithm>

#include "api/tolerations.h"
#include "scheduler/plugins/plugins.h"

namespace knarr::scheduler {
namespace {

constexpr std::string_view kUnschedulableTaint = "node.kubernetes.io/unschedulable";

class NodeUnschedulable : public Filter {
 public:
  std::string_view name() const override { return "NodeUnschedulable"; }
  std::vector<std::string> Reasons(const PodInfo& pod, const NodeInfo& node) const override {
    if (!node.unschedulable || api::Tolerates(pod.pod(), {kUnschedulableTaint, "", "NoSchedule"})) return {};
    return {"node(s) were unschedulable"};
  }
};

class NodeName : public Filter {
 public:
  std::string_view name() const override { return "NodeName"; }
  std::vector<std::string> Reasons(const PodInfo& pod, const NodeInfo& node) const override {
    if (!pod.names_node || pod.pod().spec().node_name() == node.name) return {};
    return {"node(s) didn't match the requested node name"};
  }
};

class TaintFilter : public Filter {
 public:
  std::string_view name() const override { return "TaintToleration"; }
  std::vector<std::string> Reasons(const PodInfo& pod, const NodeInfo& node) const override {
    for (const NodeInfo::Taint& taint : node.taints) {
      if (taint.text.effect == "PreferNoSchedule") continue;
      if (api::Tolerates(pod.pod(), taint.text)) continue;
      return std::vector(1, taint.untolerated);
    }
    return {};
  }
};

/// Fewer taints that the pod would rather avoid are better.
class TaintScorer : public Scorer {
 public:
  std::string_view name() const override { return "TaintToleration"; }
  int weight() const override { return 3; }
  std::vector<int64_t> Score(const PodInfo& pod, std::span<const NodeInfo* const> nodes) const override {
    std::vector<int64_t> counts;
    for (const NodeInfo* node : nodes) {
      int64_t count = 0;
      for (const auto& [taint, untolerated] : node->taints) {
        if (taint.effect == "PreferNoSchedule" && !api::Tolerates(pod.pod(), taint)) count++;
      }
      counts.push_back(count);
    }
    const int64_t most = counts.empty() ? 0 : *std::ranges::max_element(counts);
    for (int64_t& count : counts) count = most == 0 ? kScoreMost : kScoreMost - kScoreMost * count / most;
    return counts;
  }
};

}  // namespace

std::unique_ptr<Filter> MakeNodeUnschedulable() { return std::make_unique<NodeUnschedulable>(); }
std::unique_ptr<Filter> MakeNodeName() { return std::make_unique<NodeName>(); }
std::unique_ptr<Filter> MakeTaintFilter() { return std::make_unique<TaintFilter>(); }
std::unique_ptr<Scorer> MakeTaintScorer() { return std::make_unique<TaintScorer>(); }

}  // namespace knarr::scheduler
