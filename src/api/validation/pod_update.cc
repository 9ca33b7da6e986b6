// What may change of a pod: little, once it is made.

#include <algorithm>
#include <limits>

#include "api/validation/addresses.h"
#include "api/validation/go_form.h"
#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "base/ip.h"
#include "base/names.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using core_v1::ContainerStatus;
using core_v1::Pod;
using doc::Value;

// True when the two have different numbers of containers, after which nothing else can be said.
bool ValidateContainerUpdates(const ListView<core_v1::Container>& containers, const ListView<core_v1::Container>& old,
                              const Path& path, Errors& errors) {
  if (containers.size() != old.size()) {
    errors.Forbidden(path, "pod updates may not add or remove containers");
    return true;
  }
  size_t index = 0;
  for (const core_v1::Container container : containers) {
    const Path at = path[index++];
    if (container.image().empty()) {
      errors.Required(at / "image");
    } else if (TrimSpace(container.image()).size() != container.image().size()) {
      errors.Invalid(at / "image", container.image(), "must not have leading or trailing whitespace");
    }
  }
  return false;
}

// False when the rest of the rules do not apply any more.
bool ValidateDeadline(const Pod& pod, const Pod& old, const Path& path, Errors& errors) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  const auto seconds = pod.spec().active_deadline_seconds();
  const auto before = old.spec().active_deadline_seconds();
  if (!seconds) {
    if (before) errors.Invalid(path, Value::Null(), "must not update from a positive integer to nil value");
    return true;
  }
  if (*seconds < 0 || *seconds > kMost) {
    errors.Invalid(path, *seconds, RangeProblem(0, kMost));
    return false;
  }
  if (before && *before < *seconds) {
    errors.Invalid(path, *seconds, "must be less than or equal to previous value");
    return false;
  }
  return true;
}

bool SameButForSeconds(const Value& a, const Value& b) {
  return std::ranges::all_of(std::initializer_list<std::string_view>{"key", "operator", "value", "effect"},
                             [&](std::string_view name) { return a.At(name).Equals(b.At(name)); });
}

void ValidateTolerationsUpdate(const Pod& pod, const Pod& old, const Path& path, Errors& errors) {
  const auto now = pod.spec().tree().At("tolerations").items();
  for (const Value& toleration : old.spec().tree().At("tolerations").items()) {
    const bool kept =
        std::ranges::any_of(now, [&](const Value& other) { return SameButForSeconds(toleration, other); });
    if (kept) continue;
    return errors.Forbidden(path, "existing toleration can not be modified except its tolerationSeconds");
  }
  ValidateTolerations(pod.spec().tolerations(), path, errors);
}

void ValidateGatesUpdate(const Pod& pod, const Pod& old, const Path& path, Errors& errors) {
  std::set<std::string_view> known;
  for (const core_v1::PodSchedulingGate gate : old.spec().scheduling_gates()) known.insert(gate.name());
  size_t index = 0;
  for (const core_v1::PodSchedulingGate gate : pod.spec().scheduling_gates()) {
    const Path at = path[index++];
    if (known.contains(gate.name())) continue;
    errors.Forbidden(at / "name",
                     "only deletion is allowed, but found new scheduling gate '" + std::string(gate.name()) + "'");
  }
}

void TakeImages(doc::Document& document, const Value& old, std::string_view list) {
  Value* containers = document.root.Find(list);
  if (containers == nullptr) return;
  const Value& before = old.At(list);
  for (size_t i = 0; i < containers->size() && i < before.size(); ++i) {
    (*containers)[i].Set(document.arena, "image", before[i].At("image"));
  }
}

void ValidateRest(const Pod& pod, const Pod& old, const Path& path, Errors& errors) {
  const Value& before = old.spec().tree();
  doc::Document munged = doc::Document::Copy(pod.spec().tree());
  TakeImages(munged, before, "containers");
  TakeImages(munged, before, "initContainers");
  const bool gated = !old.spec().scheduling_gates().empty();
  for (const std::string_view name : {"activeDeadlineSeconds", "schedulingGates", "tolerations", "nodeSelector"}) {
    if (name == "nodeSelector" && !gated) continue;
    if (const Value* value = before.Find(name)) {
      munged.root.Set(munged.arena, name, *value);
    } else {
      munged.root.Remove(name);
    }
  }
  if (old.spec().termination_grace_period_seconds().value_or(0) < 0 &&
      pod.spec().termination_grace_period_seconds() == 1) {
    munged.root.Set(munged.arena, "terminationGracePeriodSeconds", before.At("terminationGracePeriodSeconds"));
  }
  if (munged.root.Equals(before)) return;
  errors.Forbidden(path,
                   "pod updates may not change fields other than `spec.containers[*].image`,"
                   "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
                   "existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
                   "previously negative)\n" +
                       GoDifference(core_v1::PodSpec::SchemaType(), before, munged.root));
}

// Whether one container's end may make all of them run again.
bool MayRestartAll(const Pod& pod) {
  for (const std::string_view list : {"containers", "initContainers"}) {
    for (const Value& container : pod.spec().tree().At(list).items()) {
      for (const Value& rule : container.At("restartPolicyRules").items()) {
        if (rule.At("action").AsString() == "RestartAllContainers") return true;
      }
    }
  }
  return false;
}

