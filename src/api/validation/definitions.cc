// CustomResourceDefinitions: what is not their schemas.

#include <algorithm>
#include <iterator>
#include <set>
#include <string>

#include "api/validation/definition_form.h"
#include "api/validation/definition_schema.h"
#include "api/validation/definition_versions.h"
#include "api/validation/extensions.h"
#include "api/validation/metadata.h"
#include "api/validation/webhook_client.h"
#include "base/names.h"
#include "base/strings.h"
#include "base/url.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

constexpr std::string_view kApproved = "api-approved.kubernetes.io";

std::string_view TextAt(const Value& object, std::string_view member) { return object.At(member).AsString(); }
bool KeepsUnknownFields(const Value& spec) { return spec.At("preserveUnknownFields").AsBool(); }

// A DNS-1035 label, whose problems are one error.
void ValidateLabel(std::string_view text, std::string_view checked, std::string_view before, const Path& path,
                   Errors& errors) {
  const Problems problems = CheckDns1035Label(checked);
  if (!problems.empty()) errors.Invalid(path, text, std::string(before) + Join(problems, ","));
}

void ValidateNames(const Value& names, const Path& path, Errors& errors) {
  for (const std::string_view member : {"plural", "singular"}) {
    const std::string_view name = TextAt(names, member);
    if (!name.empty()) ValidateLabel(name, name, "", path / member, errors);
  }
  for (const std::string_view member : {"kind", "listKind"}) {
    const std::string_view name = TextAt(names, member);
    if (name.empty()) continue;
    ValidateLabel(name, ToLower(name), "may have mixed case, but should otherwise match: ", path / member, errors);
  }
  const auto labels = [&](std::string_view member) {
    const Value& list = names.At(member);
    for (size_t i = 0; i < list.size(); ++i) {
      ValidateLabel(list[i].AsString(), list[i].AsString(), "", (path / member)[i], errors);
    }
  };
  labels("shortNames");
  const std::string_view kind = TextAt(names, "kind");
  if (!kind.empty() && kind == TextAt(names, "listKind")) {
    errors.Invalid(path / "listKind", kind, "kind and listKind may not be the same");
  }
  labels("categories");
}

void ValidateGroup(std::string_view group, const Path& path, Errors& errors) {
  if (group.empty()) return errors.Required(path);
  const Problems problems = CheckDns1123Subdomain(group);
  if (!problems.empty()) return errors.Invalid(path, group, Join(problems, ","));
  if (group.find('.') == std::string_view::npos) {
    errors.Invalid(path, group, "should be a domain with at least one dot");
  }
}

bool IsReviewVersion(const Value& version) { return version.AsString() == "v1" || version.AsString() == "v1beta1"; }

void ValidateReviewVersions(const Value& versions, bool known, const Path& path, Errors& errors) {
  if (versions.empty()) return errors.Required(path);
  std::set<std::string_view> seen;
  for (size_t i = 0; i < versions.size(); ++i) {
    const std::string_view version = versions[i].AsString();
    if (seen.insert(version).second) {
      errors.InvalidAll(path[i], version, CheckDns1035Label(version));
    } else {
      errors.Invalid(path[i], version, "duplicate version");
    }
  }
  if (known && std::ranges::none_of(versions.items(), IsReviewVersion)) {
    errors.Invalid(path, versions, "must include at least one of v1, v1beta1");
  }
}

void ValidateClient(const Value& client, const Path& path, Errors& errors) {
  const Value& url = client.At("url");
  const Value& service = client.At("service");
  if (url.is_null() == service.is_null()) return errors.Required(path, "exactly one of url or service is required");
  if (!url.is_null()) return ValidateWebhookUrl(url.AsString(), path / "url", errors);
  // Upstream takes the name for the namespace, and the other way round.
  WebhookService named = {.ns = TextAt(service, "name"), .name = TextAt(service, "namespace"), .path = {}};
  if (service.At("path").is_string()) named.path = TextAt(service, "path");
  named.port = static_cast<int32_t>(service.At("port").AsInt());
  ValidateWebhookService(named, path / "service", errors);
}

