#include "api/label_selector.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace knarr::api {

Result<LabelSelector> ToLabelSelector(const meta_v1::LabelSelector& selector) {
  if (!selector) return LabelSelector::Nothing();
  std::vector<Requirement> requirements;
  for (const auto& [key, value] : selector.match_labels()) {
    requirements.push_back(
        TRY(Requirement::Create(std::string(key), SelectorOperator::kEquals, std::vector{std::string(value)})));
  }
  for (const meta_v1::LabelSelectorRequirement expression : selector.match_expressions()) {
    const std::string_view name = expression.operator_();
    SelectorOperator op = SelectorOperator::kIn;
    if (name == "NotIn") {
      op = SelectorOperator::kNotIn;
    } else if (name == "Exists") {
      op = SelectorOperator::kExists;
    } else if (name == "DoesNotExist") {
      op = SelectorOperator::kDoesNotExist;
    } else if (name != "In") {
      return BadRequest(GoQuote(name) + " is not a valid label selector operator");
    }
    std::vector<std::string> values;
    for (const std::string_view value : expression.values()) values.emplace_back(value);
    requirements.push_back(TRY(Requirement::Create(std::string(expression.key()), op, std::move(values))));
  }
  return LabelSelector(std::move(requirements));
}

LabelSelector ToLabelSelector(const StringMap& labels) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& [key, value] : labels) pairs.emplace_back(key, value);
  return LabelSelector::FromMap(pairs);
}

bool Matches(const LabelSelector& selector, const StringMap& labels) {
  return selector.Matches([&labels](std::string_view key) { return labels.Find(key); });
}

std::string FormatLabelSelector(const meta_v1::LabelSelector& selector) {
  const Result<LabelSelector> whole = ToLabelSelector(selector);
  if (!whole.ok()) return "<error>";
  const std::string text = whole->ToString();
  return text.empty() ? "<none>" : text;
}

std::string FormatLabels(const StringMap& labels) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : labels) parts.push_back(std::string(key) + "=" + std::string(value));
  std::ranges::sort(parts);
  return parts.empty() ? "<none>" : Join(parts, ",");
}

}  // namespace knarr::api
