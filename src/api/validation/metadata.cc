#include "api/validation/metadata.h"

#include <algorithm>
#include <set>

#include "api/validation/addresses.h"
#include "base/names.h"
#include "base/strings.h"

namespace knarr::api {
namespace validation {
namespace {

using doc::Value;

constexpr size_t kAnnotationsMax = 256 * 1024;
constexpr size_t kFieldManagerMax = 128;
constexpr size_t kSubresourceMax = 256;

// A generateName's trailing hyphen is followed by something later.
std::string Masked(std::string_view name, bool prefix) {
  std::string masked(name);
  if (prefix && masked.size() > 1 && masked.back() == '-') masked.back() = 'a';
  return masked;
}

void ValidateOwner(const meta_v1::OwnerReference& owner, const Path& path, Errors& errors) {
  const std::string_view api_version = owner.api_version();
  const size_t slash = api_version.find('/');
  std::string_view version = slash == std::string_view::npos ? api_version : api_version.substr(slash + 1);
  if (version.find('/') != std::string_view::npos) version = {};  // upstream can't read it then
  if (version.empty()) errors.Invalid(path / "apiVersion", api_version, "version must not be empty");
  if (owner.kind().empty()) errors.Invalid(path / "kind", owner.kind(), "must not be empty");
  if (owner.name().empty()) errors.Invalid(path / "name", owner.name(), "must not be empty");
  if (owner.uid().empty()) errors.Invalid(path / "uid", owner.uid(), "must not be empty");
  if (api_version == "v1" && owner.kind() == "Event") {
    errors.Invalid(path, owner.value(), "/v1, Kind=Event is disallowed from being an owner");
  }
}

void ValidateOwners(const meta_v1::ObjectMeta& metadata, const Path& path, Errors& errors) {
  std::string controller;
  for (const meta_v1::OwnerReference owner : metadata.owner_references()) {
    ValidateOwner(owner, path, errors);
    if (!owner.controller().value_or(false)) continue;
    const std::string name = std::string(owner.kind()) + "/" + std::string(owner.name());
    if (controller.empty()) {
      controller = name;
      continue;
    }
    errors.Invalid(path, metadata.value().At("ownerReferences"),
                   "Only one reference can have Controller set to true. Found \"true\" in references for " +
                       controller + " and " + name);
  }
}

void ValidateFinalizers(const meta_v1::ObjectMeta& metadata, const Path& path, Errors& errors) {
  bool orphan = false;
  bool foreground = false;
  for (const std::string_view finalizer : metadata.finalizers()) {
    errors.InvalidAll(path, finalizer, CheckQualifiedName(finalizer));
    orphan |= finalizer == "orphan";
    foreground |= finalizer == "foregroundDeletion";
  }
  if (orphan && foreground) {
    errors.Invalid(path, metadata.value().At("finalizers"),
                   "finalizer foregroundDeletion and orphan cannot be both set");
  }
}

// Upstream looks at this after everything else of the metadata.
void ValidateStandardFinalizers(const meta_v1::ObjectMeta& metadata, const Path& path, Errors& errors) {
  size_t index = 0;
  for (const std::string_view name : metadata.finalizers()) {
    const Path at = path[index++];
    if (!IsFinalizerName(name)) {
      errors.Invalid(at, name, "name is neither a standard finalizer name nor is it fully qualified");
    }
  }
}

void ValidateManagedFields(const meta_v1::ObjectMeta& metadata, const Path& path, Errors& errors) {
  size_t index = 0;
  for (const meta_v1::ManagedFieldsEntry entry : metadata.managed_fields()) {
    const Path at = path[index++];
    if (entry.operation() != "Apply" && entry.operation() != "Update") {
      errors.Invalid(at / "operation", entry.operation(), "must be `Apply` or `Update`");
    }
    if (!entry.fields_type().empty() && entry.fields_type() != "FieldsV1") {
      errors.Invalid(at / "fieldsType", entry.fields_type(), "must be `FieldsV1`");
    }
    if (entry.manager().size() > kFieldManagerMax) errors.TooLong(at / "manager", kFieldManagerMax);
    if (entry.subresource().size() > kSubresourceMax) errors.TooLong(at / "subresource", kSubresourceMax);
  }
}

void ValidateCommon(const meta_v1::ObjectMeta& metadata, const Path& path, Errors& errors) {
  ValidateLabels(metadata.labels(), path / "labels", errors);
  ValidateAnnotations(metadata.annotations(), path / "annotations", errors);
  ValidateOwners(metadata, path / "ownerReferences", errors);
}

// Go's %#v of a list of texts.
std::string GoList(const std::set<std::string_view>& texts) {
  std::vector<std::string> quoted;
  for (const std::string_view text : texts) quoted.push_back(GoQuote(text));
  return "[]string{" + Join(quoted, ", ") + "}";
}

}  // namespace

Problems NameIsSubdomain(std::string_view name, bool prefix) { return CheckDns1123Subdomain(Masked(name, prefix)); }
Problems NameIsLabel(std::string_view name, bool prefix) { return CheckDns1123Label(Masked(name, prefix)); }
Problems NameIsDns1035Label(std::string_view name, bool prefix) { return CheckDns1035Label(Masked(name, prefix)); }
Problems NameIsPathSegment(std::string_view name, bool prefix) {
  // What is more than dots by the time it is a name.
  if (prefix && (name == "." || name == "..")) return {};
  return CheckPathSegmentName(name);
}
Problems NameIsCanonicalIp(std::string_view name, bool) { return CheckCanonicalIp(name); }

NameRule NameRuleOf(const KindInfo& kind) {
  if (kind.kind == "Namespace") return NameIsLabel;
  if (kind.kind == "Service" || kind.kind == "StatefulSet") return NameIsLabel;
  if (kind.kind == "IPAddress") return NameIsCanonicalIp;
  // What role-based access control calls its objects may hold any character that a path can.
  if (kind.group == "rbac.authorization.k8s.io" || kind.kind == "PodDisruptionBudget") return NameIsPathSegment;
  return NameIsSubdomain;
}

void ValidateAnyMetadata(const Value& tree, bool namespaced, NameRule rule, const Path& path, Errors& errors) {
  const meta_v1::ObjectMeta metadata(tree);
  if (!metadata.generate_name().empty()) {
    errors.InvalidAll(path / "generateName", metadata.generate_name(), rule(metadata.generate_name(), true));
  }
  if (metadata.name().empty()) {
    errors.Required(path / "name", "name or generateName is required");
  } else {
    errors.InvalidAll(path / "name", metadata.name(), rule(metadata.name(), false));
  }
  if (!namespaced) {
    if (!metadata.ns().empty()) errors.Forbidden(path / "namespace", "not allowed on this type");
  } else if (metadata.ns().empty()) {
    errors.Required(path / "namespace");
  } else {
    errors.InvalidAll(path / "namespace", metadata.ns(), CheckDns1123Label(metadata.ns()));
  }
  errors.NonNegative(path / "generation", metadata.generation());
  ValidateCommon(metadata, path, errors);
  ValidateFinalizers(metadata, path / "finalizers", errors);
  ValidateManagedFields(metadata, path / "managedFields", errors);
}

void ValidateMetadata(const Value& tree, bool namespaced, NameRule rule, const Path& path, Errors& errors) {
  ValidateAnyMetadata(tree, namespaced, rule, path, errors);
  ValidateStandardFinalizers(meta_v1::ObjectMeta(tree), path / "finalizers", errors);
}

void ValidateTemplateMetadata(const meta_v1::ObjectMeta& metadata, const Path& path, Errors& errors) {
  ValidateAnnotations(metadata.annotations(), path / "annotations", errors);
  ValidateLabels(metadata.labels(), path / "labels", errors);
  for (const doc::Member& member : metadata.tree().members()) {
    if (member.key == "annotations" || member.key == "labels") continue;
    errors.Forbidden(path / (member.key == "uid" ? "uID" : member.key), "cannot be set");
  }
}

bool IsFinalizerName(std::string_view name) {
  return name.find('/') != std::string_view::npos || name == "kubernetes" || name == "orphan" ||
         name == "foregroundDeletion";
}

void ValidateMetadataUpdate(const Value& tree, const Value& old_tree, const Path& path, Errors& errors) {
  ValidateAnyMetadataUpdate(tree, old_tree, path, errors);
  ValidateStandardFinalizers(meta_v1::ObjectMeta(tree), path / "finalizers", errors);
}

void ValidateAnyMetadataUpdate(const Value& tree, const Value& old_tree, const Path& path, Errors& errors) {
  const meta_v1::ObjectMeta metadata(tree);
  const meta_v1::ObjectMeta old(old_tree);
  if (!old_tree.At("deletionTimestamp").is_null()) {
    std::set<std::string_view> fresh;
    for (const std::string_view finalizer : metadata.finalizers()) fresh.insert(finalizer);
    for (const std::string_view finalizer : old.finalizers()) fresh.erase(finalizer);
    if (!fresh.empty()) {
      errors.Forbidden(
          path / "finalizers",
          "no new finalizers can be added if the object is being deleted, found new finalizers " + GoList(fresh));
    }
  }
  if (metadata.resource_version().empty()) {
    errors.Invalid(path / "resourceVersion", metadata.resource_version(), "must be specified for an update");
  }
  if (metadata.generation() < old.generation()) {
    errors.Invalid(path / "generation", metadata.generation(), "must not be decremented");
  }
  for (const std::string_view name : {"name", "namespace", "uid"}) {
    const std::string_view value = tree.At(name).AsString();
    if (value != old_tree.At(name).AsString()) errors.Invalid(path / name, value, kImmutable);
  }
  for (const std::string_view name : {"creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"}) {
    ValidateImmutable(tree.At(name), old_tree.At(name), path / name, errors);
  }
  ValidateCommon(metadata, path, errors);
  ValidateManagedFields(metadata, path / "managedFields", errors);
}

void ValidateLabelName(std::string_view name, const Path& path, Errors& errors) {
  errors.InvalidAll(path, name, CheckQualifiedName(name));
}

void ValidateQualifiedName(std::string_view name, const Path& path, Errors& errors) {
  errors.InvalidAll(path, name, CheckQualifiedName(name));
}

void ValidateLabels(const StringMap& labels, const Path& path, Errors& errors) {
  for (const auto& [key, value] : labels) {
    ValidateLabelName(key, path, errors);
    errors.InvalidAll(path, value, CheckLabelValue(value));
  }
}

void ValidateAnnotations(const StringMap& annotations, const Path& path, Errors& errors) {
  size_t size = 0;
  for (const auto& [key, value] : annotations) {
    size += key.size() + value.size();
    errors.InvalidAll(path, key, CheckQualifiedName(ToLower(key)));
  }
  if (size > kAnnotationsMax) errors.TooLong(path, kAnnotationsMax);
}

void ValidateLabelSelector(const meta_v1::LabelSelector& selector, bool strict_values, const Path& path,
                           Errors& errors) {
  if (!selector) return;
  ValidateLabels(selector.match_labels(), path / "matchLabels", errors);
  size_t index = 0;
  for (const meta_v1::LabelSelectorRequirement requirement : selector.match_expressions()) {
    const Path at = (path / "matchExpressions")[index++];
    const std::string_view op = requirement.operator_();
    if (op == "In" || op == "NotIn") {
      if (requirement.values().empty()) {
        errors.Required(at / "values", "must be specified when `operator` is 'In' or 'NotIn'");
      }
    } else if (op == "Exists" || op == "DoesNotExist") {
      if (!requirement.values().empty()) {
        errors.Forbidden(at / "values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
      }
    } else {
      errors.Invalid(at / "operator", op, "not a valid selector operator");
    }
    ValidateLabelName(requirement.key(), at / "key", errors);
    if (!strict_values) continue;
    size_t value_index = 0;
    for (const std::string_view value : requirement.values()) {
      errors.InvalidAll((at / "values")[value_index++], value, CheckLabelValue(value));
    }
  }
}

void ValidateDns1123Label(std::string_view value, const Path& path, Errors& errors) {
  errors.InvalidAll(path, value, CheckDns1123Label(value));
}
void ValidateDns1123Subdomain(std::string_view value, const Path& path, Errors& errors) {
  errors.InvalidAll(path, value, CheckDns1123Subdomain(value));
}

void ValidatePathSegment(std::string_view value, const Path& path, Errors& errors) {
  if (value.empty()) return errors.Required(path);
  errors.InvalidAll(path, value, CheckPathSegmentName(value));
}

void ValidateDomainPrefixedPath(std::string_view value, const Path& path, Errors& errors) {
  if (value.empty()) return errors.Required(path);
  const auto parts = Cut(value, "/");
  if (!parts || parts->first.empty() || parts->second.empty()) {
    return errors.Invalid(path, value, "must be a domain-prefixed path (such as \"acme.io/foo\")");
  }
  errors.InvalidAll(path, parts->first, CheckDns1123Subdomain(parts->first));
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-._~%!$&'()*+,;=:";
  if (parts->second.find_first_not_of(kAllowed) == std::string_view::npos) return;
  errors.Invalid(path, parts->second,
                 R"(Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+'))");
}

bool HasInvalidLabelValue(const meta_v1::LabelSelector& selector) {
  for (const meta_v1::LabelSelectorRequirement requirement : selector.match_expressions()) {
    for (const std::string_view value : requirement.values()) {
      if (!CheckLabelValue(value).empty()) return true;
    }
  }
  return false;
}

void ValidateImmutable(const Value& value, const Value& old, const Path& path, Errors& errors) {
  if (!value.Equals(old)) errors.Invalid(path, value, kImmutable);
}

}  // namespace validation

std::vector<std::string> CheckObjectName(const KindInfo& kind, std::string_view name, bool prefix) {
  return validation::NameRuleOf(kind)(name, prefix);
}

}  // namespace knarr::api