void ValidateConversion(const Value& conversion, bool known_reviews, const Path& path, Errors& errors) {
  if (conversion.is_null()) return;
  const std::string_view strategy = TextAt(conversion, "strategy");
  const Value& client = conversion.Get("webhook", "clientConfig");
  const Value& reviews = conversion.Get("webhook", "conversionReviewVersions");
  const Path client_path = path / "webhookClientConfig";
  errors.OneOf(path / "strategy", strategy, {"None", "Webhook"});
  if (strategy == "Webhook") {
    if (client.is_null()) {
      errors.Required(client_path, "required when strategy is set to Webhook");
    } else {
      ValidateClient(client, client_path, errors);
    }
    return ValidateReviewVersions(reviews, known_reviews, path / "conversionReviewVersions", errors);
  }
  constexpr std::string_view kNotSet = "should not be set when strategy is not set to Webhook";
  if (!client.is_null()) errors.Forbidden(client_path, kNotSet);
  if (!reviews.empty()) errors.Forbidden(path / "conversionReviewVersions", kNotSet);
}

void ValidateRequiredSchemas(const DefinitionForm& form, const DefinitionDemands& demands, const Path& path,
                             Errors& errors) {
  const bool keeps = KeepsUnknownFields(form.spec());
  if (!demands.every_schema && keeps) return;
  if (!form.Shared("schema").At("openAPIV3Schema").is_null()) return;
  const Value& versions = form.versions();
  for (size_t i = 0; i < versions.size(); ++i) {
    if (!form.Own(versions[i], "schema").At("openAPIV3Schema").is_null()) continue;
    const Path at = (path / "versions")[i] / "schema" / "openAPIV3Schema";
    if (demands.every_schema) {
      errors.Required(at);
    } else if (versions[i].At("served").AsBool()) {
      errors.Required(at, "because otherwise all fields are pruned");
    }
  }
}

bool AnySchemaHas(const Value& spec, const std::function<bool(const Value& schema)>& predicate) {
  return std::ranges::any_of(spec.At("versions").items(), [&predicate](const Value& version) {
    return SchemaHas(version.Get("schema", "openAPIV3Schema"), predicate);
  });
}

bool HasDefault(const Value& schema) { return !schema.At("default").is_null(); }
bool HasExtension(const Value& schema) {
  return schema.At("x-kubernetes-embedded-resource").AsBool() ||
         !schema.At("x-kubernetes-preserve-unknown-fields").is_null() ||
         schema.At("x-kubernetes-int-or-string").AsBool() || !schema.At("x-kubernetes-list-map-keys").empty() ||
         !schema.At("x-kubernetes-list-type").is_null() || !schema.At("x-kubernetes-validations").empty();
}

void ValidateVersions(const DefinitionForm& form, const DefinitionDemands& demands, const Path& path, Errors& errors) {
  const Value& versions = form.versions();
  for (size_t i = 0; i < versions.size(); ++i) {
    const std::string_view name = TextAt(versions[i], "name");
    ValidateLabel(name, name, "", path[i] / "name", errors);
    ValidateVersion(form, versions[i], demands, path[i], errors);
  }
  std::set<std::string_view> names;
  for (const Value& version : versions.items()) names.insert(TextAt(version, "name"));
  const auto stored =
      std::ranges::count_if(versions.items(), [](const Value& version) { return version.At("storage").AsBool(); });
  if (names.size() == versions.size() && stored == 1) return;
  doc::Arena arena;
  const Value shown = ShownVersions(form, arena);
  if (names.size() < versions.size()) errors.Invalid(path, shown, "must contain unique version names");
  if (stored != 1) errors.Invalid(path, shown, "must have exactly one version marked as storage version");
}

// REQUIRES: the demands are those of the definition; what is in it may ask for structural schemas.
void ValidateSpec(const Value& spec, DefinitionDemands demands, const Path& path, Errors& errors) {
  const DefinitionForm form(spec);
  const bool keeps = KeepsUnknownFields(spec);
  ValidateGroup(TextAt(spec, "group"), path / "group", errors);
  errors.OneOf(path / "scope", TextAt(spec, "scope"), {"Cluster", "Namespaced"});
  ValidateRequiredSchemas(form, demands, path, errors);
  const bool defaults = AnySchemaHas(spec, HasDefault);
  if (defaults && keeps) {
    errors.Invalid(path / "preserveUnknownFields", Value::Bool(true),
                   "must be false in order to use defaults in the schema");
  }
  demands.schema.structural = demands.schema.structural || !keeps || defaults || AnySchemaHas(spec, HasExtension);
  ValidateVersions(form, demands, path / "versions", errors);
  const Value& names = spec.At("names");
  if (!form.versions().empty()) {
    const std::string_view first = TextAt(form.versions()[0], "name");
    if (!first.empty()) ValidateLabel(first, first, "", path / "version", errors);
  }
  for (const std::string_view member : {"plural", "singular", "kind", "listKind"}) {
    if (TextAt(names, member).empty()) errors.Required(path / "names" / member);
  }
  ValidateNames(names, path / "names", errors);
  ValidateShared(form, demands, path, errors);
  const Value& conversion = spec.At("conversion");
  const std::string_view strategy = TextAt(conversion, "strategy");
  if (!conversion.is_null() && strategy != "None" && keeps) {
    errors.Invalid(path / "conversion" / "strategy", strategy, "must be None if spec.preserveUnknownFields is true");
  }
  ValidateConversion(conversion, demands.known_reviews, path / "conversion", errors);
}

