#include "api/validation/fairness.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "api/fairness_defaults.h"
#include "api/flowcontrol_v1.h"
#include "api/validation/go_form.h"
#include "api/validation/metadata.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::api::validation {
namespace {

using doc::Value;
namespace v1 = flowcontrol_v1;

constexpr int32_t kPrecedenceMax = 10000;
constexpr int32_t kQueuesMax = 10'000'000;
// Hashes with which requests are dealt to queues have this many bits.
constexpr int kHashBitsMax = 60;
constexpr std::string_view kZeroSharesAnnotation = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares";
constexpr std::string_view kVerbs[] = {"create", "delete", "deletecollection", "get",  "list",
                                       "patch",  "proxy",  "update",           "watch"};

bool Has(const Value& list, std::string_view text) {
  return std::ranges::any_of(list.items(), [text](const Value& item) { return item.AsString() == text; });
}

// The spec that an object of this name must have; nullptr when it may have any.
const FairnessDefault* FindMandatory(std::string_view kind, std::string_view name) {
  const std::span<const FairnessDefault> all = FairnessDefaults();
  const auto found = std::ranges::find_if(
      all, [&](const FairnessDefault& entry) { return entry.mandatory && entry.kind == kind && entry.name == name; });
  return found == all.end() ? nullptr : &*found;
}

// A list of texts in which "*" may only stand alone.
void ValidateWildcard(const Value& list, std::string_view what, const Path& path, Errors& errors) {
  if (list.size() > 1 && Has(list, "*")) {
    errors.Invalid(path, list, "if '*' is present, must not specify other " + std::string(what));
  }
}

void ValidateVerbs(const Value& verbs, const Path& path, Errors& errors) {
  if (verbs.empty()) return errors.Required(path, "verbs must contain at least one value");
  if (Has(verbs, "*")) return ValidateWildcard(verbs, "verbs", path, errors);
  const bool known = std::ranges::all_of(
      verbs.items(), [](const Value& verb) { return std::ranges::find(kVerbs, verb.AsString()) != std::end(kVerbs); });
  if (!known) errors.NotSupported(path, verbs, kVerbs);
}

std::string_view UrlProblem(std::string_view path) {
  if (path.empty()) return "must not be empty";
  if (path == "/") return {};
  if (!path.starts_with('/')) return "must start with slash";
  if (path.find(' ') != std::string_view::npos) return "must not contain white-space";
  if (path.find("//") != std::string_view::npos) return "must not contain double slash";
  const auto wildcards = std::ranges::count(path, '*');
  if (wildcards > 1 || (wildcards == 1 && !path.ends_with("/*"))) return "wildcard can only do suffix matching";
  return {};
}

void ValidateNonResourceRule(const Value& rule, const Path& path, Errors& errors) {
  ValidateVerbs(rule.At("verbs"), path / "verbs", errors);
  const Value& urls = rule.At("nonResourceURLs");
  const Path at = path / "nonResourceURLs";
  if (urls.empty()) return errors.Required(at, "nonResourceURLs must contain at least one value");
  if (Has(urls, "*")) return ValidateWildcard(urls, "non-resource URLs", at, errors);
  for (size_t i = 0; i < urls.size(); ++i) {
    const std::string_view problem = UrlProblem(urls[i].AsString());
    if (!problem.empty()) errors.Invalid(at[i], urls[i].AsString(), problem);
  }
}

void ValidateNamespaces(const v1::ResourcePolicyRule& rule, const Path& path, Errors& errors) {
  const Value& list = rule.tree().At("namespaces");
  if (list.empty() && !rule.cluster_scope()) {
    return errors.Required(path, "resource rules that are not cluster scoped must supply at least one namespace");
  }
  if (Has(list, "*")) return ValidateWildcard(list, "namespaces", path, errors);
  size_t index = 0;
  for (const std::string_view ns : rule.namespaces()) {
    const Path at = path[index++];
    for (const std::string& problem : NameIsLabel(ns, false)) {
      errors.Invalid(at, ns, "each member of this list must be '*' or a DNS-1123 label; " + problem);
    }
  }
}

void ValidateResourceRule(const v1::ResourcePolicyRule& rule, const Path& path, Errors& errors) {
  const Value& tree = rule.tree();
  ValidateVerbs(tree.At("verbs"), path / "verbs", errors);
  if (rule.api_groups().empty()) {
    errors.Required(path / "apiGroups", "resource rules must supply at least one api group");
  } else {
    ValidateWildcard(tree.At("apiGroups"), "api groups", path / "apiGroups", errors);
  }
  if (rule.resources().empty()) {
    errors.Required(path / "resources", "resource rules must supply at least one resource");
  } else {
    ValidateWildcard(tree.At("resources"), "resources", path / "resources", errors);
  }
  ValidateNamespaces(rule, path / "namespaces", errors);
}

void ValidateServiceAccount(const v1::ServiceAccountSubject& account, const Path& path, Errors& errors) {
  if (account.name().empty()) {
    errors.Required(path / "name");
  } else if (account.name() != "*") {
    errors.InvalidAll(path / "name", account.name(), NameIsSubdomain(account.name(), false));
  }
  if (account.ns().empty()) {
    errors.Required(path / "namespace", "must specify namespace for service account");
  } else {
    errors.InvalidAll(path / "namespace", account.ns(), NameIsLabel(account.ns(), false));
  }
}

// Only the member that the kind names may be there.
void ValidateSubject(const v1::Subject& subject, const Path& path, Errors& errors) {
  constexpr struct {
    std::string_view kind;
    std::string_view member;
  } kKinds[] = {{"ServiceAccount", "serviceAccount"}, {"User", "user"}, {"Group", "group"}};
  const auto* const own = std::ranges::find_if(kKinds, [&](const auto& k) { return k.kind == subject.kind(); });
  if (own == std::end(kKinds)) {
    return errors.NotSupported(path / "kind", subject.kind(), {"Group", "ServiceAccount", "User"});
  }
  const Path at = path / own->member;
  const Value& value = subject.tree().At(own->member);
  if (value.is_null()) {
    errors.Required(at,
                    std::string(own->member) + " is required when subject kind is '" + std::string(own->kind) + "'");
  } else if (own->kind == "ServiceAccount") {
    ValidateServiceAccount(subject.service_account(), at, errors);
  } else if (value.At("name").AsString().empty()) {
    errors.Required(at / "name");
  }
  for (const auto& [kind, member] : kKinds) {
    if (kind == own->kind || subject.tree().At(member).is_null()) continue;
    errors.Forbidden(path / member,
                     std::string(member) + " is forbidden when subject kind is not '" + std::string(kind) + "'");
  }
}

void ValidateSchemaRule(const v1::PolicyRulesWithSubjects& rule, const Path& path, Errors& errors) {
  size_t index = 0;
  for (const v1::Subject subject : rule.subjects()) ValidateSubject(subject, (path / "subjects")[index++], errors);
  if (rule.subjects().empty()) errors.Required(path / "subjects", "subjects must contain at least one value");
  if (rule.resource_rules().empty() && rule.non_resource_rules().empty()) {
    errors.Required(path, "at least one of resourceRules and nonResourceRules has to be non-empty");
  }
  index = 0;
  for (const v1::ResourcePolicyRule resource : rule.resource_rules()) {
    ValidateResourceRule(resource, (path / "resourceRules")[index++], errors);
  }
  index = 0;
  for (const v1::NonResourcePolicyRule other : rule.non_resource_rules()) {
    ValidateNonResourceRule(other.tree(), (path / "nonResourceRules")[index++], errors);
  }
}

void ValidateSchemaSpec(std::string_view name, const v1::FlowSchemaSpec& spec, Errors& errors) {
  const Path precedence = SpecPath() / "matchingPrecedence";
  if (spec.matching_precedence() <= 0) {
    errors.Invalid(precedence, spec.matching_precedence(), "must be a positive value");
  }
  if (spec.matching_precedence() > kPrecedenceMax) {
    errors.Invalid(precedence, spec.matching_precedence(), "must not be greater than 10000");
  }
  if (spec.matching_precedence() == 1 && name != "exempt") {
    errors.Invalid(precedence, spec.matching_precedence(),
                   "only the schema named 'exempt' may have matchingPrecedence 1");
  }
  const std::string_view method = spec.distinguisher_method().type();
  if (spec.has_distinguisher_method() && method != "ByUser" && method != "ByNamespace") {
    doc::Arena arena;
    errors.NotSupported(SpecPath() / "distinguisherMethod" / "type",
                        GoForm(v1::FlowDistinguisherMethod::SchemaType(), spec.distinguisher_method().tree(), arena),
                        {"ByNamespace", "ByUser"});
  }
  const std::string_view level = spec.priority_level_configuration().name();
  const Path at = SpecPath() / "priorityLevelConfiguration" / "name";
  if (level.empty()) {
    errors.Required(at, "must reference a priority level");
  } else {
    errors.InvalidAll(at, level, NameIsSubdomain(level, false));
  }
  size_t index = 0;
  for (const v1::PolicyRulesWithSubjects rule : spec.rules()) {
    ValidateSchemaRule(rule, (SpecPath() / "rules")[index++], errors);
  }
}

void ValidateConditions(const Value& status, Errors& errors) {
  const Path path = Path("status") / "conditions";
  std::set<std::string_view> seen;
  const Value& conditions = status.At("conditions");
  for (size_t i = 0; i < conditions.size(); ++i) {
    const std::string_view type = conditions[i].At("type").AsString();
    if (!seen.insert(type).second) errors.Duplicate(path[i] / "type", type);
    if (type.empty()) errors.Required(path[i] / "type");
  }
}

void ValidateShares(const std::optional<int32_t>& shares, const std::optional<int32_t>& lendable, const Path& path,
                    Errors& errors) {
  if (shares.value_or(0) < 0) {
    errors.Invalid(path / "nominalConcurrencyShares", *shares, "must be a non-negative integer");
  }
  if (lendable && (*lendable < 0 || *lendable > 100)) {
    errors.Invalid(path / "lendablePercent", *lendable, "must be between 0 and 100, inclusive");
  }
}

void ValidateQueuing(const v1::QueuingConfiguration& queuing, const Path& path, Errors& errors) {
  const int32_t queues = queuing.queues();
  const int32_t hand = queuing.hand_size();
  if (queuing.queue_length_limit() <= 0) {
    errors.Invalid(path / "queueLengthLimit", queuing.queue_length_limit(), "must be positive");
  }
  if (queues <= 0) {
    errors.Invalid(path / "queues", queues, "must be positive");
  } else if (queues > kQueuesMax) {
    errors.Invalid(path / "queues", queues, "must not be greater than " + std::to_string(kQueuesMax));
  }
  const Path at = path / "handSize";
  if (hand <= 0) return errors.Invalid(at, hand, "must be positive");
  if (hand > queues) {
    return errors.Invalid(at, hand, "should not be greater than queues (" + std::to_string(queues) + ")");
  }
  if (std::ceil(std::log2(queues) * hand) > kHashBitsMax) {
    errors.Invalid(at, hand,
                   "required entropy bits of deckSize " + std::to_string(queues) + " and handSize " +
                       std::to_string(hand) + " should not be greater than " + std::to_string(kHashBitsMax));
  }
}

void ValidateLimitResponse(const v1::LimitResponse& response, const Path& path, Errors& errors) {
  if (response.type() == "Reject") {
    if (response.has_queuing()) {
      errors.Forbidden(path / "queuing", "must be nil if limited.limitResponse.type is not Limited");
    }
  } else if (response.type() != "Queue") {
    errors.OneOf(path / "type", response.type(), {"Queue", "Reject"});
  } else if (!response.has_queuing()) {
    errors.Required(path / "queuing", "must not be empty if limited.limitResponse.type is Limited");
  } else {
    ValidateQueuing(response.queuing(), path / "queuing", errors);
  }
}

void ValidateLimited(const v1::LimitedPriorityLevelConfiguration& limited, const Path& path, Errors& errors) {
  ValidateShares(limited.nominal_concurrency_shares(), {}, path, errors);
  ValidateLimitResponse(limited.limit_response(), path / "limitResponse", errors);
  ValidateShares({}, limited.lendable_percent(), path, errors);
  if (limited.borrowing_limit_percent().value_or(0) < 0) {
    errors.Invalid(path / "borrowingLimitPercent", *limited.borrowing_limit_percent(),
                   "if specified, must be a non-negative integer");
  }
}

void ValidateLevelSpec(std::string_view name, const v1::PriorityLevelConfigurationSpec& spec, Errors& errors) {
  const Path type = SpecPath() / "type";
  if ((name == "exempt") != (spec.type() == "Exempt")) {
    errors.Invalid(type, spec.type(), "must be 'Exempt' if and only if `name` is 'exempt'");
  }
  const Path limited = SpecPath() / "limited";
  const Path exempt = SpecPath() / "exempt";
  if (spec.type() == "Exempt") {
    if (spec.has_limited()) errors.Forbidden(limited, "must be nil if the type is not Limited");
    const v1::ExemptPriorityLevelConfiguration view = spec.exempt();
    ValidateShares(view.nominal_concurrency_shares(), view.lendable_percent(), exempt, errors);
  } else if (spec.type() == "Limited") {
    if (spec.has_exempt()) errors.Forbidden(exempt, "must be nil if the type is Limited");
    if (spec.has_limited()) {
      ValidateLimited(spec.limited(), limited, errors);
    } else {
      errors.Required(limited, "must not be empty when type is Limited");
    }
  } else {
    errors.OneOf(type, spec.type(), {"Exempt", "Limited"});
  }
}

// `free`: a member that may be anything.
void ValidateFixed(const FairnessDefault& fixed, const Type& type, const Value& spec, std::string_view free,
                   Errors& errors) {
  doc::Document want = MUST(doc::ParseJson(fixed.spec));  // our own text
  doc::Document have = doc::Document::Copy(spec);
  if (!free.empty()) {
    want.root.Remove(free);
    have.root.Remove(free);
  }
  if (want.root.Equals(have.root)) return;
  doc::Arena arena;
  std::string text = "spec of '" + std::string(fixed.name) + "'";
  if (!free.empty()) text += " except the 'spec." + std::string(free) + "' field";
  errors.Invalid(SpecPath(), GoForm(type, spec, arena), text + " must equal the fixed value");
}

}  // namespace

