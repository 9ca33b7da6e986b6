// What may change of a pod through its ephemeralcontainers and resize subresources.

#include <algorithm>
#include <string>
#include <vector>

#include "api/qos.h"
#include "api/validation.h"
#include "api/validation/go_form.h"
#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using core_v1::Pod;
using doc::Value;

constexpr std::string_view kMirror = "kubernetes.io/config.mirror";
constexpr std::string_view kOnlyCpuAndMemory = "only cpu and memory resources are mutable";

bool IsMirror(const Value& pod) { return !pod.Get("metadata", "annotations", kMirror).is_null(); }

const Value* FindByName(const Value& list, std::string_view name) {
  for (const Value& item : list.items()) {
    if (item.At("name").AsString() == name) return &item;
  }
  return nullptr;
}

std::string_view QosOf(const Value& pod) {
  const std::string_view stored = pod.Get("status", "qosClass").AsString();
  return stored.empty() ? QosClass(pod.At("spec")) : stored;
}

// Whether the node can do it shows in what it reports of containers that run.
bool NodeSupportsResize(const Value& pod) {
  for (const Value& status : pod.Get("status", "containerStatuses").items()) {
    if (!status.Get("state", "running").is_null()) return !status.At("resources").is_null();
  }
  return true;
}

bool Removed(const Value& now, const Value& before) {
  return std::ranges::any_of(before.members(),
                             [&](const doc::Member& member) { return now.Find(member.key) == nullptr; });
}

void ValidateOrder(const Value& spec, const Value& before, std::string_view list, const Path& path, Errors& errors) {
  const Value& now = spec.At(list);
  const Value& old = before.At(list);
  if (now.size() != old.size()) {
    errors.Forbidden(path / list, std::string(list) + " may not be added or removed on resize");
    return;
  }
  for (size_t i = 0; i < now.size(); ++i) {
    if (now[i].At("name").AsString() == old[i].At("name").AsString()) continue;
    errors.Forbidden((path / list)[i] / "name", std::string(list) + " may not be renamed or reordered on resize");
  }
}

void ValidateKept(const Value& now, const Value& before, const Path& path, std::string_view what, Errors& errors) {
  for (const auto& [member, kind] : {std::pair{"requests", "requests"}, std::pair{"limits", "limits"}}) {
    if (!Removed(now.At(member), before.At(member))) continue;
    errors.Forbidden(path / member, std::string(what) + " " + kind + " cannot be removed");
  }
}

// Takes cpu and memory from `before`: what differs then may not be changed.
void Mask(Value& resources, const Value& before, doc::Arena& arena) {
  for (const std::string_view list : {"requests", "limits"}) {
    Value& amounts = resources.Ensure(arena, list);
    if (!amounts.is_object()) amounts = Value::Object();
    for (const std::string_view name : {"cpu", "memory"}) {
      const Value* old = before.At(list).Find(name);
      if (old == nullptr) {
        amounts.Remove(name);
      } else {
        amounts.Set(arena, name, *old);
      }
    }
    if (amounts.empty()) resources.Remove(list);
  }
}

// A container with cpu and memory as they were. Claims are not kept, as upstream, so they may not be there.
Value Masked(const Value& container, const Value& old, doc::Arena& arena) {
  Value out = container.Clone(arena);
  Value resources = Value::Object();
  for (const std::string_view list : {"requests", "limits"}) {
    const Value& amounts = container.Get("resources", list);
    if (!amounts.empty()) resources.Set(arena, list, amounts.Clone(arena));
  }
  Mask(resources, old.At("resources"), arena);
  out.Set(arena, "resources", resources);
  return out;
}

bool SameContainer(const Value& container, const Value& old, doc::Arena& arena) {
  Value normal = old.Clone(arena);
  if (normal.At("resources").is_null()) normal.Set(arena, "resources", Value::Object());
  return container.Equals(normal);
}

bool RestartsOnResize(const Value& container) {
  return std::ranges::any_of(container.At("resizePolicy").items(), [](const Value& policy) {
    return policy.At("restartPolicy").AsString() == "RestartContainer";
  });
}

void ValidatePodLevel(const Value& spec, const Value& before, Value& masked, doc::Arena& arena, Errors& errors) {
  const Value& now = spec.At("resources");
  const Value& old = before.At("resources");
  const auto set = [](const Value& resources) {
    return resources.At("requests").size() + resources.At("limits").size() > 0;
  };
  if (!set(now) && !set(old)) return;
  if (!old.is_null() && now.is_null()) {
    errors.Forbidden(SpecPath() / "resources", "pod-level resources cannot be removed");
    return;
  }
  if (!old.is_null()) ValidateKept(now, old, SpecPath() / "resources", "pod-level resource", errors);
  Value resources = now.Clone(arena);
  Mask(resources, old, arena);
  if (old.is_null() && resources.empty()) {
    masked.Remove("resources");
  } else {
    masked.Set(arena, "resources", resources);
  }
  if (!masked.At("resources").Equals(old)) {
    errors.Forbidden(SpecPath(), std::string(kOnlyCpuAndMemory) + " at pod-level");
  }
}

