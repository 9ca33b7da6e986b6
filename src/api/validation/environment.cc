// Environment variables and the references that variables and downward API volumes share.

#include <algorithm>
#include <array>

#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "base/names.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

constexpr std::array kEnvFields = {std::string_view("metadata.name"),
                                   std::string_view("metadata.namespace"),
                                   std::string_view("metadata.uid"),
                                   std::string_view("spec.nodeName"),
                                   std::string_view("spec.serviceAccountName"),
                                   std::string_view("status.hostIP"),
                                   std::string_view("status.hostIPs"),
                                   std::string_view("status.podIP"),
                                   std::string_view("status.podIPs")};
constexpr std::array kVolumeFields = {std::string_view("metadata.annotations"), std::string_view("metadata.labels"),
                                      std::string_view("metadata.name"), std::string_view("metadata.namespace"),
                                      std::string_view("metadata.uid")};
constexpr std::array kResources = {std::string_view("limits.cpu"),
                                   std::string_view("limits.ephemeral-storage"),
                                   std::string_view("limits.memory"),
                                   std::string_view("requests.cpu"),
                                   std::string_view("requests.ephemeral-storage"),
                                   std::string_view("requests.memory")};
constexpr std::array kByteDivisors = {"1",   "1k",  "1M",  "1G",  "1T",  "1P", "1E",
                                      "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"};

// What Kubernetes knows of the fields of a pod; `path` loses its subscript.
bool KnownField(std::string_view path) {
  static constexpr std::array kAll = {std::string_view("metadata.annotations"),
                                      std::string_view("metadata.labels"),
                                      std::string_view("metadata.name"),
                                      std::string_view("metadata.namespace"),
                                      std::string_view("metadata.uid"),
                                      std::string_view("spec.nodeName"),
                                      std::string_view("spec.restartPolicy"),
                                      std::string_view("spec.serviceAccountName"),
                                      std::string_view("spec.schedulerName"),
                                      std::string_view("status.phase"),
                                      std::string_view("status.hostIP"),
                                      std::string_view("status.hostIPs"),
                                      std::string_view("status.podIP"),
                                      std::string_view("status.podIPs"),
                                      std::string_view("spec.host")};
  return std::ranges::find(kAll, path) != kAll.end();
}

void ValidateDivisor(const core_v1::ResourceFieldSelector& selector, const Path& path, Errors& errors) {
  const Result<Quantity> divisor = Quantity::Parse(selector.divisor().empty() ? "0" : selector.divisor());
  if (!divisor.ok() || divisor->IsZero()) return;
  const std::string text = divisor->ToString();
  const std::string_view resource = selector.resource();
  if (resource == "limits.cpu" || resource == "requests.cpu") {
    if (text != "1m" && text != "1") {
      errors.Invalid(path / "divisor", resource, "only divisor's values 1m and 1 are supported with the cpu resource");
    }
    return;
  }
  std::string_view what;
  if (resource.ends_with(".memory")) {
    what = "memory";
  } else if (resource.ends_with(".ephemeral-storage")) {
    what = "local ephemeral storage";
  } else if (resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-")) {
    what = "hugepages";
  }
  if (what.empty() || std::ranges::find(kByteDivisors, text) != kByteDivisors.end()) return;
  errors.Invalid(
      path / "divisor", resource,
      "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the " +
          std::string(what) + " resource");
}

void ValidateKeyRef(const doc::Value& selector, const Path& path, Errors& errors) {
  const std::string_view name = selector.At("name").AsString();
  errors.InvalidAll(path / "name", name, CheckDns1123Subdomain(name));
  const std::string_view key = selector.At("key").AsString();
  if (key.empty()) {
    errors.Required(path / "key");
  } else {
    errors.InvalidAll(path / "key", key, CheckConfigMapKey(key));
  }
}

void ValidateFileKeyRef(const core_v1::FileKeySelector& selector, const Path& path, Errors& errors) {
  if (selector.key().empty()) {
    errors.Required(path / "key");
  } else {
    errors.InvalidAll(path / "key", selector.key(), CheckRelaxedEnvVarName(selector.key()));
  }
  if (selector.volume_name().empty()) {
    errors.Required(path / "volumeName");
  } else {
    ValidateDns1123Label(selector.volume_name(), path / "volumeName", errors);
  }
  if (selector.path().empty()) {
    errors.Required(path / "path");
  } else {
    ValidateNoBacksteps(selector.path(), path / "path", errors);
  }
}

