// Of the groups around the workloads: access, admission, fairness, devices, and what extends the API.

#include "api/defaulting_rules.h"
#include "base/strings.h"

namespace knarr::api {
namespace {

using doc::Arena;
using doc::Value;

constexpr std::string_view kRbac = "rbac.authorization.k8s.io";
constexpr int64_t kHttpsPort = 443;
constexpr int64_t kWebhookTimeoutSeconds = 10;

void Binding(Value& binding, Arena& arena) {
  FillText(FillObject(binding, arena, "roleRef"), arena, "apiGroup", kRbac);
}

void Subject(Value& subject, Arena& arena) {
  const std::string_view kind = subject.At("kind").AsString();
  if (kind == "User" || kind == "Group") FillText(subject, arena, "apiGroup", kRbac);
}

void FlowSchemaSpec(Value& spec, Arena& arena) { FillInt(spec, arena, "matchingPrecedence", 1000); }

void ExemptLevel(Value& level, Arena& arena) {
  Fill(level, arena, "nominalConcurrencyShares", Value::Int(0));
  Fill(level, arena, "lendablePercent", Value::Int(0));
}

void LimitedLevel(Value& level, Arena& arena) {
  Fill(level, arena, "nominalConcurrencyShares", Value::Int(30));
  Fill(level, arena, "lendablePercent", Value::Int(0));
}

void Queuing(Value& queuing, Arena& arena) {
  FillInt(queuing, arena, "handSize", 8);
  FillInt(queuing, arena, "queues", 64);
  FillInt(queuing, arena, "queueLengthLimit", 50);
}

void FailurePolicy(Value& spec, Arena& arena) { Fill(spec, arena, "failurePolicy", Value::Borrow("Fail")); }

void MatchResources(Value& match, Arena& arena) {
  Fill(match, arena, "matchPolicy", Value::Borrow("Equivalent"));
  FillObject(match, arena, "namespaceSelector");
  FillObject(match, arena, "objectSelector");
}

void ValidatingWebhook(Value& webhook, Arena& arena) {
  FailurePolicy(webhook, arena);
  MatchResources(webhook, arena);
  Fill(webhook, arena, "timeoutSeconds", Value::Int(kWebhookTimeoutSeconds));
}

void MutatingWebhook(Value& webhook, Arena& arena) {
  ValidatingWebhook(webhook, arena);
  Fill(webhook, arena, "reinvocationPolicy", Value::Borrow("Never"));
}

void Rule(Value& rule, Arena& arena) { Fill(rule, arena, "scope", Value::Borrow("*")); }

void ServiceReference(Value& service, Arena& arena) { Fill(service, arena, "port", Value::Int(kHttpsPort)); }

void DeviceRequest(Value& request, Arena& arena) {
  FillText(request, arena, "allocationMode", "ExactCount");
  if (request.At("allocationMode").AsString() == "ExactCount") FillInt(request, arena, "count", 1);
}

void Definition(Value& definition, Arena& arena) {
  Value& spec = FillObject(definition, arena, "spec");
  Value& names = FillObject(spec, arena, "names");
  const std::string kind(names.At("kind").AsString());
  FillText(names, arena, "singular", arena.Copy(ToLower(kind)));
  if (!kind.empty()) FillText(names, arena, "listKind", arena.Copy(kind + "List"));
  if (spec.At("conversion").is_null()) FillText(FillObject(spec, arena, "conversion"), arena, "strategy", "None");
  Value& stored = FillObject(definition, arena, "status").Ensure(arena, "storedVersions");
  if (!stored.empty()) return;
  for (const Value& version : spec.At("versions").items()) {
    if (!version.At("storage").AsBool()) continue;
    stored = Value::Array();
    stored.Append(arena, version.At("name"));
    return;
  }
}

constexpr struct {
  std::string_view package;
  std::string_view type;
  DefaultRule rule;
} kRules[] = {
    {"rbac/v1", "RoleBinding", Binding},
    {"rbac/v1", "ClusterRoleBinding", Binding},
    {"rbac/v1", "Subject", Subject},
    {"flowcontrol/v1", "FlowSchemaSpec", FlowSchemaSpec},
    {"flowcontrol/v1", "ExemptPriorityLevelConfiguration", ExemptLevel},
    {"flowcontrol/v1", "LimitedPriorityLevelConfiguration", LimitedLevel},
    {"flowcontrol/v1", "QueuingConfiguration", Queuing},
    {"admissionregistration/v1", "ValidatingWebhook", ValidatingWebhook},
    {"admissionregistration/v1", "MutatingWebhook", MutatingWebhook},
    {"admissionregistration/v1", "RuleWithOperations", Rule},
    {"admissionregistration/v1", "NamedRuleWithOperations", Rule},
    {"admissionregistration/v1", "ServiceReference", ServiceReference},
    {"admissionregistration/v1", "ValidatingAdmissionPolicySpec", FailurePolicy},
    {"admissionregistration/v1", "MutatingAdmissionPolicySpec", FailurePolicy},
    {"admissionregistration/v1", "MatchResources", MatchResources},
    {"resource/v1", "ExactDeviceRequest", DeviceRequest},
    {"resource/v1", "DeviceSubRequest", DeviceRequest},
    {"apiregistration/v1", "ServiceReference", ServiceReference},
    {"apiextensions/v1", "ServiceReference", ServiceReference},
    {"apiextensions/v1", "CustomResourceDefinition", Definition},
};

}  // namespace

DefaultRule FindExtensionRule(std::string_view package, std::string_view type) {
  return FindRule(kRules, package, type);
}

}  // namespace knarr::api
