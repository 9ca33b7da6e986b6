#include "api/validation/reviews.h"

#include "api/validation/metadata.h"
#include "base/names.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

constexpr std::string_view kValuesNeeded = "must be specified when `operator` is 'In' or 'NotIn'";
constexpr std::string_view kValuesBanned = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";

// As upstream prints it: the members of its internal type, which has no other names.
Value ShownPathAttributes(const Value& attributes, doc::Arena& arena) {
  Value out = Value::Object();
  out.AddMember(arena, "Path", Value::Borrow(attributes.At("path").AsString()));
  out.AddMember(arena, "Verb", Value::Borrow(attributes.At("verb").AsString()));
  return out;
}

void InvalidPathAttributes(const Value& attributes, std::string_view why, Errors& errors) {
  doc::Arena arena;
  errors.Invalid(SpecPath() / "nonResourceAttributes", ShownPathAttributes(attributes, arena), why);
}

// Operators nobody knows yet are let through: a newer client may ask an older server.
void ValidateValues(const Value& requirement, const Path& path, Errors& errors) {
  const std::string_view op = requirement.At("operator").AsString();
  const Value& values = requirement.At("values");
  if ((op == "In" || op == "NotIn") && values.empty()) errors.Required(path / "values", kValuesNeeded);
  if ((op == "Exists" || op == "DoesNotExist") && !values.empty()) errors.Forbidden(path / "values", kValuesBanned);
}

void ValidateFieldRequirement(const Value& requirement, const Path& path, Errors& errors) {
  if (requirement.At("key").AsString().empty()) errors.Required(path / "key", "must be specified");
  ValidateValues(requirement, path, errors);
}

void ValidateLabelRequirement(const Value& requirement, const Path& path, Errors& errors) {
  ValidateValues(requirement, path, errors);
  ValidateLabelName(requirement.At("key").AsString(), path / "key", errors);
  const Value& values = requirement.At("values");
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string_view value = values[i].AsString();
    errors.InvalidAll((path / "values")[i], value, CheckLabelValue(value));
  }
}

void ValidateSelector(const Value& selector, const Path& path,
                      void (*requirement)(const Value& requirement, const Path& path, Errors& errors), Errors& errors) {
  if (selector.is_null()) return;
  const std::string_view raw = selector.At("rawSelector").AsString();
  const Value& requirements = selector.At("requirements");
  if (!raw.empty() && !requirements.empty()) {
    errors.Invalid(path / "rawSelector", raw, "may not specified at the same time as requirements");
  }
  if (raw.empty() && requirements.empty()) {
    errors.Required(path / "requirements",
                    "when " + std::string(path.text()) + " is specified, requirements or rawSelector is required");
  }
  for (size_t i = 0; i < requirements.size(); ++i) requirement(requirements[i], (path / "requirements")[i], errors);
}

void ValidateAttributes(const Value& spec, bool with_user, Errors& errors) {
  const Value& resource = spec.At("resourceAttributes");
  const Value& path = spec.At("nonResourceAttributes");
  if (!resource.is_null() && !path.is_null()) {
    InvalidPathAttributes(path, "cannot be specified in combination with resourceAttributes", errors);
  }
  if (resource.is_null() && path.is_null()) {
    errors.Invalid(SpecPath() / "resourceAttributes", Value::Null(),
                   "exactly one of nonResourceAttributes or resourceAttributes must be specified");
  }
  if (with_user && spec.At("user").AsString().empty() && spec.At("groups").empty()) {
    errors.Invalid(SpecPath() / "user", "", "at least one of user or group must be specified");
  }
  const Path at = SpecPath() / "resourceAttributes";
  ValidateSelector(resource.At("fieldSelector"), at / "fieldSelector", ValidateFieldRequirement, errors);
  ValidateSelector(resource.At("labelSelector"), at / "labelSelector", ValidateLabelRequirement, errors);
}

// What the server itself puts into metadata does not count.
void ValidateNoMetadata(const Value& object, std::string_view but_for, std::string_view why, Errors& errors) {
  const Value& metadata = object.At("metadata");
  for (const doc::Member& member : metadata.members()) {
    if (member.key == "managedFields" || member.key == but_for || member.value.is_null()) continue;
    errors.Invalid(MetadataPath(), metadata, why);
    return;
  }
}

}  // namespace

void ValidateSubjectAccessReview(const Value& object, Errors& errors) {
  ValidateAttributes(object.At("spec"), true, errors);
  ValidateNoMetadata(object, "", "must be empty", errors);
}

void ValidateSelfSubjectAccessReview(const Value& object, Errors& errors) {
  ValidateAttributes(object.At("spec"), false, errors);
  ValidateNoMetadata(object, "", "must be empty", errors);
}

void ValidateLocalSubjectAccessReview(const Value& object, Errors& errors) {
  const Value& spec = object.At("spec");
  ValidateAttributes(spec, true, errors);
  ValidateNoMetadata(object, "namespace", "must be empty except for namespace", errors);
  const Value& resource = spec.At("resourceAttributes");
  const std::string_view ns = resource.At("namespace").AsString();
  if (!resource.is_null() && ns != object.Get("metadata", "namespace").AsString()) {
    errors.Invalid(Path("spec.resourceAttributes.namespace"), ns, "must match metadata.namespace");
  }
  const Value& path = spec.At("nonResourceAttributes");
  if (!path.is_null()) InvalidPathAttributes(path, "disallowed on this kind of request", errors);
}

}  // namespace knarr::api::validation