// A container that has ended may only run again where its restart policy says so.
void ValidateTransitions(const Pod& pod, const Pod& old, std::string_view list, Errors& errors) {
  const std::string_view policy = old.spec().restart_policy();
  if (policy == "Always" || MayRestartAll(old)) return;
  size_t index = 0;
  for (const Value& before : old.status().tree().At(list).items()) {
    const Path at = (Path("status") / list)[index++] / "state";
    const Value& ended = before.Get("state", "terminated");
    if (ended.is_null() || (ended.At("exitCode").AsInt() != 0 && policy == "OnFailure")) continue;
    const std::string_view name = before.At("name").AsString();
    bool may_restart = false;
    for (const std::string_view containers : {"containers", "initContainers"}) {
      for (const Value& container : old.spec().tree().At(containers).items()) {
        may_restart |= container.At("name").AsString() == name && !container.At("restartPolicy").is_null();
      }
    }
    if (may_restart) continue;
    for (const Value& now : pod.status().tree().At(list).items()) {
      if (now.At("name").AsString() != name || !now.Get("state", "terminated").is_null()) continue;
      errors.Forbidden(at, "may not be transitioned to non-terminated state");
    }
  }
}

// The addresses of a pod or its host: valid ones, at most one of a family.
void ValidateAddresses(const Value& addresses, const Path& path, Errors& errors) {
  size_t families[2] = {0, 0};
  for (size_t i = 0; i < addresses.size(); ++i) {
    const std::string_view text = addresses[i].At("ip").AsString();
    ValidateIp(text, path[i], errors);
    const Result<IpAddress> address = IpAddress::Parse(text);
    if (address.ok()) ++families[address->is_v6() ? 1 : 0];
  }
  if (addresses.size() < 2 || (addresses.size() == 2 && families[0] == 1 && families[1] == 1)) return;
  doc::Arena arena;
  Value shown = Value::Array();  // as upstream's own structs print
  for (const Value& address : addresses.items()) {
    Value item = Value::Object();
    item.Set(arena, "IP", Value::Borrow(address.At("ip").AsString()));
    shown.Append(arena, item);
  }
  errors.Invalid(path, shown, "may specify no more than one IP for each IP family");
}

}  // namespace

void ValidatePodUpdate(const Value& object, const Value& old_object, Errors& errors) {
  const Pod pod(object);
  const Pod old(old_object);
  const Path spec("spec");
  ValidateMetadataUpdate(pod.metadata().tree(), old.metadata().tree(), Path("metadata"), errors);
  ValidatePodMetadataAndSpec(pod, errors);
  if (ValidateContainerUpdates(pod.spec().containers(), old.spec().containers(), spec / "containers", errors)) return;
  if (ValidateContainerUpdates(pod.spec().init_containers(), old.spec().init_containers(), spec / "initContainers",
                               errors)) {
    return;
  }
  if (!ValidateDeadline(pod, old, spec / "activeDeadlineSeconds", errors)) return;
  ValidateTolerationsUpdate(pod, old, spec / "tolerations", errors);
  ValidateGatesUpdate(pod, old, spec / "schedulingGates", errors);
  if (!pod.spec().tree().Equals(old.spec().tree())) ValidateRest(pod, old, spec, errors);
}

void ValidatePodStatusUpdate(const Value& object, const Value& old_object, Errors& errors) {
  const Pod pod(object);
  const Pod old(old_object);
  const Path status("status");
  ValidateMetadataUpdate(pod.metadata().tree(), old.metadata().tree(), Path("metadata"), errors);
  size_t index = 0;
  for (const core_v1::PodCondition condition : pod.status().conditions()) {
    const Path at = (status / "conditions")[index++];
    if (condition.observed_generation() < 0) {
      errors.Invalid(at / "observedGeneration", condition.observed_generation(), "must be a non-negative integer");
    }
    const std::string_view type = condition.type();
    if (type == "PodScheduled" || type == "Ready" || type == "Initialized") continue;
    ValidateQualifiedName(type, at / "Type", errors);
  }
  if (pod.spec().node_name() != old.spec().node_name()) {
    errors.Forbidden(status / "nodeName", "may not be changed directly");
  }
  const std::string_view nominated = pod.status().nominated_node_name();
  if (nominated != old.status().nominated_node_name() && !nominated.empty()) {
    errors.InvalidAll(status / "nominatedNodeName", nominated, CheckDns1123Subdomain(nominated));
  }
  if (pod.status().observed_generation() < 0) {
    errors.Invalid(status / "observedGeneration", pod.status().observed_generation(), "must be a non-negative integer");
  }
  if (!old.spec().node_name().empty() && !nominated.empty() && nominated != old.status().nominated_node_name()) {
    errors.Forbidden(status / "nominatedNodeName", "may not be set on pods that are already bound to a node");
  }
  // The server sets the class when the pod is made; who leaves it out means to keep it.
  const std::string_view qos = pod.status().qos_class();
  if (!qos.empty() && !old.status().qos_class().empty() && qos != old.status().qos_class()) {
    errors.Invalid(status / "qosClass", qos, kImmutable);
  }
  for (const std::string_view list : {"containerStatuses", "initContainerStatuses"}) {
    ValidateTransitions(pod, old, list, errors);
  }
  ValidatePodStatusClaims(pod, errors);
  ValidateAddresses(pod.status().tree().At("podIPs"), status / "podIPs", errors);
  const Value& host_addresses = pod.status().tree().At("hostIPs");
  if (!host_addresses.empty() && host_addresses[0].At("ip").AsString() != pod.status().host_ip()) {
    errors.Invalid((status / "hostIPs")[0] / "ip", host_addresses[0].At("ip").AsString(), "must be equal to `hostIP`");
  }
  ValidateAddresses(host_addresses, status / "hostIPs", errors);
  ValidateDebugStatuses(pod, errors);
}

}  // namespace knarr::api::validation
