#include <fmt/format.h>

#include "apiserver/admission/plugins.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kGroup = "scheduling.k8s.io";

/// The class that pods without one get; of several the one with the lowest value. Null: there is none.
api::ObjectPtr DefaultClass(const AdmissionRequest& request) {
  api::ObjectPtr found;
  for (const api::ObjectPtr& each : request.List(kGroup, "priorityclasses", "")) {
    if (!each->tree().At("globalDefault").AsBool()) continue;
    if (found == nullptr || found->tree().At("value").AsInt() > each->tree().At("value").AsInt()) found = each;
  }
  return found;
}

/// From a pod's class to its number and to whether it may push others out; one default class at most.
class PriorityAdmission : public AdmissionPlugin {
 public:
  Ok Mutate(AdmissionRequest& request) const override {
    if (!request.IsFor("", "pods") || !request.subresource.empty()) return {};
    if (request.operation == AdmissionOperation::kCreate) return Resolve(request);
    if (request.operation == AdmissionOperation::kUpdate) Keep(request);
    return {};
  }

  Ok Validate(const AdmissionRequest& request) const override {
    if (!request.IsFor(kGroup, "priorityclasses") || !request.subresource.empty()) return {};
    const bool creates = request.operation == AdmissionOperation::kCreate;
    if (!creates && request.operation != AdmissionOperation::kUpdate) return {};
    if (!request.root().At("globalDefault").AsBool()) return {};
    const api::ObjectPtr present = DefaultClass(request);
    if (present == nullptr || (!creates && present->name() == request.root().Get("metadata", "name").AsString())) {
      return {};
    }
    return request.Forbidden(
        fmt::format("PriorityClass {} is already marked as default. Only one default can exist", present->name()));
  }

 private:
  static void Keep(AdmissionRequest& request) {
    doc::Document& object = *request.object;
    Value& spec = object.root.Ensure(object.arena, "spec");
    if (!spec.is_object()) return;
    for (const std::string_view field : {"priority", "preemptionPolicy"}) {
      const Value& before = request.old_object->Get("spec", field);
      if (spec.At(field).is_null() && !before.is_null()) spec.Set(object.arena, field, before.Clone(object.arena));
    }
  }

  static Ok Resolve(AdmissionRequest& request) {
    doc::Document& object = *request.object;
    Value& spec = object.root.Ensure(object.arena, "spec");
    if (!spec.is_object()) spec = Value::Object();
    const std::string name(spec.At("priorityClassName").AsString());
    const api::ObjectPtr found =
        name.empty() ? DefaultClass(request) : request.Find(kGroup, "priorityclasses", "", name);
    if (found == nullptr && !name.empty()) {
      return request.Forbidden(fmt::format("no PriorityClass with name {} was found", name));
    }
    const int64_t priority = found == nullptr ? 0 : found->tree().At("value").AsInt();
    const std::string_view policy =
        found == nullptr ? "PreemptLowerPriority" : found->tree().At("preemptionPolicy").AsString();
    const Value& asked = spec.At("priority");
    if (asked.is_int() && asked.AsInt() != priority) {
      return request.Forbidden(
          fmt::format("the integer value of priority ({}) must not be provided in pod spec; priority admission "
                      "controller computed {} from the given PriorityClass name",
                      asked.AsInt(), priority));
    }
    const std::string_view asked_policy = spec.At("preemptionPolicy").AsString();
    if (!policy.empty() && !asked_policy.empty() && asked_policy != policy) {
      return request.Forbidden(
          fmt::format("the string value of PreemptionPolicy ({}) must not be provided in pod spec; priority admission "
                      "controller computed {} from the given PriorityClass name",
                      asked_policy, policy));
    }
    if (found != nullptr) {
      spec.Set(object.arena, "priorityClassName", Value::String(object.arena, found->name()));
    }
    spec.Set(object.arena, "priority", Value::Int(priority));
    if (!policy.empty()) spec.Set(object.arena, "preemptionPolicy", Value::String(object.arena, policy));
    return {};
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> MakePriorityAdmission() { return std::make_unique<PriorityAdmission>(); }

}  // namespace knarr::apiserver
