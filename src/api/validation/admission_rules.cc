#include <algorithm>
#include <set>

#include "api/validation/admission.h"
#include "api/validation/metadata.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using doc::Value;
namespace v1 = admissionregistration_v1;

constexpr size_t kMatchConditionsMax = 64;

bool Has(const Value& list, std::string_view text) {
  return std::ranges::any_of(list.items(), [text](const Value& item) { return item.AsString() == text; });
}

// Of the names, which may be "resource", "resource/subresource", and either part "*".
void ValidateResources(const Value& list, const Path& path, Errors& errors) {
  if (list.empty()) errors.Required(path);
  std::set<std::string_view> all_of_resource;    // x of x/*
  std::set<std::string_view> of_every_resource;  // y of */y
  // Of the last name without a subresource only, as upstream has it.
  bool other_resource = false;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string_view name = list[i].AsString();
    if (name.empty()) {
      errors.Required(path[i]);
      continue;
    }
    const size_t slash = name.find('/');
    if (slash == std::string_view::npos) {
      other_resource = name != "*";
      continue;
    }
    const std::string_view resource = name.substr(0, slash);
    const std::string_view sub = name.substr(slash + 1);
    if (all_of_resource.contains(resource)) {
      errors.Invalid(path[i], name,
                     "if '" + std::string(resource) + "/*' is present, must not specify " + std::string(name));
    }
    if (of_every_resource.contains(sub)) {
      errors.Invalid(path[i], name,
                     "if '*/" + std::string(sub) + "' is present, must not specify " + std::string(name));
    }
    if (sub == "*") all_of_resource.insert(resource);
    if (resource == "*") of_every_resource.insert(sub);
  }
  if (list.size() > 1 && Has(list, "*/*")) {
    errors.Invalid(path, list, "if '*/*' is present, must not specify other resources");
  }
  if (Has(list, "*") && other_resource) {
    errors.Invalid(path, list, "if '*' is present, must not specify other resources without subresources");
  }
}

void ValidateOperations(const Value& operations, const Path& path, Errors& errors) {
  if (operations.empty()) errors.Required(path);
  if (operations.size() > 1 && Has(operations, "*")) {
    errors.Invalid(path, operations, "if '*' is present, must not specify other operations");
  }
  for (size_t i = 0; i < operations.size(); ++i) {
    ValidateChoice(operations[i].AsString(), {"*", "CONNECT", "CREATE", "DELETE", "UPDATE"}, path[i], errors);
  }
}

// White space as Go's strings.TrimSpace knows it in ASCII.
bool IsBlank(std::string_view text) { return TrimSpace(text).empty(); }

}  // namespace

void ValidateChoice(const std::optional<std::string_view>& value, std::initializer_list<std::string_view> supported,
                    const Path& path, Errors& errors) {
  if (!value || std::ranges::find(supported, *value) != supported.end()) return;
  errors.NotSupported(path, *value, supported);
}

void ValidateAdmissionRule(const v1::RuleWithOperations& rule, const Path& path, Errors& errors) {
  const Value& tree = rule.tree();
  ValidateOperations(tree.At("operations"), path / "operations", errors);
  const Value& groups = tree.At("apiGroups");
  if (groups.empty()) errors.Required(path / "apiGroups");
  if (groups.size() > 1 && Has(groups, "*")) {
    errors.Invalid(path / "apiGroups", groups, "if '*' is present, must not specify other API groups");
  }
  const Value& versions = tree.At("apiVersions");
  if (versions.empty()) errors.Required(path / "apiVersions");
  if (versions.size() > 1 && Has(versions, "*")) {
    errors.Invalid(path / "apiVersions", versions, "if '*' is present, must not specify other API versions");
  }
  for (size_t i = 0; i < versions.size(); ++i) {
    if (versions[i].AsString().empty()) errors.Required((path / "apiVersions")[i]);
  }
  ValidateResources(tree.At("resources"), path / "resources", errors);
  ValidateChoice(rule.scope(), {"*", "Cluster", "Namespaced"}, path / "scope", errors);
}

void ValidateMatchConditions(const ListView<v1::MatchCondition>& conditions, const Path& path, Errors& errors) {
  if (conditions.size() > kMatchConditionsMax) errors.TooMany(path, conditions.size(), kMatchConditionsMax);
  std::set<std::string_view> names;
  size_t index = 0;
  for (const v1::MatchCondition condition : conditions) {
    const Path at = path[index++];
    if (IsBlank(condition.expression())) errors.Required(at / "expression");
    if (condition.name().empty()) {
      errors.Required(at / "name");
      continue;
    }
    ValidateQualifiedName(condition.name(), at / "name", errors);
    if (!names.insert(condition.name()).second) errors.Duplicate(at / "name", condition.name());
  }
}

}  // namespace knarr::api::validation