void ValidateValueFrom(const core_v1::EnvVar& variable, const Path& path, Errors& errors) {
  const core_v1::EnvVarSource source = variable.value_from();
  if (!source) return;
  int sources = 0;
  if (source.has_field_ref()) {
    ++sources;
    ValidateFieldRef(source.field_ref(), false, path / "fieldRef", errors);
  }
  if (source.has_resource_field_ref()) {
    ++sources;
    ValidateResourceFieldRef(source.resource_field_ref(), false, path / "resourceFieldRef", errors);
  }
  for (const std::string_view name : {"configMapKeyRef", "secretKeyRef"}) {
    const doc::Value& selector = source.value().At(name);
    if (selector.is_null()) continue;
    ++sources;
    ValidateKeyRef(selector, path / name, errors);
  }
  if (source.has_file_key_ref()) {
    ++sources;
    ValidateFileKeyRef(source.file_key_ref(), path / "fileKeyRef", errors);
  }
  if (sources == 0) {
    errors.Invalid(path, "",
                   "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or "
                   "`fileKeyRef`");
  } else if (!variable.value().empty()) {
    errors.Invalid(path, "", "may not be specified when `value` is not empty");
  } else if (sources > 1) {
    errors.Invalid(path, "", "may not have more than one field specified at a time");
  }
}

}  // namespace

void ValidateFieldRef(const core_v1::ObjectFieldSelector& selector, bool volume, const Path& path, Errors& errors) {
  if (selector.api_version().empty()) return errors.Required(path / "apiVersion");
  const std::string_view field = selector.field_path();
  if (field.empty()) return errors.Required(path / "fieldPath");
  std::string_view base = field;
  std::string_view subscript;
  const size_t open = field.find("['");
  const bool subscripted = open != std::string_view::npos && field.ends_with("']");
  if (subscripted) {
    base = field.substr(0, open);
    subscript = field.substr(open + 2, field.size() - open - 4);
  }
  const bool convertible = subscripted ? base == "metadata.annotations" || base == "metadata.labels" : KnownField(base);
  if (selector.api_version() != "v1") {
    return errors.Invalid(
        path / "fieldPath", field,
        "error converting fieldPath: unsupported pod version: " + std::string(selector.api_version()));
  }
  if (!convertible) {
    const std::string why = subscripted ? "field label does not support subscript: " : "field label not supported: ";
    return errors.Invalid(path / "fieldPath", field, "error converting fieldPath: " + why + std::string(field));
  }
  if (subscripted) {
    ValidateQualifiedName(base == "metadata.annotations" ? ToLower(subscript) : std::string(subscript), path, errors);
    return;
  }
  if (base == "spec.host") base = "spec.nodeName";
  const std::span<const std::string_view> known =
      volume ? std::span<const std::string_view>(kVolumeFields) : std::span<const std::string_view>(kEnvFields);
  if (std::ranges::find(known, base) == known.end()) errors.NotSupported(path / "fieldPath", base, known);
}

void ValidateResourceFieldRef(const core_v1::ResourceFieldSelector& selector, bool volume, const Path& path,
                              Errors& errors) {
  const std::string_view resource = selector.resource();
  if (volume && selector.container_name().empty()) {
    errors.Required(path / "containerName");
  } else if (resource.empty()) {
    errors.Required(path / "resource");
  } else if (std::ranges::find(kResources, resource) == kResources.end() &&
             !resource.starts_with("limits.hugepages-") && !resource.starts_with("requests.hugepages-")) {
    errors.NotSupported(path / "resource", resource, kResources);
  }
  ValidateDivisor(selector, path, errors);
}

void ValidateEnv(const ListView<core_v1::EnvVar>& variables, const Path& path, Errors& errors) {
  size_t index = 0;
  for (const core_v1::EnvVar variable : variables) {
    const Path at = path[index++];
    if (variable.name().empty()) {
      errors.Required(at / "name");
    } else {
      errors.InvalidAll(at / "name", variable.name(), CheckRelaxedEnvVarName(variable.name()));
    }
    ValidateValueFrom(variable, at / "valueFrom", errors);
  }
}

void ValidateEnvFrom(const ListView<core_v1::EnvFromSource>& sources, const Path& path, Errors& errors) {
  size_t index = 0;
  for (const core_v1::EnvFromSource source : sources) {
    const Path at = path[index++];
    if (!source.prefix().empty()) {
      errors.InvalidAll(at / "prefix", source.prefix(), CheckRelaxedEnvVarName(source.prefix()));
    }
    int count = 0;
    for (const std::string_view kind : {"configMapRef", "secretRef"}) {
      const doc::Value& reference = source.value().At(kind);
      if (reference.is_null()) continue;
      ++count;
      const std::string_view name = reference.At("name").AsString();
      if (name.empty()) {
        errors.Required(at / kind / "name");
      } else {
        errors.InvalidAll(at / kind / "name", name, NameIsSubdomain(name, true));
      }
    }
    if (count == 0) {
      errors.Invalid(path, "", "must specify one of: `configMapRef` or `secretRef`");
    } else if (count > 1) {
      errors.Invalid(path, "", "may not have more than one field specified at a time");
    }
  }
}

}  // namespace knarr::api::validation
