// spec.nodeSelector and spec.affinity.nodeAffinity.

#include <algorithm>

#include "api/node_selector.h"
#include "scheduler/plugins/plugins.h"

namespace knarr::scheduler {
namespace {

class NodeAffinityFilter : public Filter {
 public:
  std::string_view name() const override { return "NodeAffinity"; }
  std::vector<std::string> Reasons(const PodInfo& pod, const NodeInfo& node) const override {
    if (!pod.selects_nodes || Fits(pod, node)) return {};
    return {"node(s) didn't match Pod's node affinity/selector"};
  }

 private:
  static bool Fits(const PodInfo& pod, const NodeInfo& node) {
    auto spec = pod.pod().spec();
    auto labels = node.node().metadata().labels();
    for (auto [key, value] : spec.node_selector()) {
      if (labels.Find(key) != value) return false;
    }
    auto required = spec.affinity().node_affinity().required_during_scheduling_ignored_during_execution();
    return !required || api::Matches(required, node.text());
  }
};

class NodeAffinityScorer : public Scorer {
 public:
  std::string_view name() const override { return "NodeAffinity"; }
  int weight() const override { return 2; }
  std::vector<int64_t> Score(const PodInfo& pod, std::span<const NodeInfo* const> nodes) const override {
    auto preferred = pod.pod().spec().affinity().node_affinity().preferred_during_scheduling_ignored_during_execution();
    std::vector<int64_t> sums(nodes.size(), 0);
    for (size_t i = 0; i < nodes.size(); ++i) {
      for (auto term : preferred) {
        if (api::Matches(term.preference(), nodes[i]->text())) sums[i] += term.weight();
      }
    }
    const int64_t most = sums.empty() ? 0 : *std::ranges::max_element(sums);
    for (int64_t& sum : sums) sum = most == 0 ? 0 : kScoreMost * sum / most;
    return sums;
  }
};

}  // namespace

std::unique_ptr<Filter> MakeNodeAffinityFilter() { return std::make_unique<NodeAffinityFilter>(); }
std::unique_ptr<Scorer> MakeNodeAffinityScorer() { return std::make_unique<NodeAffinityScorer>(); }

}  // namespace knarr::scheduler
