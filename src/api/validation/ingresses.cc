#include <algorithm>

#include "api/networking_v1.h"
#include "api/validation/addresses.h"
#include "api/validation/metadata.h"
#include "api/validation/networking.h"
#include "api/validation/services.h"
#include "base/names.h"

namespace knarr::api::validation {
namespace {

using doc::Value;
using networking_v1::Ingress;
using networking_v1::IngressBackend;

constexpr std::string_view kClassAnnotation = "kubernetes.io/ingress.class";
constexpr std::string_view kNoName = "must be a DNS name, not an IP address";

// What an update may keep although it is wrong.
struct Options {
  bool any_secret_name = false;
  bool any_wildcard_rule = false;
};

Problems CheckHost(std::string_view host) {
  return host.find('*') != std::string_view::npos ? CheckWildcardDns1123Subdomain(host) : CheckDns1123Subdomain(host);
}

void ValidateBackend(const IngressBackend& backend, const Path& path, Errors& errors) {
  if (backend.has_resource() && backend.has_service()) {
    return errors.Invalid(path, "", "cannot set both resource and service backends");
  }
  if (backend.has_resource()) {
    return ValidateTypedReference(backend.resource().tree(), path / "resource", errors);
  }
  if (!backend.has_service()) return errors.Invalid(path, "", "resource or service backend is required");
  const Path at = path / "service";
  const std::string_view name = backend.service().name();
  if (name.empty()) {
    errors.Required(at / "name");
  } else {
    errors.InvalidAll(at / "name", name, NameIsLabel(name, false));
  }
  const std::string_view port_name = backend.service().port().name();
  const int64_t number = backend.service().port().number();
  if (!port_name.empty() && number != 0) {
    errors.Invalid(path, "", "cannot set both port name & port number");
  } else if (!port_name.empty()) {
    errors.InvalidAll(at / "port" / "name", port_name, CheckPortName(port_name));
  } else if (number != 0) {
    errors.InvalidAll(at / "port" / "number", number, CheckPortNumber(number));
  } else {
    errors.Required(path, "port name or number is required");
  }
}

void ValidatePath(const networking_v1::HTTPIngressPath& http, const Path& at, Errors& errors) {
  const auto type = http.path_type();
  if (!type) return errors.Required(at / "pathType", "pathType must be specified");
  const std::string_view path = http.path();
  const bool absolute = path.starts_with('/');
  if (*type == "Exact" || *type == "Prefix") {
    if (!absolute) errors.Invalid(at / "path", path, "must be an absolute path");
    for (const std::string_view part : {"//", "/./", "/../", "%2f", "%2F"}) {
      if (path.find(part) == std::string_view::npos) continue;
      errors.Invalid(at / "path", path, "must not contain '" + std::string(part) + "'");
    }
    for (const std::string_view end : {"/..", "/."}) {
      if (path.ends_with(end)) errors.Invalid(at / "path", path, "cannot end with '" + std::string(end) + "'");
    }
  } else if (*type == "ImplementationSpecific") {
    if (!path.empty() && !absolute) errors.Invalid(at / "path", path, "must be an absolute path");
  } else {
    errors.NotSupported(at / "pathType", *type, {"Exact", "ImplementationSpecific", "Prefix"});
  }
  ValidateBackend(http.backend(), at / "backend", errors);
}

void ValidatePaths(const networking_v1::IngressRule& rule, const Path& path, Errors& errors) {
  if (!rule.has_http()) return;
  const Path at = path / "http" / "paths";
  if (rule.http().paths().empty()) errors.Required(at);
  size_t index = 0;
  for (const networking_v1::HTTPIngressPath http : rule.http().paths()) ValidatePath(http, at[index++], errors);
}

bool IsWildcard(const networking_v1::IngressRule& rule) { return rule.host().find('*') != std::string_view::npos; }

void ValidateRule(const networking_v1::IngressRule& rule, const Options& options, const Path& path, Errors& errors) {
  const std::string_view host = rule.host();
  if (!host.empty()) {
    if (LooksLikeIp(host)) errors.Invalid(path / "host", host, kNoName);
    errors.InvalidAll(path / "host", host, CheckHost(host));
  }
  if (!IsWildcard(rule) || !options.any_wildcard_rule) ValidatePaths(rule, path, errors);
}

void ValidateTls(const networking_v1::IngressTLS& tls, const Options& options, const Path& path, Errors& errors) {
  size_t index = 0;
  for (const std::string_view host : tls.hosts()) {
    errors.InvalidAll((path / "hosts")[index++], host, CheckHost(host));
  }
  const std::string_view secret = tls.secret_name();
  if (options.any_secret_name || secret.empty()) return;
  errors.InvalidAll(path / "secretName", secret, NameIsSubdomain(secret, false));
}

void ValidateWhole(const Ingress& ingress, const Options& options, Errors& errors) {
  ValidateMetadata(ingress.metadata().tree(), true, NameIsSubdomain, MetadataPath(), errors);
  const networking_v1::IngressSpec spec = ingress.spec();
  if (spec.rules().empty() && !spec.has_default_backend()) {
    errors.Invalid(SpecPath(), spec.tree().At("rules"), "either `defaultBackend` or `rules` must be specified");
  }
  if (spec.has_default_backend()) ValidateBackend(spec.default_backend(), SpecPath() / "defaultBackend", errors);
  size_t index = 0;
  for (const networking_v1::IngressRule rule : spec.rules()) {
    ValidateRule(rule, options, (SpecPath() / "rules")[index++], errors);
  }
  index = 0;
  for (const networking_v1::IngressTLS tls : spec.tls()) {
    ValidateTls(tls, options, (SpecPath() / "tls")[index++], errors);
  }
  if (const auto name = spec.ingress_class_name()) {
    errors.InvalidAll(SpecPath() / "ingressClassName", *name, NameIsSubdomain(*name, false));
  }
}

Options OptionsOf(const Ingress& old) {
  Options options;
  for (const networking_v1::IngressTLS tls : old.spec().tls()) {
    const std::string_view secret = tls.secret_name();
    options.any_secret_name |= !secret.empty() && !NameIsSubdomain(secret, false).empty();
  }
  for (const networking_v1::IngressRule rule : old.spec().rules()) {
    Errors errors;
    if (IsWildcard(rule)) ValidatePaths(rule, Path(), errors);
    options.any_wildcard_rule |= !errors.empty();
  }
  return options;
}

void ValidateParameters(const networking_v1::IngressClassParametersReference& parameters, const Path& path,
                        Errors& errors) {
  if (!parameters) return;
  ValidateTypedReference(parameters.tree(), path, errors);
  const auto scope = parameters.scope();
  const auto space = parameters.ns();
  if (!scope) return errors.Required(path / "scope");
  if (*scope == "Namespace") {
    if (!space) {
      errors.Required(path / "namespace", "`parameters.scope` is set to 'Namespace'");
    } else {
      errors.InvalidAll(path / "namespace", *space, NameIsLabel(*space, false));
    }
  } else if (*scope == "Cluster") {
    if (space) errors.Forbidden(path / "namespace", "`parameters.scope` is set to 'Cluster'");
  } else {
    errors.NotSupported(path / "scope", *scope, {"Cluster", "Namespace"});
  }
}

}  // namespace

void ValidateTypedReference(const Value& reference, const Path& path, Errors& errors) {
  const Value& group = reference.At("apiGroup");
  if (!group.is_null()) {
    errors.InvalidAll(path / "apiGroup", group.AsString(), CheckDns1123Subdomain(group.AsString()));
  }
  ValidatePathSegment(reference.At("kind").AsString(), path / "kind", errors);
  ValidatePathSegment(reference.At("name").AsString(), path / "name", errors);
}

void ValidateIngress(const Value& object, Errors& errors) {
  const Ingress ingress(object);
  ValidateWhole(ingress, {}, errors);
  const auto annotation = ingress.metadata().annotations().Find(kClassAnnotation);
  const auto name = ingress.spec().ingress_class_name();
  if (annotation && name && *annotation != *name) {
    errors.Invalid(Path("annotations") / kClassAnnotation, *annotation,
                   "must match `ingressClassName` when both are specified");
  }
}

void ValidateIngressUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateWhole(Ingress(object), OptionsOf(Ingress(old)), errors);
}

void ValidateIngressStatusUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  const Path path = Path("status") / "loadBalancer" / "ingress";
  const Value& before = old.Get("status", "loadBalancer", "ingress");
  const Value& points = object.Get("status", "loadBalancer", "ingress");
  for (size_t i = 0; i < points.size(); ++i) {
    ValidatePointAddress(points[i], before, path[i], errors);
    ValidatePointName(points[i], path[i], errors);
  }
}

void ValidateIngressClass(const Value& object, Errors& errors) {
  constexpr size_t kControllerMax = 250;
  const networking_v1::IngressClassSpec spec = networking_v1::IngressClass(object).spec();
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  const Path path = SpecPath() / "controller";
  if (spec.controller().size() > kControllerMax) errors.TooLong(path, kControllerMax);
  ValidateDomainPrefixedPath(spec.controller(), path, errors);
  ValidateParameters(spec.parameters(), SpecPath() / "parameters", errors);
}

void ValidateIngressClassUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  const std::string_view controller = object.Get("spec", "controller").AsString();
  if (controller != old.Get("spec", "controller").AsString()) {
    errors.Invalid(SpecPath() / "controller", controller, kImmutable);
  }
  ValidateIngressClass(object, errors);
}

}  // namespace knarr::api::validation