void ValidateFlowSchema(const Value& object, Errors& errors) {
  const std::string_view name = object.Get("metadata", "name").AsString();
  const Value& spec = object.At("spec");
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  ValidateSchemaSpec(name, v1::FlowSchemaSpec(spec), errors);
  if (const FairnessDefault* fixed = FindMandatory("FlowSchema", name)) {
    ValidateFixed(*fixed, v1::FlowSchemaSpec::SchemaType(), spec, "", errors);
  }
  ValidateConditions(object.At("status"), errors);
}
// Upstream does not hold the metadata of an update against the old.
void ValidateFlowSchemaUpdate(const Value& object, const Value& /*old*/, Errors& errors) {
  ValidateFlowSchema(object, errors);
}

void ValidatePriorityLevel(const Value& object, Errors& errors) {
  const std::string_view name = object.Get("metadata", "name").AsString();
  const Value& spec = object.At("spec");
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  if (object.Get("metadata", "annotations").Find(kZeroSharesAnnotation) != nullptr) {
    errors.Forbidden(MetadataPath() / "annotations",
                     "annotation '" + std::string(kZeroSharesAnnotation) + "' is forbidden");
  }
  ValidateLevelSpec(name, v1::PriorityLevelConfigurationSpec(spec), errors);
  if (const FairnessDefault* fixed = FindMandatory("PriorityLevelConfiguration", name)) {
    ValidateFixed(*fixed, v1::PriorityLevelConfigurationSpec::SchemaType(), spec, name == "exempt" ? "exempt" : "",
                  errors);
  }
  ValidateConditions(object.At("status"), errors);
}
void ValidatePriorityLevelUpdate(const Value& object, const Value& /*old*/, Errors& errors) {
  ValidatePriorityLevel(object, errors);
}

void ValidateFairnessStatusUpdate(const Value& object, const Value& /*old*/, Errors& errors) {
  ValidateConditions(object.At("status"), errors);
}

}  // namespace knarr::api::validation