void ValidateStoredVersions(const Value& object, Errors& errors) {
  const Path path = Path("status") / "storedVersions";
  const Value& stored = object.Get("status", "storedVersions");
  if (stored.empty()) return errors.Invalid(path, Value::Null(), "must have at least one stored version");
  const auto& versions = object.Get("spec", "versions").items();
  const auto has = [](const auto& list, std::string_view name, const auto& name_of) {
    return std::ranges::any_of(list, [&](const Value& item) { return name_of(item) == name; });
  };
  const auto own = [](const Value& item) { return item.AsString(); };
  const auto named = [](const Value& item) { return TextAt(item, "name"); };
  // A version's name counts for the first version that has it.
  std::set<std::string_view> told;
  for (const Value& version : versions) {
    const bool stands = has(stored.items(), named(version), own) && told.insert(named(version)).second;
    if (stands || !version.At("storage").AsBool()) continue;
    errors.Invalid(path, stored, "must have the storage version " + std::string(named(version)));
  }
  for (size_t i = 0; i < stored.size(); ++i) {
    const std::string name(stored[i].AsString());
    if (has(versions, name, named)) continue;
    errors.Invalid(path[i], name,
                   "missing from spec.versions; " + name +
                       " was previously a storage version, and must remain in spec.versions until a storage "
                       "migration ensures no data remains persisted in " +
                       name + " and removes " + name + " from status.storedVersions");
  }
}

enum class Approval : uint8_t { kGiven, kBypassed, kMissing, kInvalid };

std::string_view ApprovalText(const Value& object) {
  const Value* text = object.Get("metadata", "annotations").Find(kApproved);
  return text == nullptr ? std::string_view() : text->AsString();
}
Approval ApprovalOf(const Value& object) {
  const std::string_view text = ApprovalText(object);
  if (text.empty()) return Approval::kMissing;
  if (text.starts_with("unapproved")) return Approval::kBypassed;
  const ParsedUrl url = ParseRequestUri(text);
  const bool fits = url.problem.empty() && !url.host.empty() && !url.scheme.empty();
  return fits ? Approval::kGiven : Approval::kInvalid;
}

// Groups of Kubernetes' own domains are for what its community has approved.
void ValidateCommunityGroup(const Value& object, const Value* old, Errors& errors) {
  const std::string domain = "." + std::string(object.Get("spec", "group").AsString());
  if (!domain.ends_with(".k8s.io") && !domain.ends_with(".kubernetes.io")) return;
  const Approval approval = ApprovalOf(object);
  if (old != nullptr && ApprovalOf(*old) == approval) return;
  const Path path = (MetadataPath() / "annotations").Key(kApproved);
  const std::string must = "protected groups must have approval annotation " + GoQuote(kApproved);
  constexpr std::string_view kSee = ", see https://github.com/kubernetes/enhancements/pull/1111";
  if (approval == Approval::kMissing) errors.Required(path, must + std::string(kSee));
  if (approval == Approval::kInvalid) {
    errors.Invalid(path, ApprovalText(object),
                   must + " with either a URL or a reason starting with \"unapproved\"" + std::string(kSee));
  }
}

void ValidateKeeping(const Value& object, const Value* old, Errors& errors) {
  if (old != nullptr && KeepsUnknownFields(old->At("spec"))) return;
  if (!KeepsUnknownFields(object.At("spec"))) return;
  errors.Invalid(SpecPath() / "preserveUnknownFields", Value::Bool(true),
                 "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema "
                 "instead");
}