void ValidateMasked(const Value& spec, const Value& before, Value& masked, doc::Arena& arena, Errors& errors) {
  Value containers = Value::Array();
  for (size_t i = 0; i < spec.At("containers").size(); ++i) {
    const Value& old = before.At("containers")[i];
    Value container = Masked(spec.At("containers")[i], old, arena);
    if (!SameContainer(container, old, arena)) errors.Forbidden(SpecPath(), kOnlyCpuAndMemory);
    containers.Append(arena, container);
  }
  masked.Set(arena, "containers", containers);
  Value inits = Value::Array();
  for (size_t i = 0; i < spec.At("initContainers").size(); ++i) {
    const Value& now = spec.At("initContainers")[i];
    const Value& old = before.At("initContainers")[i];
    const Path at = (SpecPath() / "initContainers")[i];
    Value container = Masked(now, old, arena);
    if (!SameContainer(container, old, arena)) {
      errors.Forbidden(at, "only cpu and memory resources for init or sidecar containers are mutable");
    }
    const bool sidecar = now.At("restartPolicy").AsString() == "Always";
    if (!sidecar && !now.Equals(old) && RestartsOnResize(now)) {
      errors.Forbidden(at, "non-sidecar init containers with a resize policy of RestartContainer cannot be resized");
    }
    inits.Append(arena, container);
  }
  if (!inits.empty()) masked.Set(arena, "initContainers", inits);
}

// False when the rules do not apply at all.
bool ValidateResizable(const Value& object, const Value& old, Errors& errors) {
  Errors refused;
  if (IsMirror(old)) {
    refused.Forbidden(Path(), "static pods cannot be resized");
  } else if (old.Get("spec", "os", "name").AsString() == "windows") {
    refused.Forbidden(Path(), "windows pods cannot be resized");
  }
  if (!refused.empty()) {
    errors = std::move(refused);
    return false;
  }
  if (QosOf(old) != QosClass(object.At("spec"))) {
    errors.Invalid(SpecPath(), object.Get("status", "qosClass"),
                   "Pod QOS Class may not change as a result of resizing");
  }
  if (!NodeSupportsResize(old)) errors.Forbidden(SpecPath(), "Pod running on node without support for resize");
  return true;
}

void ValidateResize(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidatePodMetadataAndSpec(Pod(object), errors);
  if (!ValidateResizable(object, old, errors)) return;
  const Value& spec = object.At("spec");
  const Value& before = old.At("spec");
  doc::Document masked = doc::Document::Copy(spec);
  ValidatePodLevel(spec, before, masked.root, masked.arena, errors);
  if (!old.Get("status", "nodeAllocatableResourceClaimStatuses").empty()) {
    errors.Forbidden(SpecPath(), "pods with node allocatable resource claims cannot be resized");
  }
  Errors order;
  for (const std::string_view list : {"containers", "initContainers"}) {
    ValidateOrder(spec, before, list, SpecPath(), order);
  }
  const bool reordered = !order.empty();
  errors.Append(std::move(order));
  if (reordered) return;
  for (const std::string_view list : {"initContainers", "containers"}) {
    for (size_t i = 0; i < before.At(list).size(); ++i) {
      ValidateKept(spec.At(list)[i].At("resources"), before.At(list)[i].At("resources"),
                   (SpecPath() / list)[i] / "resources", "resource", errors);
    }
  }
  ValidateMasked(spec, before, masked.root, masked.arena, errors);
  if (!errors.empty()) return;
  for (const doc::Member& member : before.members()) {
    if (member.key == "containers" || member.key == "initContainers") continue;
    if (!masked.root.At(member.key).Equals(member.value)) return errors.Forbidden(SpecPath(), kOnlyCpuAndMemory);
  }
  for (const doc::Member& member : masked.root.members()) {
    if (before.Find(member.key) == nullptr) return errors.Forbidden(SpecPath(), kOnlyCpuAndMemory);
  }
}

void ValidateDebugContainers(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidatePodMetadataAndSpec(Pod(object), errors);
  if (IsMirror(old)) {
    Errors refused;
    refused.Forbidden(Path(), "static pods do not support ephemeral containers");
    errors = std::move(refused);
    return;
  }
  const Path path = SpecPath() / "ephemeralContainers";
  const Value& now = object.Get("spec", "ephemeralContainers");
  for (const Value& before : old.Get("spec", "ephemeralContainers").items()) {
    const std::string name = GoQuote(before.At("name").AsString());
    const Value* same = FindByName(now, before.At("name").AsString());
    if (same == nullptr) {
      errors.Forbidden(path, "existing ephemeral containers " + name + " may not be removed\n");
    } else if (!same->Equals(before)) {
      errors.Forbidden(path,
                       "existing ephemeral containers " + name + " may not be changed\n" +
                           GoDifference(core_v1::EphemeralContainer::SchemaType(), before, *same));
    }
  }
}

}  // namespace
}  // namespace knarr::api::validation

namespace knarr::api {

ErrorList ValidatePodResize(const doc::Value& object, const doc::Value& old) {
  validation::Errors errors;
  validation::ValidateResize(object, old, errors);
  return std::move(errors).Take();
}

ErrorList ValidatePodEphemeralContainers(const doc::Value& object, const doc::Value& old) {
  validation::Errors errors;
  validation::ValidateDebugContainers(object, old, errors);
  return std::move(errors).Take();
}

}  // namespace knarr::api
