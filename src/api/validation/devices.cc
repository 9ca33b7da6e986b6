#include "api/validation/devices.h"

#include <algorithm>

#include "api/validation/metadata.h"
#include "api/validation/storage_kinds.h"
#include "base/names.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::api::validation {

using doc::Value;

namespace {

constexpr size_t kPoolNameMax = 253;
constexpr size_t kIdentifierMax = 32;
constexpr size_t kSelectorsMax = 32;
constexpr size_t kExpressionMax = 10 * 1024;
constexpr size_t kParametersMax = 10 * 1024;
constexpr size_t kBindingConditionsMax = 4;
constexpr size_t kUuidSize = 36;

void ValidateIdentifier(std::string_view text, const Path& path, Errors& errors) {
  if (text.size() > kIdentifierMax) errors.TooLong(path, kIdentifierMax);
  errors.InvalidAll(path, text, CheckCIdentifier(text));
}

void ValidateTaintEffectOf(std::string_view effect, const Path& path, Errors& errors) {
  errors.OneOf(path, effect, {"NoExecute", "NoSchedule", "None"});
}

bool Contains(const Value& list, std::string_view text) {
  return std::ranges::any_of(list.items(), [text](const Value& item) { return item.AsString() == text; });
}

void ValidateConditionNames(const Value& list, const Path& path, Errors& errors) {
  if (!ValidateSize(list, kBindingConditionsMax, path, errors)) return;
  for (size_t i = 0; i < list.size(); ++i) ValidateLabelName(list[i].AsString(), path[i], errors);
}

// What github.com/google/uuid says of a text that it does not take; it also takes forms that the API does not.
std::string UuidProblem(std::string_view text) {
  std::string_view digits = text;
  switch (text.size()) {
    case 36 + 9:
      if (ToLower(text.substr(0, 9)) != "urn:uuid:") return "invalid urn prefix: " + GoQuote(text.substr(0, 9));
      digits = text.substr(9);
      break;
    case 36 + 2:
      if (!text.starts_with('{') || !text.ends_with('}')) return "invalid bracketed UUID format";
      digits = text.substr(1, kUuidSize);
      break;
    case 32:
    case 36:
      break;
    default:
      return "invalid UUID length: " + std::to_string(text.size());
  }
  for (size_t i = 0; i < digits.size(); ++i) {
    const bool dash = digits.size() == kUuidSize && (i == 8 || i == 13 || i == 18 || i == 23);
    const char c = digits[i];
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (dash ? c != '-' : !hex) return "invalid UUID format";
  }
  return {};
}

}  // namespace

bool ValidateSize(const Value& list, size_t most, const Path& path, Errors& errors) {
  if (list.size() <= most) return true;
  errors.TooMany(path, list.size(), most);
  return false;
}

void ValidateUnique(const Value& list, const std::function<std::string(const Value& item)>& key, const Path& path,
                    Errors& errors) {
  std::set<std::string> seen;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string own = key(list[i]);
    if (!seen.insert(own).second) errors.Duplicate(path[i], own);
  }
}

void ValidateTextSet(const Value& list, size_t most,
                     const std::function<void(std::string_view text, const Path& path)>& item, const Path& path,
                     Errors& errors) {
  if (!ValidateSize(list, most, path, errors)) return;
  for (size_t i = 0; i < list.size(); ++i) item(list[i].AsString(), path[i]);
  ValidateUnique(list, [](const Value& text) { return std::string(text.AsString()); }, path, errors);
}

void ValidatePoolName(std::string_view name, const Path& path, Errors& errors) {
  if (name.empty()) return errors.Required(path);
  if (name.size() > kPoolNameMax) errors.TooLong(path, kPoolNameMax);
  for (const std::string_view part : Split(name, '/')) ValidateDns1123Subdomain(part, path, errors);
}

void ValidateDeviceQualifiedName(std::string_view name, const Path& path, Errors& errors) {
  const std::vector<std::string_view> parts = Split(name, '/');
  // Upstream lets names of more parts through.
  if (parts.size() > 2) return;
  if (parts.size() < 2) return ValidateIdentifier(name, path, errors);
  if (parts[0].empty()) {
    errors.Invalid(path, "", "the domain must not be empty");
  } else {
    ValidateDriverName(parts[0], path, errors);
  }
  if (parts[1].empty()) {
    errors.Invalid(path, "", "the name must not be empty");
  } else {
    ValidateIdentifier(parts[1], path, errors);
  }
}