// The name, and what an object may be named: the rule knows the spec.
void ValidateName(const Value& object, Errors& errors) {
  const Value& spec = object.At("spec");
  const std::string required =
      std::string(spec.Get("names", "plural").AsString()) + "." + std::string(TextAt(spec, "group"));
  for (const std::string_view member : {"generateName", "name"}) {
    const std::string_view name = object.Get("metadata", member).AsString();
    if (!name.empty() && name != required) {
      errors.Invalid(MetadataPath() / member, name, "must be spec.names.plural+\".\"+spec.group");
    }
  }
}

bool IsStructural(const Value& schema) {
  if (!schema.is_object()) return true;
  if (!NotStructural(schema).empty()) return false;
  Errors errors;
  ValidateStructure(schema, Path(), errors);
  return errors.empty();
}

bool IsEstablished(const Value& object) {
  const auto& conditions = object.Get("status", "conditions").items();
  const auto found =
      std::ranges::find_if(conditions, [](const Value& one) { return TextAt(one, "type") == "Established"; });
  return found != conditions.end() && TextAt(*found, "status") == "True";
}

// An update need not meet what the old definition did not meet.
DefinitionDemands DemandsAfter(const Value& spec, const Value& old_spec) {
  DefinitionDemands demands;
  const auto& versions = old_spec.At("versions").items();
  const auto none = [&versions](const auto& is_bad) {
    return std::ranges::none_of(versions,
                                [&](const Value& version) { return is_bad(version.Get("schema", "openAPIV3Schema")); });
  };
  const Value& reviews = old_spec.At("conversion").Get("webhook", "conversionReviewVersions");
  demands.known_reviews = reviews.empty() || std::ranges::any_of(reviews.items(), IsReviewVersion);
  demands.every_schema = none([](const Value& schema) { return !schema.is_object(); });
  demands.schema.structural = none([](const Value& schema) { return !IsStructural(schema); });
  demands.schema.pruned_defaults = none([](const Value& schema) {
    return SchemaHas(schema, HasDefault) && IsStructural(schema) && HasUnprunedDefaults(schema);
  });
  demands.schema.known_types =
      !AnySchemaHas(old_spec, [](const Value& schema) { return !IsKnownType(TextAt(schema, "type")); });
  demands.schema.atomic_sets = !AnySchemaHas(old_spec, [](const Value& schema) { return !HasAtomicItems(schema); });
  demands.schema.map_list_keys = !AnySchemaHas(old_spec, [](const Value& schema) {
    Errors errors;
    ValidateMapListKeys(schema, Path(), errors);
    return !errors.empty();
  });
  demands.many_fields = VersionsWithOldFields(DefinitionForm(spec), DefinitionForm(old_spec));
  return demands;
}

}  // namespace

void ValidateDefinition(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  ValidateName(object, errors);
  ValidateSpec(object.At("spec"), {}, SpecPath(), errors);
  ValidateNames(object.Get("status", "acceptedNames"), Path("status") / "acceptedNames", errors);
  ValidateStoredVersions(object, errors);
  ValidateCommunityGroup(object, nullptr, errors);
  ValidateKeeping(object, nullptr, errors);
}

void ValidateDefinitionUpdate(const Value& object, const Value& old, Errors& errors) {
  const Value& spec = object.At("spec");
  const Value& old_spec = old.At("spec");
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateSpec(spec, DemandsAfter(spec, old_spec), SpecPath(), errors);
  const Path names = SpecPath() / "names";
  if (IsEstablished(old)) {
    ValidateImmutable(spec.At("scope"), old_spec.At("scope"), SpecPath() / "scope", errors);
    ValidateImmutable(spec.Get("names", "kind"), old_spec.Get("names", "kind"), names / "kind", errors);
  }
  ValidateImmutable(spec.At("group"), old_spec.At("group"), SpecPath() / "group", errors);
  ValidateImmutable(spec.Get("names", "plural"), old_spec.Get("names", "plural"), names / "plural", errors);
  ValidateNames(object.Get("status", "acceptedNames"), Path("status") / "acceptedNames", errors);
  ValidateStoredVersions(object, errors);
  ValidateCommunityGroup(object, &old, errors);
  ValidateKeeping(object, &old, errors);
}

void ValidateDefinitionStatusUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateNames(object.Get("status", "acceptedNames"), Path("status") / "acceptedNames", errors);
}

}  // namespace knarr::api::validation
