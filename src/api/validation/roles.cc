#include <algorithm>

#include "api/label_selector.h"
#include "api/rbac_v1.h"
#include "api/validation/access.h"
#include "api/validation/go_form.h"
#include "api/validation/metadata.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

constexpr std::string_view kGroup = "rbac.authorization.k8s.io";

void ValidateRule(const rbac_v1::PolicyRule& rule, bool namespaced, const Path& path, Errors& errors) {
  if (rule.verbs().empty()) errors.Required(path / "verbs", "verbs must contain at least one value");
  if (!rule.non_resource_urls().empty()) {
    const Path at = path / "nonResourceURLs";
    const Value& urls = rule.tree().At("nonResourceURLs");
    if (namespaced) errors.Invalid(at, urls, "namespaced rules cannot apply to non-resource URLs");
    if (!rule.api_groups().empty() || !rule.resources().empty() || !rule.resource_names().empty()) {
      errors.Invalid(at, urls, "rules cannot apply to both regular resources and non-resource URLs");
    }
    return;
  }
  if (rule.api_groups().empty()) {
    errors.Required(path / "apiGroups", "resource rules must supply at least one api group");
  }
  if (rule.resources().empty()) {
    errors.Required(path / "resources", "resource rules must supply at least one resource");
  }
}

void ValidateRules(const Value& object, bool namespaced, Errors& errors) {
  ValidateMetadata(object.At("metadata"), namespaced, NameIsPathSegment, MetadataPath(), errors);
  size_t index = 0;
  for (const rbac_v1::PolicyRule rule : ListView<rbac_v1::PolicyRule>(object.At("rules"))) {
    ValidateRule(rule, namespaced, Path("rules")[index++], errors);
  }
}

void ValidateAggregation(const rbac_v1::AggregationRule& rule, bool strict_values, Errors& errors) {
  const Path path = Path("aggregationRule") / "clusterRoleSelectors";
  if (rule.cluster_role_selectors().empty()) {
    errors.Required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil");
  }
  size_t index = 0;
  for (const meta_v1::LabelSelector selector : rule.cluster_role_selectors()) {
    const Path at = path[index++];
    ValidateLabelSelector(selector, strict_values, at, errors);
    if (!ToLabelSelector(selector).ok()) errors.Invalid(at, Value::Null(), "invalid label selector.");
  }
}

void ValidateClusterRoleAs(const Value& object, bool strict_values, Errors& errors) {
  ValidateRules(object, false, errors);
  const rbac_v1::ClusterRole role(object);
  if (role.has_aggregation_rule()) ValidateAggregation(role.aggregation_rule(), strict_values, errors);
}

// What a stored role has already may stay.
bool HasBadSelector(const rbac_v1::ClusterRole& role) {
  Errors errors;
  for (const meta_v1::LabelSelector selector : role.aggregation_rule().cluster_role_selectors()) {
    ValidateLabelSelector(selector, true, Path(), errors);
  }
  return !errors.empty();
}

void ValidateSubject(const rbac_v1::Subject& subject, bool namespaced, const Path& path, Errors& errors) {
  const std::string_view kind = subject.kind();
  if (subject.name().empty()) errors.Required(path / "name");
  if (kind == "ServiceAccount") {
    if (!subject.name().empty()) {
      errors.InvalidAll(path / "name", subject.name(), NameIsSubdomain(subject.name(), false));
    }
    if (!subject.api_group().empty()) errors.NotSupported(path / "apiGroup", subject.api_group(), {""});
    if (!namespaced && subject.ns().empty()) errors.Required(path / "namespace");
  } else if (kind == "User" || kind == "Group") {
    if (subject.api_group() != kGroup) errors.NotSupported(path / "apiGroup", subject.api_group(), {kGroup});
  } else {
    errors.NotSupported(path / "kind", kind, {"ServiceAccount", "User", "Group"});
  }
}

void ValidateBindingOf(const Value& object, bool namespaced, Errors& errors) {
  ValidateMetadata(object.At("metadata"), namespaced, NameIsPathSegment, MetadataPath(), errors);
  const rbac_v1::RoleRef role(object.At("roleRef"));
  const Path path("roleRef");
  if (role.api_group() != kGroup) errors.NotSupported(path / "apiGroup", role.api_group(), {kGroup});
  if (namespaced && role.kind() != "Role" && role.kind() != "ClusterRole") {
    errors.NotSupported(path / "kind", role.kind(), {"Role", "ClusterRole"});
  }
  if (!namespaced && role.kind() != "ClusterRole") errors.NotSupported(path / "kind", role.kind(), {"ClusterRole"});
  if (role.name().empty()) {
    errors.Required(path / "name");
  } else {
    errors.InvalidAll(path / "name", role.name(), NameIsPathSegment(role.name(), false));
  }
  size_t index = 0;
  for (const rbac_v1::Subject subject : ListView<rbac_v1::Subject>(object.At("subjects"))) {
    ValidateSubject(subject, namespaced, Path("subjects")[index++], errors);
  }
}

void ValidateMetadataChange(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
}

void ValidateSameRole(const Value& object, const Value& old, Errors& errors) {
  const Value& role = object.At("roleRef");
  if (role.Equals(old.At("roleRef"))) return;
  doc::Arena arena;
  errors.Invalid(Path("roleRef"), GoForm(rbac_v1::RoleRef::SchemaType(), role, arena), "cannot change roleRef");
}

}  // namespace

void ValidateRole(const Value& object, Errors& errors) { ValidateRules(object, true, errors); }
void ValidateRoleUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateRole(object, errors);
  ValidateMetadataChange(object, old, errors);
}

void ValidateClusterRole(const Value& object, Errors& errors) { ValidateClusterRoleAs(object, true, errors); }
void ValidateClusterRoleUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateClusterRoleAs(object, !HasBadSelector(rbac_v1::ClusterRole(old)), errors);
  ValidateMetadataChange(object, old, errors);
}

void ValidateRoleBinding(const Value& object, Errors& errors) { ValidateBindingOf(object, true, errors); }
void ValidateRoleBindingUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateRoleBinding(object, errors);
  ValidateMetadataChange(object, old, errors);
  ValidateSameRole(object, old, errors);
}

void ValidateClusterRoleBinding(const Value& object, Errors& errors) { ValidateBindingOf(object, false, errors); }
void ValidateClusterRoleBindingUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateClusterRoleBinding(object, errors);
  ValidateMetadataChange(object, old, errors);
  ValidateSameRole(object, old, errors);
}

}  // namespace knarr::api::validation
