// Tables of the groups around the workloads: access, admission, fairness, devices, and what extends the API.

#include <algorithm>
#include <vector>

#include "api/meta_v1.h"
#include "api/printing_columns.h"
#include "api/printing_rows.h"
#include "base/strings.h"

namespace knarr::api::printing {
namespace {

using doc::Value;

constexpr std::string_view kNone = "<none>";
constexpr std::string_view kUnset = "<unset>";

constexpr Column kBinding[] = {kName,
                               Text("Role", "The role that is given."),
                               kAge,
                               Wide("Users", "The users it is given to."),
                               Wide("Groups", "The groups it is given to."),
                               Wide("ServiceAccounts", "The service accounts it is given to.")};
constexpr Column kSigningRequest[] = {kName,
                                      kAge,
                                      Text("SignerName", "Who is asked to sign."),
                                      Text("Requestor", "Who asked."),
                                      Text("RequestedDuration", "How long the certificate shall be good for."),
                                      Text("Condition", "What has become of the request.")};
constexpr Column kWebhooks[] = {kName, Number("Webhooks", "How many webhooks the configuration has."), kAge};
constexpr Column kValidatingPolicy[] = {kName, Number("Validations", "How many validations the policy has."),
                                        Text("ParamKind", "The kind of the policy's parameters."), kAge};
constexpr Column kMutatingPolicy[] = {kName, Number("Mutations", "How many mutations the policy has."),
                                      Text("ParamKind", "The kind of the policy's parameters."), kAge};
constexpr Column kPolicyBinding[] = {kName, Text("PolicyName", "The policy that is put to use."),
                                     Text("ParamRef", "The parameters it is put to use with."), kAge};
constexpr Column kFlowSchema[] = {kName,
                                  Text("PriorityLevel", "The priority level of the requests."),
                                  Text("MatchingPrecedence", "The lower, the earlier the schema is tried."),
                                  Text("DistinguisherMethod", "What tells flows apart."),
                                  kAge,
                                  Text("MissingPL", "Whether there is no such priority level.")};
constexpr Column kPriorityLevel[] = {kName,
                                     Text("Type", "Whether the level is limited."),
                                     Text("NominalConcurrencyShares", "The level's share of the server's capacity."),
                                     Text("Queues", "How many queues the level has."),
                                     Text("HandSize", "How many queues a flow may use."),
                                     Text("QueueLengthLimit", "How many requests may wait in a queue."),
                                     kAge};
constexpr Column kNameAndAge[] = {kName, kAge};
constexpr Column kClaim[] = {kName, Text("State", "Whether the claim is allocated, and in use."), kAge};
constexpr Column kSlice[] = {kName, Text("Node", "The node the devices are on."), Text("Driver", "The driver."),
                             Text("Pool", "The pool the devices are of."), kAge};
constexpr Column kApiService[] = {kName, Text("Service", "The Service that serves the API, or Local."),
                                  Text("Available", "Whether the API can be reached."), kAge};

void Binding(const Value& object, Row& row) {
  Name(object, row);
  const Value& role = object.At("roleRef");
  row.Text(std::string(role.At("kind").AsString()) + "/" + std::string(role.At("name").AsString()));
  Age(object, row);
  std::vector<std::string> users;
  std::vector<std::string> groups;
  std::vector<std::string> accounts;
  for (const Value& subject : object.At("subjects").items()) {
    const std::string name(subject.At("name").AsString());
    const std::string_view kind = subject.At("kind").AsString();
    if (kind == "User") users.push_back(name);
    if (kind == "Group") groups.push_back(name);
    if (kind == "ServiceAccount") accounts.push_back(std::string(subject.At("namespace").AsString()) + "/" + name);
  }
  for (const auto& list : {users, groups, accounts}) row.Text(Join(list, ", "));
}

std::string RequestState(const Value& status) {
  const auto has = [&status](std::string_view type) {
    return std::ranges::any_of(status.At("conditions").items(),
                               [type](const Value& condition) { return condition.At("type").AsString() == type; });
  };
  std::string state = has("Denied") ? "Denied" : has("Approved") ? "Approved" : "Pending";
  if (has("Failed")) state += ",Failed";
  if (!status.At("certificate").AsString().empty()) state += ",Issued";
  return state;
}

void SigningRequest(const Value& object, Row& row) {
  const Value& spec = object.At("spec");
  Name(object, row);
  Age(object, row);
  row.TextOr(spec.At("signerName").AsString(), kNone);
  row.Text(spec.At("username").AsString());
  const Value& seconds = spec.At("expirationSeconds");
  row.Text(seconds.is_null() ? std::string(kNone) : FormatAge(std::chrono::seconds(seconds.AsInt())));
  row.Text(RequestState(object.At("status")));
}

void Webhooks(const Value& object, Row& row) {
  Name(object, row);
  row.Number(static_cast<int64_t>(object.At("webhooks").size()));
  Age(object, row);
}

void Policy(const Value& object, std::string_view rules, Row& row) {
  Name(object, row);
  row.Number(static_cast<int64_t>(object.Get("spec", rules).size()));
  const Value& kind = object.Get("spec", "paramKind");
  row.Text(kind.is_null()
               ? std::string(kUnset)
               : std::string(kind.At("apiVersion").AsString()) + "/" + std::string(kind.At("kind").AsString()));
  Age(object, row);
}
void ValidatingPolicy(const Value& object, Row& row) { Policy(object, "validations", row); }
void MutatingPolicy(const Value& object, Row& row) { Policy(object, "mutations", row); }

// A selector as its generated Go code prints it.
std::string GoText(const meta_v1::LabelSelector& selector) {
  std::string text = "&LabelSelector{MatchLabels:map[string]string{";
  for (const auto& [key, value] : selector.match_labels()) {
    text.append(key).append(": ").append(value).append(",");
  }
  text += "},MatchExpressions:[]LabelSelectorRequirement{";
  for (const meta_v1::LabelSelectorRequirement requirement : selector.match_expressions()) {
    std::vector<std::string_view> values;
    for (const std::string_view value : requirement.values()) values.push_back(value);
    text.append("LabelSelectorRequirement{Key:").append(requirement.key());
    text.append(",Operator:").append(requirement.operator_());
    text.append(",Values:[").append(Join(values, " ")).append("],},");
  }
  return text + "},}";
}

void PolicyBinding(const Value& object, Row& row) {
  Name(object, row);
  row.Text(object.Get("spec", "policyName").AsString());
  const Value& reference = object.Get("spec", "paramRef");
  const std::string name(reference.At("name").AsString());
  const std::string_view ns = reference.At("namespace").AsString();
  std::string text(kUnset);
  if (!name.empty()) {
    text = (ns.empty() ? "*" : std::string(ns)) + "/" + name;
  } else if (!reference.At("selector").is_null()) {
    text = GoText(meta_v1::LabelSelector(reference.At("selector")));
  }
  row.Text(text);
  Age(object, row);
}

void FlowSchema(const Value& object, Row& row) {
  const Value& spec = object.At("spec");
  Name(object, row);
  row.Text(spec.Get("priorityLevelConfiguration", "name").AsString());
  row.Number(spec.At("matchingPrecedence").AsInt());
  const Value& method = spec.At("distinguisherMethod");
  row.Text(method.is_null() ? kNone : method.At("type").AsString());
  Age(object, row);
  std::string_view dangling = "?";
  for (const Value& condition : object.Get("status", "conditions").items()) {
    if (condition.At("type").AsString() != "Dangling") continue;
    dangling = condition.At("status").AsString();
    break;
  }
  row.Text(dangling);
}

void NumberOrNone(const Value& number, Row& row) {
  if (number.is_null()) return row.Text(kNone);
  row.Number(number.AsInt());
}

void PriorityLevel(const Value& object, Row& row) {
  const Value& limited = object.Get("spec", "limited");
  const Value& queuing = limited.Get("limitResponse", "queuing");
  Name(object, row);
  row.Text(object.Get("spec", "type").AsString());
  NumberOrNone(limited.At("nominalConcurrencyShares"), row);
  for (const std::string_view member : {"queues", "handSize", "queueLengthLimit"})
    NumberOrNone(queuing.At(member), row);
  Age(object, row);
}

void Claim(const Value& object, Row& row) {
  const bool deleted = !object.Get("metadata", "deletionTimestamp").is_null();
  const bool allocated = !object.Get("status", "allocation").is_null();
  std::vector<std::string_view> states;
  if (deleted) states.emplace_back("deleted");
  if (allocated) states.emplace_back("allocated");
  if (allocated && !object.Get("status", "reservedFor").empty()) states.emplace_back("reserved");
  if (!allocated && !deleted) states.emplace_back("pending");
  Name(object, row);
  row.Text(Join(states, ","));
  Age(object, row);
}

void Slice(const Value& object, Row& row) {
  const Value& spec = object.At("spec");
  Name(object, row);
  row.Text(spec.At("nodeName").AsString());
  row.Text(spec.At("driver").AsString());
  row.Text(spec.Get("pool", "name").AsString());
  Age(object, row);
}

void ApiService(const Value& object, Row& row) {
  const Value& service = object.Get("spec", "service");
  Name(object, row);
  row.Text(service.is_null()
               ? "Local"
               : std::string(service.At("namespace").AsString()) + "/" + std::string(service.At("name").AsString()));
  std::string available = "Unknown";
  for (const Value& condition : object.Get("status", "conditions").items()) {
    if (condition.At("type").AsString() != "Available") continue;
    available = condition.At("status").AsString();
    const std::string_view reason = condition.At("reason").AsString();
    if (available != "True" && !reason.empty()) available.append(" (").append(reason).append(")");
    break;
  }
  row.Text(available);
  Age(object, row);
}

constexpr Entry kEntries[] = {
    {"rbac/v1", "RoleBinding", kBinding, Binding},
    {"rbac/v1", "ClusterRoleBinding", kBinding, Binding},
    {"certificates/v1", "CertificateSigningRequest", kSigningRequest, SigningRequest},
    {"admissionregistration/v1", "ValidatingWebhookConfiguration", kWebhooks, Webhooks},
    {"admissionregistration/v1", "MutatingWebhookConfiguration", kWebhooks, Webhooks},
    {"admissionregistration/v1", "ValidatingAdmissionPolicy", kValidatingPolicy, ValidatingPolicy},
    {"admissionregistration/v1", "MutatingAdmissionPolicy", kMutatingPolicy, MutatingPolicy},
    {"admissionregistration/v1", "ValidatingAdmissionPolicyBinding", kPolicyBinding, PolicyBinding},
    {"admissionregistration/v1", "MutatingAdmissionPolicyBinding", kPolicyBinding, PolicyBinding},
    {"flowcontrol/v1", "FlowSchema", kFlowSchema, FlowSchema},
    {"flowcontrol/v1", "PriorityLevelConfiguration", kPriorityLevel, PriorityLevel},
    {"resource/v1", "DeviceClass", kNameAndAge, PrintNameAndAge},
    {"resource/v1", "ResourceClaim", kClaim, Claim},
    {"resource/v1", "ResourceClaimTemplate", kNameAndAge, PrintNameAndAge},
    {"resource/v1", "ResourceSlice", kSlice, Slice},
    {"apiregistration/v1", "APIService", kApiService, ApiService},
};

}  // namespace

std::span<const Entry> ExtensionEntries() { return kEntries; }

}  // namespace knarr::api::printing
