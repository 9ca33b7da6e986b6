#include "api/field_selectors.h"

#include <algorithm>
#include <iterator>

#include "base/strings.h"
#include "doc/json.h"

namespace knarr::api {
namespace {

using doc::Value;

constexpr std::string_view kNamespaced[] = {"metadata.name", "metadata.namespace"};
constexpr std::string_view kClusterWide[] = {"metadata.name"};
constexpr std::string_view kPod[] = {"metadata.name",    "metadata.namespace", "spec.nodeName",
                                     "spec.host",        "spec.restartPolicy", "spec.schedulerName",
                                     "status.phase",     "status.podIP",       "spec.serviceAccountName",
                                     "spec.hostNetwork", "status.podIPs",      "status.nominatedNodeName"};
constexpr std::string_view kNode[] = {"metadata.name", "spec.unschedulable"};
constexpr std::string_view kReplicas[] = {"metadata.name", "metadata.namespace", "status.replicas"};
constexpr std::string_view kJob[] = {"metadata.name", "metadata.namespace", "status.successful"};
constexpr std::string_view kEvent[] = {"metadata.name",
                                       "metadata.namespace",
                                       "involvedObject.kind",
                                       "involvedObject.namespace",
                                       "involvedObject.name",
                                       "involvedObject.uid",
                                       "involvedObject.apiVersion",
                                       "involvedObject.resourceVersion",
                                       "involvedObject.fieldPath",
                                       "reason",
                                       "reportingComponent",
                                       "source",
                                       "type"};
constexpr std::string_view kNewEvent[] = {"metadata.name",        "metadata.namespace",
                                          "regarding.kind",       "regarding.namespace",
                                          "regarding.name",       "regarding.uid",
                                          "regarding.apiVersion", "regarding.resourceVersion",
                                          "regarding.fieldPath",  "reason",
                                          "reportingController",  "type"};
constexpr std::string_view kNamespace[] = {"metadata.name", "status.phase"};
constexpr std::string_view kSecret[] = {"metadata.name", "metadata.namespace", "type"};
constexpr std::string_view kService[] = {"metadata.name", "metadata.namespace", "spec.clusterIP", "spec.type"};
constexpr std::string_view kSigningRequest[] = {"metadata.name", "spec.signerName"};
constexpr std::string_view kResourceSlice[] = {"metadata.name", "spec.nodeName", "spec.driver"};

constexpr struct {
  std::string_view group;
  std::string_view kind;
  std::span<const std::string_view> fields;
} kFields[] = {
    {"", "Pod", kPod},
    {"", "Node", kNode},
    {"", "ReplicationController", kReplicas},
    {"batch", "Job", kJob},
    {"", "Event", kEvent},
    {"events.k8s.io", "Event", kNewEvent},
    {"", "Namespace", kNamespace},
    {"", "Secret", kSecret},
    {"", "Service", kService},
    {"certificates.k8s.io", "CertificateSigningRequest", kSigningRequest},
    {"resource.k8s.io", "ResourceSlice", kResourceSlice},
};

std::string Text(const Value& value) {
  if (value.is_string()) return std::string(value.AsString());
  return value.is_null() ? std::string() : doc::ToJson(value);
}

}  // namespace

std::span<const std::string_view> SelectableFields(const KindInfo& kind) {
  const auto* found = std::ranges::find_if(
      kFields, [&kind](const auto& entry) { return entry.kind == kind.kind && entry.group == kind.group; });
  if (found != std::end(kFields)) return found->fields;
  return kind.namespaced ? std::span<const std::string_view>(kNamespaced) : std::span(kClusterWide);
}

Ok CheckFieldSelector(const KindInfo& kind, const FieldSelector& selector) {
  const std::span<const std::string_view> known = SelectableFields(kind);
  for (const FieldRequirement& requirement : selector.requirements()) {
    if (std::ranges::find(known, requirement.field) != known.end()) continue;
    if (known.data() == kNamespaced || known.data() == kClusterWide) {
      if (requirement.field == "metadata.namespace") continue;
      return BadRequest(GoQuote(requirement.field) +
                        " is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
    }
    // Some kinds have words of their own.
    if (known.data() == kJob) return BadRequest("field label " + GoQuote(requirement.field) + " not supported for Job");
    std::string text = "field label not supported";
    if (kind.kind == "ResourceSlice") text += " for resource.k8s.io/v1, Kind=ResourceSlice";
    return BadRequest(text + ": " + requirement.field);
  }
  return {};
}

std::string SelectableValue(const KindInfo& kind, const Value& object, std::string_view field) {
  // Fields whose text is not simply what stands there: booleans and numbers that are left out when they are zero.
  if (field == "spec.hostNetwork" || field == "spec.unschedulable") {
    return object.Get("spec", field.substr(field.find('.') + 1)).AsBool() ? "true" : "false";
  }
  if (field == "status.replicas") return std::to_string(object.Get("status", "replicas").AsInt());
  if (field == "status.successful") return std::to_string(object.Get("status", "succeeded").AsInt());
  if (field == "source" && kind.kind == "Event") {
    const std::string_view component = object.Get("source", "component").AsString();
    return std::string(component.empty() ? object.At("reportingComponent").AsString() : component);
  }
  if (field == "status.podIPs") return {};  // upstream takes it, and knows no value for it
  const Value* at = &object;
  for (const std::string_view step : Split(field, '.')) at = &at->At(step);
  return Text(*at);
}

bool MatchesFields(const KindInfo& kind, const FieldSelector& selector, const Value& object) {
  return std::ranges::all_of(selector.requirements(), [&](const FieldRequirement& requirement) {
    return (SelectableValue(kind, object, requirement.field) == requirement.value) == requirement.equal;
  });
}

}  // namespace knarr::api
