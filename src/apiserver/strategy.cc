#include "apiserver/strategy.h"

#include <algorithm>
#include <iterator>

namespace knarr::apiserver {

using doc::Document;
using doc::Value;

Value& Metadata(Document& object) {
  Value& metadata = object.root.Ensure(object.arena, "metadata");
  if (!metadata.is_object()) metadata = Value::Object();
  return metadata;
}

void KeepMember(Document& object, const Value& from, std::string_view member) {
  const Value* present = from.Find(member);
  if (present == nullptr) {
    object.root.Remove(member);
  } else {
    object.root.SetCopy(object.arena, member, present->Clone(object.arena));
  }
}

void KeepMetadata(Document& object, const Value& from, std::string_view member) {
  Value& metadata = Metadata(object);
  const Value* present = from.At("metadata").Find(member);
  if (present == nullptr) {
    metadata.Remove(member);
  } else {
    metadata.SetCopy(object.arena, member, present->Clone(object.arena));
  }
}

void KeepMetadataForStatus(Document& object, const Value& from) {
  for (const std::string_view member :
       {"deletionTimestamp", "generation", "labels", "annotations", "finalizers", "ownerReferences"}) {
    KeepMetadata(object, from, member);
  }
}

bool Strategy::has_generation() const {
  static constexpr std::string_view kKinds[] = {
      "Pod",       "ReplicationController", "ReplicaSet",          "Deployment", "StatefulSet",
      "DaemonSet", "EndpointSlice",         "PodDisruptionBudget", "Job",        "CronJob",
      "Ingress",   "IngressClass",          "NetworkPolicy"};
  return std::ranges::find(kKinds, kind_.kind) != std::end(kKinds);
}

Ok Strategy::PrepareForCreate(const StrategyContext& /*context*/, Document& object) const {
  if (kind_.has_status) object.root.Set(object.arena, "status", Value::Object());
  if (has_generation()) Metadata(object).Set(object.arena, "generation", Value::Int(1));
  return {};
}

Ok Strategy::PrepareForUpdate(const StrategyContext& /*context*/, Target target, Document& object,
                              const Value& old) const {
  if (target == Target::kStatus) {
    for (const doc::Member& member : old.members()) {
      if (member.key != "metadata" && member.key != "status") KeepMember(object, old, member.key);
    }
    return {};
  }
  if (target == Target::kObject && kind_.has_status) KeepMember(object, old, "status");
  if (has_generation() && !object.root.At("spec").Equals(old.At("spec"))) {
    const int64_t before = old.Get("metadata", "generation").AsInt();
    Metadata(object).Set(object.arena, "generation", Value::Int(before + 1));
  }
  return {};
}

api::ErrorList Strategy::Validate(const Value& object) const { return api::ValidateCreate(kind_, object); }
api::ErrorList Strategy::ValidateUpdate(Target target, const Value& object, const Value& old) const {
  if (target == Target::kStatus) return api::ValidateStatusUpdate(kind_, object, old);
  return api::ValidateUpdate(kind_, object, old);
}
std::vector<std::string> Strategy::Warnings(Target /*target*/, const Value& /*object*/, const Value* /*old*/) const {
  return {};
}

void Strategy::FillStored(Document& object) const {
  // Lists that are always shown: upstream's store can't tell an empty one from none.
  struct List {
    std::string_view kind;
    std::string_view parent;
    std::string_view name;
  };
  static constexpr List kLists[] = {{"ClusterRole", {}, "rules"},
                                    {"Role", {}, "rules"},
                                    {"EndpointSlice", {}, "endpoints"},
                                    {"EndpointSlice", {}, "ports"},
                                    {"LimitRange", "spec", "limits"}};
  for (const List& list : kLists) {
    if (list.kind != kind_.kind) continue;
    Value* parent = list.parent.empty() ? &object.root : object.root.Find(list.parent);
    Value* value = parent == nullptr ? nullptr : parent->Find(list.name);
    if (value != nullptr && value->is_array() && value->empty()) *value = Value::Null();
  }
}

std::vector<std::string> Strategy::DeleteWarnings() const { return {}; }
Ok Strategy::CheckDelete(std::string_view /*name*/) const { return {}; }
std::optional<int64_t> Strategy::GraceSeconds(const Value& /*object*/, std::optional<int64_t> /*asked*/) const {
  return std::nullopt;
}
void Strategy::PrepareForDelete(Document& /*object*/) const {}
bool Strategy::ReadyToGo(const Value& /*object*/) const { return true; }

Result<Reservation> Strategy::Reserve(const ReserveContext& /*context*/, Document& /*object*/, const Value* /*old*/) {
  return Reservation();
}
Reservation Strategy::Release(const ReserveContext& /*context*/, const Value& /*object*/) { return {}; }

}  // namespace knarr::apiserver
