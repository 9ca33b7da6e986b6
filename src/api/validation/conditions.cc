// The conditions that newer kinds share.

#include <algorithm>
#include <set>

#include "api/meta_v1.h"
#include "api/validation/metadata.h"

namespace knarr::api::validation {
namespace {

constexpr size_t kReasonMax = 1024;
constexpr size_t kMessageMax = size_t{32} * 1024;

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsWord(char c) { return IsLetter(c) || (c >= '0' && c <= '9') || c == '_'; }

void ValidateReason(std::string_view reason, const Path& path, Errors& errors) {
  if (reason.empty()) return errors.Required(path);
  const bool fine = IsLetter(reason.front()) && IsWord(reason.back()) &&
                    std::ranges::all_of(reason, [](char c) { return IsWord(c) || c == ',' || c == ':'; });
  if (!fine) {
    errors.Invalid(path, reason,
                   "a condition reason must start with alphabetic character, optionally followed by a string of "
                   "alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. "
                   "'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used "
                   "for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')");
  }
  if (reason.size() > kReasonMax) errors.TooLong(path, kReasonMax);
}

void ValidateCondition(const meta_v1::Condition& condition, const Path& path, Errors& errors) {
  ValidateLabelName(condition.type(), path / "type", errors);
  const std::string_view status = condition.status();
  if (status != "False" && status != "True" && status != "Unknown") {
    errors.NotSupported(path / "status", status, {"False", "True", "Unknown"});
  }
  if (condition.observed_generation() < 0) {
    errors.Invalid(path / "observedGeneration", condition.observed_generation(),
                   "must be greater than or equal to zero");
  }
  if (condition.tree().At("lastTransitionTime").is_null()) errors.Required(path / "lastTransitionTime");
  ValidateReason(condition.reason(), path / "reason", errors);
  if (condition.message().size() > kMessageMax) errors.TooLong(path / "message", kMessageMax);
}

}  // namespace

void ValidateConditions(const doc::Value& conditions, const Path& path, Errors& errors) {
  std::set<std::string_view> types;
  for (size_t i = 0; i < conditions.size(); ++i) {
    const meta_v1::Condition condition(conditions[i]);
    if (!types.insert(condition.type()).second) errors.Duplicate(path[i] / "type", condition.type());
    ValidateCondition(condition, path[i], errors);
  }
}

}  // namespace knarr::api::validation
