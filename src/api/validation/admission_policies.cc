#include <algorithm>
#include <set>

#include "api/validation/admission.h"
#include "api/validation/go_form.h"
#include "api/validation/metadata.h"
#include "base/names.h"
#include "base/strings.h"
#include "doc/json_path.h"

namespace knarr::api::validation {
namespace {

using doc::Value;
namespace v1 = admissionregistration_v1;

constexpr size_t kAuditAnnotationsMax = 20;
constexpr size_t kValueExpressionMax = 5 * 1024;

bool IsBlank(std::string_view text) { return TrimSpace(text).empty(); }

void ValidateParamKind(const v1::ParamKind& kind, const Path& path, Errors& errors) {
  const Path at = path / "apiVersion";
  const std::string_view api_version = kind.api_version();
  const auto slashes = std::ranges::count(api_version, '/');
  if (api_version.empty()) {
    errors.Required(at);
  } else if (slashes > 1) {
    errors.Invalid(at, api_version, "unexpected GroupVersion string: " + std::string(api_version));
  } else {
    const size_t slash = api_version.find('/');
    const std::string_view group = slashes == 0 ? "" : api_version.substr(0, slash);
    const std::string_view version = slashes == 0 ? api_version : api_version.substr(slash + 1);
    if (!group.empty()) {
      const Problems problems = CheckDns1123Subdomain(group);
      if (!problems.empty()) errors.Invalid(at, group, Join(problems, ","));
    }
    if (version.empty()) {
      errors.Invalid(at, api_version, "version must be specified");
    } else if (const Problems problems = CheckDns1035Label(version); !problems.empty()) {
      errors.Invalid(at, version, Join(problems, ","));
    }
  }
  if (kind.kind().empty()) return errors.Required(path / "kind");
  const Problems problems = CheckDns1035Label(ToLower(kind.kind()));
  if (problems.empty()) return;
  errors.Invalid(path / "kind", kind.kind(), "may have mixed case, but should otherwise match: " + Join(problems, ","));
}

void ValidateNamedRule(const v1::NamedRuleWithOperations& rule, const Path& path, Errors& errors) {
  std::set<std::string_view> names;
  size_t index = 0;
  for (const std::string_view name : rule.resource_names()) {
    const Path at = (path / "resourceNames")[index++];
    errors.InvalidAll(at, name, CheckPathSegmentName(name));
    if (!names.insert(name).second) errors.Duplicate(at, name);
  }
  ValidateAdmissionRule(v1::RuleWithOperations(rule.tree()), path, errors);
}

void RequireChoice(const std::optional<std::string_view>& value, std::initializer_list<std::string_view> supported,
                   const Path& path, Errors& errors) {
  if (!value) return errors.Required(path);
  ValidateChoice(value, supported, path, errors);
}

void ValidateMatchResources(const v1::MatchResources& match, const Path& path, Errors& errors) {
  RequireChoice(match.match_policy(), {"Equivalent", "Exact"}, path / "matchPolicy", errors);
  if (!match.has_namespace_selector()) errors.Required(path / "namespaceSelector");
  ValidateLabelSelector(match.namespace_selector(), true, path / "namespaceSelector", errors);
  if (!match.has_object_selector()) errors.Required(path / "objectSelector");
  ValidateLabelSelector(match.object_selector(), true, path / "objectSelector", errors);
  size_t index = 0;
  for (const v1::NamedRuleWithOperations rule : match.resource_rules()) {
    ValidateNamedRule(rule, (path / "resourceRules")[index++], errors);
  }
  index = 0;
  for (const v1::NamedRuleWithOperations rule : match.exclude_resource_rules()) {
    ValidateNamedRule(rule, (path / "excludeResourceRules")[index++], errors);
  }
}

// What is deleted can't be changed any more.
void ValidateMutable(const v1::MatchResources& match, const Path& path, Errors& errors) {
  for (const v1::NamedRuleWithOperations rule : match.resource_rules()) {
    for (const std::string_view operation : rule.operations()) {
      ValidateChoice(operation, {"*", "CONNECT", "CREATE", "UPDATE"}, path / "resourceRules" / "operations", errors);
    }
  }
}

void ValidateConstraints(const v1::MatchResources& match, const Path& path, Errors& errors) {
  if (!match) return errors.Required(path);
  ValidateMatchResources(match, path, errors);
  if (match.resource_rules().empty()) errors.Required(path / "resourceRules");
}

bool IsCelIdentifier(std::string_view name) {
  constexpr std::string_view kReserved[] = {"true",     "false",   "null",      "in",       "as",  "break",  "const",
                                            "continue", "else",    "for",       "function", "if",  "import", "let",
                                            "loop",     "package", "namespace", "return",   "var", "void",   "while"};
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (name.empty() || !letter(name.front())) return false;
  if (!std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); })) return false;
  return std::ranges::find(kReserved, name) == std::end(kReserved);
}

