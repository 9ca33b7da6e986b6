#include "api/label_selector.h"

#include <fmt/format.h>

namespace knarr::api {

Result<LabelSelector> MakeSelector(meta_v1::LabelSelector selector) {
  if (!selector) return LabelSelector::Nothing();
  std::vector<Requirement> requirements;
  for (auto [key, value] : selector.match_labels()) {
    requirements.push_back(TRY(Requirement::Create(std::string(key), SelectorOperator::kEquals, {std::string(value)})));
  }
  for (meta_v1::LabelSelectorRequirement expression : selector.match_expressions()) {
    const std::string_view text = expression.operator_();
    SelectorOperator op = SelectorOperator::kIn;
    if (text == "NotIn") {
      op = SelectorOperator::kNotIn;
    } else if (text == "Exists") {
      op = SelectorOperator::kExists;
    } else if (text == "DoesNotExist") {
      op = SelectorOperator::kDoesNotExist;
    } else if (text != "In") {
      return BadRequest(fmt::format("\"{}\" is not a valid label selector operator", text));
    }
    std::vector<std::string> values;
    for (std::string_view value : expression.values()) values.emplace_back(value);
    requirements.push_back(TRY(Requirement::Create(std::string(expression.key()), op, std::move(values))));
  }
  return LabelSelector(std::move(requirements));
}

LabelSelector MakeSelector(StringMap labels) {
  if (labels.empty()) return LabelSelector::Nothing();
  std::vector<std::pair<std::string, std::string>> pairs;
  for (auto [key, value] : labels) pairs.emplace_back(key, value);
  return LabelSelector::FromMap(pairs);
}

bool Matches(const LabelSelector& selector, StringMap labels) {
  return selector.Matches([labels](std::string_view key) { return labels.Find(key); });
}

}  // namespace knarr::api
