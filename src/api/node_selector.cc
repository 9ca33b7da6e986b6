#include "api/node_selector.h"

#include <charconv>
#include <optional>

namespace knarr::api {
namespace {

using core_v1::NodeSelectorRequirement;
using core_v1::NodeSelectorTerm;

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

}  // namespace

bool Matches(NodeSelectorTerm term, const NodeText& node) {
  if (term.match_expressions().empty() && term.match_fields().empty()) return false;
  for (NodeSelectorRequirement requirement : term.match_expressions()) {
    if (!Meets(requirement, node.labels.Find(requirement.key()))) return false;
  }
  for (NodeSelectorRequirement requirement : term.match_fields()) {
    if (requirement.key() != "metadata.name" || !Meets(requirement, node.name)) return false;
  }
  return true;
}

bool Matches(core_v1::NodeSelector selector, const NodeText& node) {
  for (NodeSelectorTerm term : selector.node_selector_terms()) {
    if (Matches(term, node)) return true;
  }
  return false;
}

}  // namespace knarr::api
