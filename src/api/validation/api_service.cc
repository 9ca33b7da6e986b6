#include "api/apiregistration_v1.h"
#include "api/validation/extensions.h"
#include "api/validation/metadata.h"
#include "base/names.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using apiregistration_v1::APIServiceSpec;
using doc::Value;

constexpr int32_t kGroupPriorityMax = 20000;
constexpr int32_t kVersionPriorityMax = 1000;

// The name says version and group; it is checked apart, as the general rules know nothing of the spec.
void ValidateName(std::string_view name, const APIServiceSpec& spec, const Path& path, Errors& errors) {
  if (name.empty() || !CheckPathSegmentName(name).empty()) return;
  const std::string required = std::string(spec.version()) + "." + std::string(spec.group());
  if (name != required) errors.Invalid(path, name, "must be `spec.version+\".\"+spec.group`: " + GoQuote(required));
}

void ValidateLocal(const APIServiceSpec& spec, Errors& errors) {
  if (!spec.ca_bundle().empty()) {
    const size_t size = Base64Decode(spec.ca_bundle()).value_or("").size();
    errors.Invalid(SpecPath() / "caBundle", std::to_string(size) + " bytes",
                   "local APIServices may not have a caBundle");
  }
  if (spec.insecure_skip_tls_verify()) {
    errors.Invalid(SpecPath() / "insecureSkipTLSVerify", Value::Bool(true),
                   "local APIServices may not have insecureSkipTLSVerify");
  }
}

void ValidateRemote(const APIServiceSpec& spec, Errors& errors) {
  const Path path = SpecPath() / "service";
  if (spec.service().ns().empty()) errors.Required(path / "namespace");
  if (spec.service().name().empty()) errors.Required(path / "name");
  const int32_t port = spec.service().port().value_or(0);
  const Problems problems = CheckPortNumber(port);
  if (!problems.empty()) errors.Invalid(path / "port", port, "port is not valid: " + Join(problems, ", "));
  if (spec.insecure_skip_tls_verify() && !spec.ca_bundle().empty()) {
    errors.Invalid(SpecPath() / "insecureSkipTLSVerify", Value::Bool(true), "may not be true if caBundle is present");
  }
}

}  // namespace

void ValidateApiService(const Value& object, Errors& errors) {
  const APIServiceSpec spec(object.At("spec"));
  ValidateMetadata(object.At("metadata"), false, NameIsPathSegment, MetadataPath(), errors);
  ValidateName(object.Get("metadata", "name").AsString(), spec, MetadataPath() / "name", errors);
  if (spec.group().empty()) {
    if (spec.version() != "v1") {
      errors.Required(SpecPath() / "group", "only v1 may have an empty group and it better be legacy kube");
    }
  } else {
    ValidateDns1123Subdomain(spec.group(), SpecPath() / "group", errors);
  }
  errors.InvalidAll(SpecPath() / "version", spec.version(), CheckDns1035Label(spec.version()));
  if (spec.group_priority_minimum() <= 0 || spec.group_priority_minimum() > kGroupPriorityMax) {
    errors.Invalid(SpecPath() / "groupPriorityMinimum", spec.group_priority_minimum(),
                   "must be positive and less than 20000");
  }
  if (spec.version_priority() <= 0 || spec.version_priority() > kVersionPriorityMax) {
    errors.Invalid(SpecPath() / "versionPriority", spec.version_priority(), "must be positive and less than 1000");
  }
  if (spec.has_service()) {
    ValidateRemote(spec, errors);
  } else {
    ValidateLocal(spec, errors);
  }
}

void ValidateApiServiceUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateApiService(object, errors);
}

void ValidateApiServiceStatusUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  const Path path = Path("status") / "conditions";
  size_t index = 0;
  for (const Value& condition : object.Get("status", "conditions").items()) {
    const Path at = path[index++] / "status";
    const std::string_view status = condition.At("status").AsString();
    if (status != "True" && status != "False" && status != "Unknown") {
      errors.NotSupported(at, status, {"True", "False", "Unknown"});
    }
  }
}

}  // namespace knarr::api::validation
