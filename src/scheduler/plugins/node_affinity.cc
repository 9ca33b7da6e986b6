// spec.nodeSelector and spec.affinity.nodeAffinity.

#include <algorithm>
#include <charconv>
#include <optional>

#include "scheduler/plugins/plugins.h"

namespace knarr::scheduler {
namespace {

using api::core_v1::NodeSelectorRequirement;
using api::core_v1::NodeSelectorTerm;

std::optional<int64_t> Number(std::string_view text) {
  int64_t out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

bool Meets(NodeSelectorRequirement requirement, std::optional<std::string_view> value) {
  const std::string_view op = requirement.operator_();
  auto listed = [&] {
    for (std::string_view wanted : requirement.values()) {
      if (value && wanted == *value) return true;
    }
    return false;
  };
  if (op == "In") return listed();
  if (op == "NotIn") return !listed();
  if (op == "Exists") return value.has_value();
  if (op == "DoesNotExist") return !value.has_value();
  if (!value || requirement.values().size() != 1) return false;
  std::optional<int64_t> have = Number(*value);
  std::optional<int64_t> bound = Number(requirement.values()[0]);
  if (!have || !bound) return false;
  return op == "Gt" ? *have > *bound : op == "Lt" && *have < *bound;
}

/// All of a term's requirements; a term without any fits nothing.
bool Meets(NodeSelectorTerm term, const NodeInfo& node) {
  if (term.match_expressions().empty() && term.match_fields().empty()) return false;
  auto labels = node.node().metadata().labels();
  for (NodeSelectorRequirement requirement : term.match_expressions()) {
    if (!Meets(requirement, labels.Find(requirement.key()))) return false;
  }
  for (NodeSelectorRequirement requirement : term.match_fields()) {
    if (requirement.key() != "metadata.name" || !Meets(requirement, node.name())) return false;
  }
  return true;
}

class NodeAffinityFilter : public Filter {
 public:
  std::string_view name() const override { return "NodeAffinity"; }
  std::vector<std::string> Reasons(const PodInfo& pod, const NodeInfo& node) const override {
    if (Fits(pod, node)) return {};
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
    if (!required) return true;
    for (NodeSelectorTerm term : required.node_selector_terms()) {
      if (Meets(term, node)) return true;
    }
    return false;
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
        if (Meets(term.preference(), *nodes[i])) sums[i] += term.weight();
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
