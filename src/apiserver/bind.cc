#include "apiserver/bind.h"

#include <fmt/format.h>

#include <utility>

#include "apiserver/errors.h"
#include "apiserver/object_meta.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

Result<doc::Document> Bound(const Resource& pods, const Value& pod, const Value& binding, const ObjectName& name,
                            WallTime now) {
  const GroupResource what{"", "pods/binding"};
  for (const auto& [member, text] : {std::pair{"uid", "UID"}, std::pair{"resourceVersion", "ResourceVersion"}}) {
    const std::string_view wanted = binding.Get("metadata", member).AsString();
    const std::string_view present = pod.Get("metadata", member).AsString();
    if (!wanted.empty() && wanted != present) return PreconditionError(pods, name, text, wanted, present);
  }
  if (IsDeleting(pod)) {
    return ConflictError(what, name.name,
                         fmt::format("pod {} is being deleted, cannot be assigned to a host", name.name));
  }
  const std::string_view node = pod.Get("spec", "nodeName").AsString();
  if (!node.empty()) {
    return ConflictError(what, name.name, fmt::format("pod {} is already assigned to node \"{}\"", name.name, node));
  }
  if (!pod.Get("spec", "schedulingGates").empty()) {
    return ConflictError(what, name.name, fmt::format("pod {} has non-empty .spec.schedulingGates", name.name));
  }
  doc::Document out = doc::Document::Copy(pod);
  doc::Arena& arena = out.arena;
  out.root.Ensure(arena, "spec").Set(arena, "nodeName", Value::String(arena, binding.Get("target", "name").AsString()));
  for (const std::string_view map : {"annotations", "labels"}) {
    for (const doc::Member& member : binding.Get("metadata", map).members()) {
      Metadata(out).Ensure(arena, map).SetCopy(arena, member.key, Value::String(arena, member.value.AsString()));
    }
  }
  if (Value* status = out.root.Find("status")) status->Remove("nominatedNodeName");
  SetPodCondition(out, {.type = "PodScheduled", .reason = "", .message = "", .now = now});
  return out;
}

}  // namespace

void SetPodCondition(doc::Document& pod, const PodCondition& condition) {
  doc::Arena& arena = pod.arena;
  Value& conditions = pod.root.Ensure(arena, "status").Ensure(arena, "conditions");
  Value* present = nullptr;
  for (Value& other : conditions.items()) {
    if (other.At("type").AsString() == condition.type) present = &other;
  }
  const bool same = present != nullptr && present->At("status").AsString() == "True";
  Value fresh = Value::Object();
  fresh.AddMember(arena, "type", Value::String(arena, condition.type));
  fresh.AddMember(arena, "status", Value::Borrow("True"));
  fresh.AddMember(arena, "lastProbeTime", Value::Null());
  fresh.AddMember(arena, "lastTransitionTime",
                  same ? present->At("lastTransitionTime") : Value::String(arena, FormatTime(condition.now)));
  if (!condition.reason.empty()) fresh.AddMember(arena, "reason", Value::String(arena, condition.reason));
  if (!condition.message.empty()) fresh.AddMember(arena, "message", Value::String(arena, condition.message));
  if (present != nullptr) {
    *present = fresh;
  } else {
    conditions.Append(arena, fresh);
  }
}

Ok BindPod(RequestContext& context, ResourceRegistry& registry, Resource& pods, const ObjectName& name,
           const Value& binding, bool dry_run) {
  if (NameOf(binding) != name.name) return BadRequest("name in URL does not match name in Binding object");
  // Upstream answers what is wrong with a binding as it comes, without a reason.
  const std::string_view kind = binding.Get("target", "kind").AsString();
  if (!kind.empty() && kind != "Node") {
    return BareError(
        fmt::format("target.kind: Unsupported value: \"{}\": supported values: \"Node\", \"<empty>\"", kind));
  }
  if (binding.Get("target", "name").AsString().empty()) return BareError("target.name: Required value");
  UpdateRequest update;
  update.name = name;
  update.target = Target::kSpecial;
  update.admission = Admission::kDone;
  update.dry_run = dry_run;
  update.make = [&](const Value& current) { return Bound(pods, current, binding, name, context.runtime.Wall()); };
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

}  // namespace knarr::apiserver