void ValidateVariables(const ListView<v1::Variable>& variables, const Path& path, Errors& errors) {
  size_t index = 0;
  for (const v1::Variable variable : variables) {
    const Path at = path[index++];
    if (IsBlank(variable.name())) {
      errors.Required(at / "name", "name is not specified");
    } else if (!IsCelIdentifier(variable.name())) {
      errors.Invalid(at / "name", variable.name(), "must be a valid CEL identifier");
    }
    if (IsBlank(variable.expression())) errors.Required(at / "expression", "expression is not specified");
  }
}

void ValidateValidation(const v1::Validation& validation, const Path& path, Errors& errors) {
  if (IsBlank(validation.expression())) errors.Required(path / "expression", "expression is not specified");
  const std::string_view expression = validation.message_expression();
  if (!expression.empty() && IsBlank(expression)) {
    errors.Invalid(path / "messageExpression", expression, "must be non-empty if specified");
  }
  const std::string_view message = validation.message();
  if (!message.empty() && IsBlank(message)) {
    errors.Invalid(path / "message", message, "must be non-empty if specified");
  } else if (TrimSpace(message).find_first_of("\n\r") != std::string_view::npos) {
    errors.Invalid(path / "message", message, "must not contain line breaks");
  }
  ValidateChoice(validation.reason(), {"Forbidden", "Invalid", "RequestEntityTooLarge"}, path / "reason", errors);
}

void ValidateAuditAnnotations(std::string_view policy, const v1::ValidatingAdmissionPolicySpec& spec, const Path& path,
                              Errors& errors) {
  const Value& list = spec.tree().At("auditAnnotations");
  if (list.size() > kAuditAnnotationsMax) {
    doc::Arena arena;
    const Value shown = GoForm(v1::ValidatingAdmissionPolicySpec::SchemaType(), spec.tree(), arena);
    errors.Invalid(path, shown.At("AuditAnnotations"), "must not have more than 20 auditAnnotations");
  }
  std::set<std::string_view> keys;
  size_t index = 0;
  for (const v1::AuditAnnotation annotation : spec.audit_annotations()) {
    const Path at = path[index++];
    const std::string_view key = annotation.key();
    if (policy.empty()) {
      errors.Invalid(at / "key", key, "requires metadata.name be non-empty");
    } else {
      ValidateQualifiedName(std::string(policy) + "/" + std::string(key), at / "key", errors);
    }
    const std::string_view expression = TrimSpace(annotation.value_expression());
    if (expression.empty()) {
      errors.Required(at / "valueExpression", "valueExpression is not specified");
    } else if (expression.size() > kValueExpressionMax) {
      errors.Required(at / "valueExpression", "must not exceed 5120 bytes in length");
    }
    if (!keys.insert(key).second) errors.Duplicate(at / "key", key);
  }
}

// Whether an update leaves them as they were; what they mean also depends on the parameters' kind.
bool SameMatchConditions(const Value& object, const Value& old) {
  return object.Get("spec", "paramKind").Equals(old.Get("spec", "paramKind")) &&
         object.Get("spec", "matchConditions").Equals(old.Get("spec", "matchConditions"));
}