void ValidateDeviceSelectors(const Value& list, const Path& path, Errors& errors) {
  if (!ValidateSize(list, kSelectorsMax, path, errors)) return;
  size_t index = 0;
  for (const resource_v1::DeviceSelector selector : ListView<resource_v1::DeviceSelector>(list)) {
    const Path at = path[index++] / "cel";
    if (!selector.has_cel()) {
      errors.Required(at);
    } else if (selector.cel().expression().size() > kExpressionMax) {
      errors.TooLong(at / "expression", kExpressionMax);
    }
  }
}

void ValidateRawObject(const Value& value, bool stored, size_t most, const Path& path, Errors& errors) {
  if (value.is_null()) return errors.Required(path);
  if (!stored && doc::ToJson(value).size() > most) return errors.TooLong(path, most);
  if (!value.is_object()) errors.Invalid(path, "<value omitted>", "must be a valid JSON object");
}

void ValidateDeviceConfiguration(const resource_v1::OpaqueDeviceConfiguration& opaque, bool stored, const Path& path,
                                 Errors& errors) {
  const Path at = path / "opaque";
  if (!opaque) return errors.Required(at);
  ValidateDriverName(opaque.driver(), at / "driver", errors);
  ValidateRawObject(opaque.parameters(), stored, kParametersMax, at / "parameters", errors);
}

void ValidateDeviceTaint(const resource_v1::DeviceTaint& taint, const Path& path, Errors& errors) {
  ValidateLabelName(taint.key(), path / "key", errors);
  errors.InvalidAll(path / "value", taint.value(), CheckLabelValue(taint.value()));
  ValidateTaintEffectOf(taint.effect(), path / "effect", errors);
}

void ValidateDeviceTolerations(const ListView<resource_v1::DeviceToleration>& tolerations, const Path& path,
                               Errors& errors) {
  size_t index = 0;
  for (const resource_v1::DeviceToleration toleration : tolerations) {
    const Path at = path[index++];
    if (!toleration.key().empty()) ValidateLabelName(toleration.key(), at / "key", errors);
    const std::string_view value = toleration.value();
    if (toleration.operator_() == "Exists") {
      if (!value.empty()) errors.Invalid(at / "value", value, "must be empty for operator `Exists`");
    } else if (toleration.operator_() == "Equal") {
      errors.InvalidAll(at / "value", value, CheckLabelValue(value));
    } else {
      errors.OneOf(at / "operator", toleration.operator_(), {"Equal", "Exists"});
    }
    if (!toleration.effect().empty()) ValidateTaintEffectOf(toleration.effect(), at / "effect", errors);
  }
}

void ValidateBindingConditions(const Value& owner, const Path& path, Errors& errors) {
  const Value& conditions = owner.At("bindingConditions");
  const Value& failures = owner.At("bindingFailureConditions");
  const Path at = path / "bindingConditions";
  const Path failures_at = path / "bindingFailureConditions";
  ValidateConditionNames(conditions, at, errors);
  ValidateConditionNames(failures, failures_at, errors);
  const auto text = [](const Value& item) { return std::string(item.AsString()); };
  ValidateUnique(conditions, text, at, errors);
  ValidateUnique(failures, text, failures_at, errors);
  for (size_t i = 0; i < failures.size(); ++i) {
    if (!Contains(conditions, failures[i].AsString())) continue;
    errors.Invalid(failures_at[i], failures[i].AsString(),
                   "bindingFailureConditions must not overlap with bindingConditions");
  }
  if (conditions.empty() && !failures.empty()) {
    errors.Invalid(at, conditions, "bindingConditions are required to use bindingFailureConditions");
  }
  if (failures.empty() && !conditions.empty()) {
    errors.Invalid(failures_at, failures, "bindingFailureConditions are required to use bindingConditions");
  }
}

void ValidateUuid(std::string_view text, const Path& path, Errors& errors) {
  const std::string problem = UuidProblem(text);
  if (!problem.empty()) return errors.Invalid(path, text, "error validating uid: " + problem);
  if (text.size() == kUuidSize && text == ToLower(text)) return;
  errors.Invalid(path, text,
                 "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase "
                 "hexadecimal characters");
}

}  // namespace knarr::api::validation
