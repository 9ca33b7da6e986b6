#pragma once

// Label and field selectors, as apimachinery's labels and fields packages read, print and match them.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace knarr {

enum class SelectorOperator : uint8_t {
  kEquals,        // a=b
  kDoubleEquals,  // a==b: the same, but printed as it was written
  kNotEquals,     // a!=b: also true without the label
  kIn,
  kNotIn,  // also true without the label
  kExists,
  kDoesNotExist,
  kGreaterThan,
  kLessThan,
};

/// One condition of a label selector.
class Requirement {
 public:
  /// Checks key, operator and values against each other. BadRequest with upstream's message.
  static Result<Requirement> Create(std::string key, SelectorOperator op, std::vector<std::string> values);

  const std::string& key() const { return key_; }
  SelectorOperator op() const { return op_; }
  const std::vector<std::string>& values() const { return values_; }
  /// Whether an object whose label `key` has this value (nullopt: has no such label) meets it.
  bool Matches(std::optional<std::string_view> value) const;
  std::string ToString() const;
  bool operator==(const Requirement&) const = default;

 private:
  friend class LabelSelector;
  Requirement(std::string key, SelectorOperator op, std::vector<std::string> values)
      : key_(std::move(key)), op_(op), values_(std::move(values)) {}
  std::string key_;
  SelectorOperator op_;
  std::vector<std::string> values_;
};

/// A conjunction of requirements, ordered by key. Default-made: matches everything.
class LabelSelector {
 public:
  LabelSelector() = default;
  explicit LabelSelector(std::vector<Requirement> requirements);
  static LabelSelector Nothing();
  /// "a=b,c in (x,y),!d,e notin (z),f>1". BadRequest with apimachinery's message.
  static Result<LabelSelector> Parse(std::string_view text);
  /// All of these labels, unchecked.
  static LabelSelector FromMap(const std::vector<std::pair<std::string, std::string>>& labels);

  /// `lookup(key)` returns the label's value as optional<string_view>.
  template <typename Lookup>
  bool Matches(Lookup&& lookup) const {
    if (nothing_) return false;
    return std::ranges::all_of(requirements_, [&](const Requirement& r) { return r.Matches(lookup(r.key())); });
  }
  /// True when everything matches.
  bool empty() const { return !nothing_ && requirements_.empty(); }
  bool nothing() const { return nothing_; }
  const std::vector<Requirement>& requirements() const { return requirements_; }
  /// The only value that `key` may have, where the selector fixes one: for looking up an index.
  std::optional<std::string_view> ExactValue(std::string_view key) const;
  /// The canonical text: Parse reads it back.
  std::string ToString() const;
  bool operator==(const LabelSelector&) const = default;

 private:
  std::vector<Requirement> requirements_;
  bool nothing_ = false;
};

struct FieldRequirement {
  std::string field;
  bool equal = true;  ///< false: must differ
  std::string value;
  bool operator==(const FieldRequirement&) const = default;
};

/// "metadata.name=a,status.phase!=Running": a conjunction over fields, where an absent field is "".
class FieldSelector {
 public:
  FieldSelector() = default;
  explicit FieldSelector(std::vector<FieldRequirement> requirements) : requirements_(std::move(requirements)) {}
  /// BadRequest with apimachinery's message. Which fields there are is the caller's to check.
  static Result<FieldSelector> Parse(std::string_view text);

  /// `lookup(field)` returns the field's value as string_view.
  template <typename Lookup>
  bool Matches(Lookup&& lookup) const {
    return std::ranges::all_of(requirements_,
                               [&](const FieldRequirement& r) { return (lookup(r.field) == r.value) == r.equal; });
  }
  bool empty() const { return requirements_.empty(); }
  const std::vector<FieldRequirement>& requirements() const { return requirements_; }
  std::optional<std::string_view> ExactValue(std::string_view field) const;
  std::string ToString() const;
  bool operator==(const FieldSelector&) const = default;

 private:
  std::vector<FieldRequirement> requirements_;
};

}  // namespace knarr
