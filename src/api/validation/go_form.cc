#include "api/validation/go_form.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

// Where Go's name is not the JSON name with a capital.
constexpr std::string_view kAcronyms[] = {"api",  "aws", "cel", "cidrs", "csi",   "dns", "fc", "fs", "gce",
                                          "gmsa", "grpc", "http", "ip",  "iqn",   "iscsi", "nfs", "os", "pd",
                                          "rbd",  "se",  "ssl", "tcp",   "tls",   "tty", "uid"};

// What follows no rule at all.
struct Renamed {
  std::string_view name;
  std::string_view shown;
};
constexpr Renamed kRenamed[] = {
    {"storageos", "StorageOS"}, {"cephfs", "CephFS"}, {"wwids", "WWIDs"}, {"diskURI", "DataDiskURI"}};

// The members of upstream's own pod spec, which has them in another order.
constexpr std::string_view kPodSpecOrder[] = {
    "volumes",         "initContainers",  "containers",     "ephemeralContainers",   "restartPolicy",
    "terminationGracePeriodSeconds",      "activeDeadlineSeconds", "dnsPolicy",      "nodeSelector",
    "serviceAccountName", "automountServiceAccountToken",   "nodeName",              "securityContext",
    "imagePullSecrets", "hostname",       "subdomain",      "setHostnameAsFQDN",     "affinity",
    "schedulerName",   "tolerations",     "hostAliases",    "priorityClassName",     "priority",
    "preemptionPolicy", "dnsConfig",      "readinessGates", "runtimeClassName",      "overhead",
    "enableServiceLinks", "topologySpreadConstraints",      "os",                    "schedulingGates",
    "resourceClaims",  "resources",       "hostnameOverride", "schedulingGroup"};
// The same of what PersistentVolumes are made of.
constexpr std::string_view kVolumeOrder[] = {
    "gcePersistentDisk", "awsElasticBlockStore", "hostPath",      "glusterfs", "nfs",     "rbd",
    "quobyte",           "iscsi",                "flexVolume",    "cinder",    "cephfs",  "fc",
    "flocker",           "azureFile",            "vsphereVolume", "azureDisk", "photonPersistentDisk",
    "portworxVolume",    "scaleIO",              "local",         "storageos", "csi"};
// There they belong to the security context.
constexpr std::string_view kHostMembers[] = {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"};
constexpr std::string_view kSecurityOrder[] = {
    "seLinuxOptions",     "windowsOptions",           "runAsUser", "runAsGroup",          "runAsNonRoot",
    "supplementalGroups", "supplementalGroupsPolicy", "fsGroup",   "fsGroupChangePolicy", "sysctls",
    "seccompProfile",     "appArmorProfile",          "seLinuxChangePolicy"};

std::string GoName(std::string_view name) {
  // The lower-case letters in front are one acronym, or the beginning of a word.
  size_t length = 0;
  while (length < name.size() && name[length] >= 'a' && name[length] <= 'z') ++length;
  const std::string_view front = name.substr(0, length);
  std::string out(name);
  for (const Renamed& renamed : kRenamed) {
    if (renamed.name == name) return std::string(renamed.shown);
  }
  if (front == "cidrs") return "CIDRs" + std::string(name.substr(length));
  if (std::ranges::find(kAcronyms, front) != std::end(kAcronyms)) return ToUpper(front) + out.substr(length);
  if (!out.empty()) out[0] = ToUpper(out.substr(0, 1))[0];
  return out;
}

Value One(const Field& field, const Value& value, doc::Arena& arena) {
  return field.type == FieldType::kMessage ? GoForm(*field.message, value, arena) : value;
}

Value Zero(const Field& field, doc::Arena& arena) {
  if (field.Has(FieldFlag::kPointer) || field.shape != Shape::kSingle) return Value::Null();
  switch (field.type) {
    case FieldType::kString:
      return Value::Borrow("");
    case FieldType::kBool:
      return Value::Bool(false);
    case FieldType::kInt32:
    case FieldType::kInt64:
      return Value::Int(0);
    case FieldType::kMessage:
      return GoForm(*field.message, Value::Object(), arena);
    default:
      return Value::Null();
  }
}

Value Shown(const Field& field, const Value& member, doc::Arena& arena) {
  if (member.is_null()) return Zero(field, arena);
  if (field.shape == Shape::kMap) return member;
  if (field.shape != Shape::kList) return One(field, member, arena);
  Value shown = Value::Array();
  for (const Value& item : member.items()) shown.Append(arena, One(field, item, arena));
  return shown;
}

void AddMember(const Type& type, const Value& value, std::string_view name, doc::Arena& arena, Value& out) {
  const Field* field = type.Find(name);
  if (field == nullptr) return;
  out.AddMember(arena, arena.Copy(GoName(name)), Shown(*field, value.At(name), arena));
}

Value PodSpecForm(const Type& type, const Value& spec, doc::Arena& arena) {
  Value out = Value::Object();
  out.Reserve(arena, std::size(kPodSpecOrder));
  for (const std::string_view name : kPodSpecOrder) {
    if (name != "securityContext") {
      AddMember(type, spec, name, arena, out);
      continue;
    }
    Value context = Value::Object();
    for (const std::string_view member : kHostMembers) AddMember(type, spec, member, arena, context);
    const Type& security = *type.Find(name)->message;
    for (const std::string_view member : kSecurityOrder) AddMember(security, spec.At(name), member, arena, context);
    out.AddMember(arena, "SecurityContext", context);
  }
  return out;
}

}  // namespace

Value GoForm(const Type& type, const Value& value, doc::Arena& arena) {
  // Kinds of meta/v1 have no other form, and RawExtensions and the like print as they are.
  if (value.is_null() || type.package == "meta/v1") return value;
  if (type.package == "core/v1" && type.name == "PodSpec") return PodSpecForm(type, value, arena);
  if (type.package == "core/v1" && type.name == "PersistentVolumeSource") {
    Value source = Value::Object();
    for (const std::string_view name : kVolumeOrder) AddMember(type, value, name, arena, source);
    return source;
  }
  const bool volume = type.package == "core/v1" && type.name == "Volume";  // one of its sources stands elsewhere
  Value out = Value::Object();
  out.Reserve(arena, type.flat.size());
  for (const Field* field : type.flat) {
    const Value& member = value.At(field->name);
    if (field->name == "metadata") {
      // Embedded in Go, so that its members stand among the others.
      for (const doc::Member& meta : member.members()) out.AddMember(arena, meta.key, meta.value);
      continue;
    }
    if (volume && field->name == "quobyte") continue;
    out.AddMember(arena, arena.Copy(GoName(field->name)), Shown(*field, member, arena));
    if (volume && field->name == "rbd") AddMember(type, value, "quobyte", arena, out);
  }
  return out;
}

}  // namespace knarr::api::validation
