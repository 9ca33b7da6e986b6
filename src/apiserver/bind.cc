#include "apiserver/bind.h"

#include <fmt/format.h>

#include "apiserver/errors.h"
#include "apiserver/object_meta.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

void AddScheduledCondition(doc::Document& pod, WallTime now) {
  doc::Arena& arena = pod.arena;
  Value condition = Value::Object();
  condition.AddMember(arena, "type", Value::Borrow("PodScheduled"));
  condition.AddMember(arena, "status", Value::Borrow("True"));
  condition.AddMember(arena, "lastProbeTime", Value::Null());
  condition.AddMember(arena, "lastTransitionTime", Value::String(arena, FormatTime(now)));
  const int64_t generation = pod.root.Get("metadata", "generation").AsInt();
  if (generation > 0) condition.AddMember(arena, "observedGeneration", Value::Int(generation));
  Value& conditions = pod.root.Ensure(arena, "status").Ensure(arena, "conditions");
  for (Value& present : conditions.items()) {
    if (present.At("type").AsString() != "PodScheduled") continue;
    present = condition;
    return;
  }
  conditions.Append(arena, condition);
}

Result<doc::Document> Bound(const Value& pod, const Value& binding, const ObjectName& name, WallTime now) {
  const GroupResource what{"", "pods/binding"};
  if (IsDeleting(pod)) {
    return ConflictError(what, name.name,
                         fmt::format("pod {} is being deleted, cannot be assigned to a host", name.name));
  }
  const std::string_view node = pod.Get("spec", "nodeName").AsString();
  if (!node.empty()) {
    return ConflictError(what, name.name, fmt::format("pod {} is already assigned to node \"{}\"", name.name, node));
  }
  const std::string_view uid = binding.Get("metadata", "uid").AsString();
  if (!uid.empty() && uid != pod.Get("metadata", "uid").AsString()) {
    return ConflictError(what, name.name,
                         fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", uid,
                                     pod.Get("metadata", "uid").AsString()));
  }
  doc::Document out = doc::Document::Copy(pod);
  doc::Arena& arena = out.arena;
  out.root.Ensure(arena, "spec").Set(arena, "nodeName", Value::String(arena, binding.Get("target", "name").AsString()));
  for (const std::string_view map : {"annotations", "labels"}) {
    for (const doc::Member& member : binding.Get("metadata", map).members()) {
      Metadata(out).Ensure(arena, map).SetCopy(arena, member.key, Value::String(arena, member.value.AsString()));
    }
  }
  AddScheduledCondition(out, now);
  return out;
}

}  // namespace

Ok BindPod(RequestContext& context, ResourceRegistry& registry, Resource& pods, const ObjectName& name,
           const Value& binding, bool dry_run) {
  const std::string_view target_kind = binding.Get("target", "kind").AsString();
  const api::KindInfo* kind = api::FindKind("v1", "Binding");
  if (!target_kind.empty() && target_kind != "Node" && target_kind != "Minion") {
    return InvalidError(
        *kind, name.name,
        {{"FieldValueNotSupported",
          fmt::format("Unsupported value: \"{}\": supported values: \"Node\", \"<empty>\"", target_kind),
          "target.kind"}});
  }
  if (binding.Get("target", "name").AsString().empty()) {
    return InvalidError(*kind, name.name, {{"FieldValueRequired", "Required value", "target.name"}});
  }
  UpdateRequest update;
  update.name = name;
  update.target = Target::kSpecial;
  update.admission = Admission::kDone;
  update.dry_run = dry_run;
  update.make = [&](const Value& current) { return Bound(current, binding, name, context.runtime.Wall()); };
  TRY(registry.Update(context, pods, update));
  return {};
}

client::DeleteOptions ReadDeleteOptions(const Value& options) {
  using client::Propagation;
  client::DeleteOptions out;
  if (options.At("gracePeriodSeconds").is_int()) out.grace_seconds = options.At("gracePeriodSeconds").AsInt();
  out.uid = options.Get("preconditions", "uid").AsString();
  out.resource_version = options.Get("preconditions", "resourceVersion").AsString();
  out.dry_run = !options.At("dryRun").empty();
  const std::string_view policy = options.At("propagationPolicy").AsString();
  if (policy == "Orphan") out.propagation = Propagation::kOrphan;
  if (policy == "Background") out.propagation = Propagation::kBackground;
  if (policy == "Foreground") out.propagation = Propagation::kForeground;
  if (policy.empty() && options.At("orphanDependents").is_bool()) {
    out.propagation = options.At("orphanDependents").AsBool() ? Propagation::kOrphan : Propagation::kBackground;
  }
  return out;
}

Ok EvictPod(RequestContext& context, ResourceRegistry& registry, Resource& pods, const ObjectName& name,
            const Value& eviction, bool dry_run) {
  const std::string_view own = NameOf(eviction);
  if (!own.empty() && own != name.name) {
    return BadRequest(fmt::format("name in URL does not match name in Eviction object"));
  }
  client::DeleteOptions options = ReadDeleteOptions(eviction.At("deleteOptions"));
  options.dry_run = options.dry_run || dry_run;
  TRY(registry.Delete(context, pods, name, options, Admission::kDone));
  return {};
}

}  // namespace knarr::apiserver
