#include "apiserver/scale.h"

#include <fmt/format.h>

#include "api/label_selector.h"
#include "api/managed/scale_fields.h"
#include "apiserver/errors.h"
#include "apiserver/object_meta.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

// The workload's selector as text. A ReplicationController's is a plain map.
Result<std::string> SelectorText(const api::KindInfo& kind, const Value& object) {
  const Value& selector = object.Get("spec", "selector");
  if (kind.group.empty()) return api::ToLabelSelector(api::StringMap(selector)).ToString();
  const LabelSelector parsed = TRY(api::ToLabelSelector(api::meta_v1::LabelSelector(selector)));
  return parsed.ToString();
}

}  // namespace

Result<doc::Document> ProjectScale(const api::KindInfo& kind, const Value& object) {
  doc::Document out;
  doc::Arena& arena = out.arena;
  out.root = Value::Object();
  out.root.AddMember(arena, "kind", Value::Borrow("Scale"));
  out.root.AddMember(arena, "apiVersion", Value::Borrow("autoscaling/v1"));
  Value metadata = Value::Object();
  for (const std::string_view member : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}) {
    const Value& value = object.Get("metadata", member);
    if (!value.is_null()) metadata.AddMember(arena, member, value.Clone(arena));
  }
  out.root.AddMember(arena, "metadata", metadata);
  Value spec = Value::Object();
  const int64_t replicas = object.Get("spec", "replicas").AsInt();
  if (replicas != 0) spec.AddMember(arena, "replicas", Value::Int(replicas));
  out.root.AddMember(arena, "spec", spec);
  Value status = Value::Object();
  status.AddMember(arena, "replicas", Value::Int(object.Get("status", "replicas").AsInt()));
  const std::string selector = TRY(SelectorText(kind, object));
  if (!selector.empty()) status.AddMember(arena, "selector", Value::String(arena, selector));
  out.root.AddMember(arena, "status", status);
  return out;
}

Result<doc::Document> MergeScale(const api::KindInfo& kind, const Value& object, const Value& scale) {
  const std::string_view name = NameOf(object);
  const std::string_view uid = scale.Get("metadata", "uid").AsString();
  const std::string_view own_uid = object.Get("metadata", "uid").AsString();
  if (!uid.empty() && uid != own_uid) {
    return ConflictError(
        ResourceOf(kind), name,
        fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", uid, own_uid));
  }
  const std::string_view given = NameOf(scale);
  if (given != name) {
    return BadRequest(fmt::format("the name of the object ({}) does not match the name on the URL ({})", given, name));
  }
  const int64_t replicas = scale.Get("spec", "replicas").AsInt();
  if (replicas < 0) {
    StatusDetails details;
    details.group = "autoscaling";
    details.kind = "Scale";
    details.name = name;
    const std::string message = fmt::format("Invalid value: {}: must be greater than or equal to 0", replicas);
    details.causes.push_back({"FieldValueInvalid", message, "spec.replicas"});
    return Status(Reason::kInvalid,
                  fmt::format("Scale.autoscaling \"{}\" is invalid: spec.replicas: {}", name, message),
                  std::move(details));
  }
  doc::Document out = doc::Document::Copy(object);
  out.root.Ensure(out.arena, "spec").Set(out.arena, "replicas", Value::Int(replicas));
  const std::string_view version = scale.Get("metadata", "resourceVersion").AsString();
  if (!version.empty()) Metadata(out).Set(out.arena, "resourceVersion", Value::String(out.arena, version));
  const Value managed =
      api::managed::WorkloadManagedFields(object.Get("metadata", "managedFields"),
                                          scale.Get("metadata", "managedFields"), kind.api_version, out.arena);
  Metadata(out).Remove("managedFields");
  if (!managed.is_null()) Metadata(out).Set(out.arena, "managedFields", managed);
  return out;
}

void ShareManagedFields(const api::KindInfo& kind, const Value& object, doc::Document& scale) {
  const Value managed =
      api::managed::ScaleManagedFields(object.Get("metadata", "managedFields"), kind.api_version, scale.arena);
  if (!managed.is_null()) Metadata(scale).Set(scale.arena, "managedFields", managed);
}

}  // namespace knarr::apiserver
