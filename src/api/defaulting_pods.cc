// What pods are filled in with, and everything inside a PodSpec.

#include <algorithm>
#include <iterator>

#include "api/defaulting.h"
#include "api/defaulting_rules.h"
#include "base/quantity.h"

namespace knarr::api {
namespace {

using doc::Arena;
using doc::Value;

constexpr int64_t kFileMode = 0644;

void RequestsFromLimits(Value& spec, Arena& arena, std::string_view list) {
  Value* containers = spec.Find(list);
  if (containers == nullptr) return;
  for (Value& container : containers->items()) {
    Value* resources = container.Find("resources");
    if (resources == nullptr || resources->At("limits").empty()) continue;
    FillObject(*resources, arena, "requests");
    FillEntries(*resources->Find("requests"), arena, resources->At("limits"));
  }
}

void HostPorts(Value& spec, Arena& arena, std::string_view list) {
  Value* containers = spec.Find(list);
  if (containers == nullptr) return;
  for (Value& container : containers->items()) {
    Value* ports = container.Find("ports");
    if (ports == nullptr) continue;
    for (Value& port : ports->items()) FillInt(port, arena, "hostPort", port.At("containerPort").AsInt());
  }
}

bool IsHugePages(std::string_view resource) { return resource.starts_with("hugepages-"); }
bool IsPodLevel(std::string_view resource) {
  return resource == "cpu" || resource == "memory" || IsHugePages(resource);
}

Quantity Amount(const Value& list, std::string_view resource) {
  const Result<Quantity> quantity = Quantity::Parse(list.At(resource).AsString("0"));
  return quantity.ok() ? *quantity : Quantity();
}

void AddTo(Value& sum, Arena& arena, const Value& more) {
  for (const doc::Member& entry : more.members()) {
    const Quantity total = Amount(sum, entry.key) + Amount(more, entry.key);
    sum.Set(arena, entry.key, Value::String(arena, total.ToString()));
  }
}

void RaiseTo(Value& most, Arena& arena, const Value& other) {
  for (const doc::Member& entry : other.members()) {
    const Value* known = most.Find(entry.key);
    if (known == nullptr || Amount(most, entry.key) < Amount(other, entry.key)) {
      most.Set(arena, entry.key, entry.value);
    }
  }
}

// What the containers take together: all of them, or the largest moment of the init containers.
Value Together(const Value& spec, Arena& arena, std::string_view which) {
  Value sum = Value::Object();
  for (const Value& container : spec.At("containers").items()) AddTo(sum, arena, container.Get("resources", which));
  Value sidecars = Value::Object();
  Value init = Value::Object();
  for (const Value& container : spec.At("initContainers").items()) {
    const Value& own = container.Get("resources", which);
    Value moment = Value::Object();
    if (container.At("restartPolicy").AsString() == "Always") {
      AddTo(sum, arena, own);
      AddTo(sidecars, arena, own);
      AddTo(moment, arena, sidecars);
    } else {
      AddTo(moment, arena, sidecars);
      AddTo(moment, arena, own);
    }
    RaiseTo(init, arena, moment);
  }
  RaiseTo(sum, arena, init);
  return sum;
}

// Resources of the pod as a whole are completed only where some are given.
void PodLevelResources(Value& spec, Arena& arena) {
  Value* resources = spec.Find("resources");
  if (resources == nullptr || !resources->is_object()) return;
  if (resources->At("limits").empty() && resources->At("requests").empty()) return;
  Value limits = resources->At("limits").Clone(arena);
  for (const doc::Member& entry : Together(spec, arena, "limits").members()) {
    if (!IsHugePages(entry.key) || resources->At("requests").Find(entry.key) != nullptr) continue;
    if (limits.Find(entry.key) == nullptr) limits.Set(arena, entry.key, entry.value);
  }
  if (!limits.empty()) resources->Set(arena, "limits", limits);
  if (limits.empty()) return;
  Value requests = resources->At("requests").Clone(arena);
  for (const doc::Member& entry : Together(spec, arena, "requests").members()) {
    if (!IsPodLevel(entry.key) || IsHugePages(entry.key)) continue;
    if (requests.Find(entry.key) == nullptr) requests.Set(arena, entry.key, entry.value);
  }
  for (const doc::Member& entry : limits.members()) {
    if (IsPodLevel(entry.key) && requests.Find(entry.key) == nullptr) requests.Set(arena, entry.key, entry.value);
  }
  if (!requests.empty()) resources->Set(arena, "requests", requests);
}

void Pod(Value& pod, Arena& arena) {
  // Below zero means at once; only in a pod itself, as templates may be of long ago.
  if (Value* spec = pod.Find("spec"); spec != nullptr && spec->At("terminationGracePeriodSeconds").AsInt() < 0) {
    spec->Set(arena, "terminationGracePeriodSeconds", Value::Int(1));
  }
  Value& spec = FillObject(pod, arena, "spec");
  RequestsFromLimits(spec, arena, "containers");
  RequestsFromLimits(spec, arena, "initContainers");
  PodLevelResources(spec, arena);
  Fill(spec, arena, "enableServiceLinks", Value::Bool(true));
  if (spec.At("hostNetwork").AsBool()) {
    HostPorts(spec, arena, "containers");
    HostPorts(spec, arena, "initContainers");
  }
}

void PodSpec(Value& spec, Arena& arena) {
  FillText(spec, arena, "dnsPolicy", "ClusterFirst");
  FillText(spec, arena, "restartPolicy", "Always");
  FillObject(spec, arena, "securityContext");
  Fill(spec, arena, "terminationGracePeriodSeconds", Value::Int(30));
  FillText(spec, arena, "schedulerName", "default-scheduler");
  // serviceAccount is the old name of serviceAccountName: whichever is given sets the other.
  const Value name = spec.At("serviceAccountName");
  const Value old_name = spec.At("serviceAccount");
  if (name.AsString().empty() && !old_name.AsString().empty()) spec.Set(arena, "serviceAccountName", old_name);
  if (!name.AsString().empty()) spec.Set(arena, "serviceAccount", name);
}

// The old single address and the list of them say the same; the old one wins when they differ.
void PodStatus(Value& status, Arena& arena) {
  const Value& addresses = status.At("podIPs");
  const std::string_view first = addresses.empty() ? std::string_view() : addresses[0].At("ip").AsString();
  const Value single = status.At("podIP");
  if (single.AsString().empty()) {
    if (!first.empty()) status.Set(arena, "podIP", Value::Borrow(first));
  } else if (single.AsString() != first) {
    Value address = Value::Object();
    address.Set(arena, "ip", single);
    Value list = Value::Array();
    list.Append(arena, address);
    status.Set(arena, "podIPs", list);
  }
}

std::string_view PullPolicy(std::string_view image) { return ImageIsLatest(image) ? "Always" : "IfNotPresent"; }

void Container(Value& container, Arena& arena) {
  FillText(container, arena, "imagePullPolicy", PullPolicy(container.At("image").AsString()));
  FillText(container, arena, "terminationMessagePath", "/dev/termination-log");
  FillText(container, arena, "terminationMessagePolicy", "File");
}

void Probe(Value& probe, Arena& arena) {
  FillInt(probe, arena, "timeoutSeconds", 1);
  FillInt(probe, arena, "periodSeconds", 10);
  FillInt(probe, arena, "successThreshold", 1);
  FillInt(probe, arena, "failureThreshold", 3);
}

void HttpGet(Value& get, Arena& arena) {
  FillText(get, arena, "path", "/");
  FillText(get, arena, "scheme", "HTTP");
}

void Volume(Value& volume, Arena& arena) {
  const bool sourced = std::ranges::any_of(
      volume.members(), [](const doc::Member& member) { return member.key != "name" && !member.value.is_null(); });
  if (!sourced) FillObject(volume, arena, "emptyDir");
  if (Value* image = volume.Find("image"); image != nullptr && image->is_object()) {
    FillText(*image, arena, "pullPolicy", PullPolicy(image->At("reference").AsString()));
  }
}

void FileSource(Value& source, Arena& arena) { Fill(source, arena, "defaultMode", Value::Int(kFileMode)); }
void TokenProjection(Value& source, Arena& arena) { Fill(source, arena, "expirationSeconds", Value::Int(3600)); }
void HostPath(Value& source, Arena& arena) { Fill(source, arena, "type", Value::Borrow("")); }
void FieldSelector(Value& selector, Arena& arena) { FillText(selector, arena, "apiVersion", "v1"); }

constexpr struct {
  std::string_view type;
  DefaultRule rule;
} kRules[] = {
    {"Pod", Pod},
    {"PodSpec", PodSpec},
    {"PodStatus", PodStatus},
    {"Container", Container},
    {"EphemeralContainer", Container},
    {"Probe", Probe},
    {"HTTPGetAction", HttpGet},
    {"Volume", Volume},
    {"SecretVolumeSource", FileSource},
    {"ConfigMapVolumeSource", FileSource},
    {"DownwardAPIVolumeSource", FileSource},
    {"ProjectedVolumeSource", FileSource},
    {"ServiceAccountTokenProjection", TokenProjection},
    {"HostPathVolumeSource", HostPath},
    {"ObjectFieldSelector", FieldSelector},
};

}  // namespace

DefaultRule FindPodRule(std::string_view package, std::string_view type) {
  if (package != "core/v1") return nullptr;
  const auto* found = std::ranges::find(kRules, type, [](const auto& rule) { return rule.type; });
  return found == std::end(kRules) ? nullptr : found->rule;
}

}  // namespace knarr::api