void ValidateValidatingPolicyAs(const Value& object, bool match_conditions, Errors& errors) {
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  const v1::ValidatingAdmissionPolicySpec spec(object.At("spec"));
  const Path path = SpecPath();
  RequireChoice(spec.failure_policy(), {"Fail", "Ignore"}, path / "failurePolicy", errors);
  if (spec.has_param_kind()) ValidateParamKind(spec.param_kind(), path / "paramKind", errors);
  ValidateConstraints(spec.match_constraints(), path / "matchConstraints", errors);
  if (match_conditions) ValidateMatchConditions(spec.match_conditions(), path / "matchConditions", errors);
  ValidateVariables(spec.variables(), path / "variables", errors);
  if (spec.validations().empty() && spec.audit_annotations().empty()) {
    for (const std::string_view member : {"validations", "auditAnnotations"}) {
      errors.Required(path / member, "validations or auditAnnotations must contain at least one item");
    }
    return;
  }
  size_t index = 0;
  for (const v1::Validation validation : spec.validations()) {
    ValidateValidation(validation, (path / "validations")[index++], errors);
  }
  ValidateAuditAnnotations(object.Get("metadata", "name").AsString(), spec, path / "auditAnnotations", errors);
}

void ValidateParamRef(const v1::ParamRef& ref, const Path& path, Errors& errors) {
  if (!ref) return;
  const bool both = !ref.name().empty() && ref.has_selector();
  if (!ref.name().empty()) errors.InvalidAll(path / "name", ref.name(), CheckPathSegmentName(ref.name()));
  if (both) errors.Forbidden(path / "name", "name and selector are mutually exclusive");
  ValidateLabelSelector(ref.selector(), true, path / "selector", errors);
  if (both) errors.Forbidden(path / "selector", "name and selector are mutually exclusive");
  if (ref.name().empty() && !ref.has_selector()) {
    errors.Required(path, "one of name or selector must be specified");
  }
  const std::string_view action = ref.parameter_not_found_action().value_or("");
  errors.OneOf(path / "parameterNotFoundAction", action, {"Deny", "Allow"});
}

void ValidatePolicyName(std::string_view name, Errors& errors) {
  const Path path = SpecPath() / "policyName";
  if (name.empty()) return errors.Required(path);
  errors.InvalidAll(path, name, NameIsSubdomain(name, false));
}

void ValidateActions(const Value& actions, const Path& path, Errors& errors) {
  std::set<std::string_view> seen;
  for (size_t i = 0; i < actions.size(); ++i) {
    const std::string_view action = actions[i].AsString();
    ValidateChoice(action, {"Audit", "Deny", "Warn"}, path[i], errors);
    if (!seen.insert(action).second) errors.Duplicate(path[i], action);
  }
  if (seen.contains("Deny") && seen.contains("Warn")) {
    errors.Invalid(path, actions,
                   "must not contain both Deny and Warn (repeating the same validation failure information in the API "
                   "response and headers serves no purpose)");
  }
  if (seen.empty()) errors.Required(path, "at least one validation action is required");
}

// `present` names the member that the patch type asks for.
void ValidatePatch(const v1::Mutation& mutation, std::string_view present, std::string_view absent, const Path& path,
                   Errors& errors) {
  const std::string type(mutation.patch_type());
  const Value& patch = mutation.tree().At(present);
  if (patch.is_null()) {
    errors.Required(path / present, "must be specified when patchType is " + type);
  } else if (IsBlank(patch.At("expression").AsString())) {
    errors.Required(path / present / "expression");
  }
  if (mutation.tree().At(absent).is_null()) return;
  errors.Invalid(path / absent, "{" + std::string(absent) + "}", "must not be specified when patchType is " + type);
}

void ValidateMutation(const v1::Mutation& mutation, const Path& path, Errors& errors) {
  if (mutation.patch_type() == "JSONPatch") {
    ValidatePatch(mutation, "jsonPatch", "applyConfiguration", path, errors);
  } else if (mutation.patch_type() == "ApplyConfiguration") {
    ValidatePatch(mutation, "applyConfiguration", "jsonPatch", path, errors);
  } else {
    errors.OneOf(path / "patchType", mutation.patch_type(), {"ApplyConfiguration", "JSONPatch"});
  }
}

