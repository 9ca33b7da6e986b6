#include "cli/kubectl/sort.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/quantity.h"
#include "doc/json_path.h"

namespace knarr::cli {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

/// Takes the digits from the front of `text`.
std::string_view TakeDigits(std::string_view& text) {
  const auto end = std::ranges::find_if_not(text, IsDigit);
  const auto count = static_cast<size_t>(end - text.begin());
  const std::string_view digits = text.substr(0, count);
  text.remove_prefix(count);
  return digits;
}

std::string_view WithoutZeros(std::string_view digits) {
  return digits.substr(std::min(digits.find_first_not_of('0'), digits.size()));
}

struct Key {
  api::ObjectPtr object;
  std::optional<doc::Value> value;
  std::optional<Quantity> quantity;
};

bool Less(const Key& a, const Key& b) {
  if (!a.value.has_value() || !b.value.has_value()) return !a.value.has_value() && b.value.has_value();
  if (a.value->is_number() && b.value->is_number()) return a.value->AsDouble() < b.value->AsDouble();
  if (a.quantity.has_value() && b.quantity.has_value()) return *a.quantity < *b.quantity;
  return NaturalLess(a.value->AsString(), b.value->AsString());
}

}  // namespace

bool NaturalLess(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    if (IsDigit(a.front()) != IsDigit(b.front())) return IsDigit(a.front());
    if (!IsDigit(a.front())) {
      if (a.front() != b.front()) return static_cast<unsigned char>(a.front()) < static_cast<unsigned char>(b.front());
      a.remove_prefix(1);
      b.remove_prefix(1);
      continue;
    }
    const std::string_view digits_a = TakeDigits(a);
    const std::string_view digits_b = TakeDigits(b);
    const std::string_view number_a = WithoutZeros(digits_a);
    const std::string_view number_b = WithoutZeros(digits_b);
    if (number_a.size() != number_b.size()) return number_a.size() < number_b.size();
    if (number_a != number_b) return number_a < number_b;
    if (digits_a.size() != digits_b.size()) return digits_a.size() < digits_b.size();
  }
  return a.empty() && !b.empty();
}

Ok SortObjects(std::string_view path, std::vector<api::ObjectPtr>& objects) {
  const std::string relaxed = TRY(doc::RelaxJsonPath(path));
  const doc::JsonPath parsed = TRY(doc::JsonPath::Parse(relaxed));
  std::vector<Key> keys;
  bool found = objects.empty();
  for (api::ObjectPtr& object : objects) {
    const auto results = TRY(parsed.Find(object->tree(), doc::JsonPath::MissingKeys::kIgnore));
    Key& key = keys.emplace_back();
    key.object = object;
    if (results.empty() || results[0].empty()) continue;
    found = true;
    if (results[0][0].is_null()) continue;
    key.value = results[0][0];
    if (!key.value->is_string()) continue;
    auto quantity = Quantity::Parse(key.value->AsString());
    if (quantity.ok()) key.quantity = *std::move(quantity);
  }
  if (!found) {
    return BadRequest(fmt::format("couldn't find any field with path \"{}\" in the list of objects", relaxed));
  }
  std::ranges::stable_sort(keys, Less);
  for (size_t i = 0; i < keys.size(); ++i) objects[i] = std::move(keys[i].object);
  return {};
}

}  // namespace knarr::cli