void ValidateMutatingPolicyAs(const Value& object, bool match_conditions, Errors& errors) {
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  const v1::MutatingAdmissionPolicySpec spec(object.At("spec"));
  const Path path = SpecPath();
  RequireChoice(spec.failure_policy(), {"Fail", "Ignore"}, path / "failurePolicy", errors);
  if (spec.has_param_kind()) ValidateParamKind(spec.param_kind(), path / "paramKind", errors);
  ValidateConstraints(spec.match_constraints(), path / "matchConstraints", errors);
  ValidateMutable(spec.match_constraints(), path / "matchConstraints", errors);
  if (match_conditions) ValidateMatchConditions(spec.match_conditions(), path / "matchConditions", errors);
  ValidateVariables(spec.variables(), path / "variables", errors);
  if (spec.mutations().empty()) errors.Required(path / "mutations", "mutations must contain at least one item");
  size_t index = 0;
  for (const v1::Mutation mutation : spec.mutations()) {
    ValidateMutation(mutation, (path / "mutations")[index++], errors);
  }
  errors.OneOf(path / "reinvocationPolicy", spec.reinvocation_policy(), {"IfNeeded", "Never"});
}

void ValidateExpressionWarning(const v1::ExpressionWarning& warning, const Path& path, Errors& errors) {
  if (warning.warning().empty()) errors.Required(path / "warning");
  const std::string_view reference = TrimSpace(warning.field_ref());
  if (reference.empty()) return errors.Required(path / "fieldRef");
  const auto parsed = doc::JsonPath::Parse("{" + std::string(reference) + "}");
  if (!parsed.ok()) errors.Invalid(path / "fieldRef", reference, "invalid JSONPath: " + parsed.status().message());
}

}  // namespace

void ValidateValidatingPolicy(const Value& object, Errors& errors) { ValidateValidatingPolicyAs(object, true, errors); }
void ValidateValidatingPolicyUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateValidatingPolicyAs(object, !SameMatchConditions(object, old), errors);
}
void ValidateValidatingPolicyStatusUpdate(const Value& object, const Value& /*old*/, Errors& errors) {
  const v1::ValidatingAdmissionPolicyStatus status(object.At("status"));
  const Path path("status");
  size_t index = 0;
  for (const v1::ExpressionWarning warning : status.type_checking().expression_warnings()) {
    ValidateExpressionWarning(warning, (path / "typeChecking" / "expressionWarnings")[index++], errors);
  }
  ValidateConditions(status.tree().At("conditions"), path / "conditions", errors);
}

void ValidateValidatingPolicyBinding(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  const v1::ValidatingAdmissionPolicyBindingSpec spec(object.At("spec"));
  ValidatePolicyName(spec.policy_name(), errors);
  ValidateParamRef(spec.param_ref(), SpecPath() / "paramRef", errors);
  if (spec.has_match_resources()) {
    ValidateMatchResources(spec.match_resources(), SpecPath() / "matchResources", errors);
  }
  ValidateActions(spec.tree().At("validationActions"), SpecPath() / "validationActions", errors);
}
void ValidateValidatingPolicyBindingUpdate(const Value& object, const Value& /*old*/, Errors& errors) {
  ValidateValidatingPolicyBinding(object, errors);
}

void ValidateMutatingPolicy(const Value& object, Errors& errors) { ValidateMutatingPolicyAs(object, true, errors); }
void ValidateMutatingPolicyUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMutatingPolicyAs(object, !SameMatchConditions(object, old), errors);
}

void ValidateMutatingPolicyBinding(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  const v1::MutatingAdmissionPolicyBindingSpec spec(object.At("spec"));
  ValidatePolicyName(spec.policy_name(), errors);
  ValidateParamRef(spec.param_ref(), SpecPath() / "paramRef", errors);
  if (!spec.has_match_resources()) return;
  ValidateMatchResources(spec.match_resources(), SpecPath() / "matchResources", errors);
  ValidateMutable(spec.match_resources(), SpecPath() / "matchResources", errors);
}
void ValidateMutatingPolicyBindingUpdate(const Value& object, const Value& /*old*/, Errors& errors) {
  ValidateMutatingPolicyBinding(object, errors);
}

}  // namespace knarr::api::validation
