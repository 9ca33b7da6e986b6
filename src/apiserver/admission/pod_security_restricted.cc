#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "apiserver/admission/pod_security.h"

namespace knarr::apiserver {
namespace {

using doc::Value;
using Texts = std::vector<std::string>;

bool IsWindows(const PodToCheck& pod) { return pod.spec.Get("os", "name").AsString() == "windows"; }

/// Where a security context says something bad, where one says nothing, and the pod's own.
struct Findings {
  bool pod_bad = false;
  bool pod_good = false;
  Texts bad;      ///< containers that say it
  Texts nothing;  ///< containers that leave it to the pod, which does not say the good
  std::string Setters() const {
    std::string out = pod_bad ? "pod" : "";
    if (!bad.empty()) out += (out.empty() ? "" : " and ") + ContainersText(bad);
    return out;
  }
};

/// `says`: 1 the good, -1 the bad, 0 nothing.
Findings Find(const PodToCheck& pod, int (*says)(const Value& context)) {
  Findings out;
  const int own = says(pod.spec.At("securityContext"));
  out.pod_bad = own < 0;
  out.pod_good = own > 0;
  for (const Value* container : ContainersOf(pod.spec)) {
    const int each = says(container->At("securityContext"));
    if (each < 0) out.bad.push_back(NameOfContainer(*container));
    if (each == 0 && !out.pod_good) out.nothing.push_back(NameOfContainer(*container));
  }
  return out;
}

void Escalation(const PodToCheck& pod) {
  Texts containers;
  for (const Value* container : ContainersOf(pod.spec)) {
    if (container->Get("securityContext", "allowPrivilegeEscalation").AsBool(true)) {
      containers.push_back(NameOfContainer(*container));
    }
  }
  if (containers.empty()) return;
  pod.out.push_back({"allowPrivilegeEscalation != false",
                     ContainersText(containers) + " must set securityContext.allowPrivilegeEscalation=false"});
}

void Capabilities(const PodToCheck& pod) {
  Texts missing;
  Texts adding;
  std::set<std::string> forbidden;
  for (const Value* container : ContainersOf(pod.spec)) {
    const Value& own = container->Get("securityContext", "capabilities");
    const auto dropped = own.At("drop").items();
    const bool all = std::ranges::any_of(dropped, [](const Value& each) { return each.AsString() == "ALL"; });
    if (!all) missing.push_back(NameOfContainer(*container));
    bool adds = false;
    for (const Value& each : own.At("add").items()) {
      if (each.AsString() == "NET_BIND_SERVICE") continue;
      adds = true;
      forbidden.emplace(each.AsString());
    }
    if (adds) adding.push_back(NameOfContainer(*container));
  }
  Texts details;
  if (!missing.empty()) {
    details.push_back(ContainersText(missing) + R"( must set securityContext.capabilities.drop=["ALL"])");
  }
  if (!adding.empty()) {
    details.push_back(fmt::format("{} must not include {} in securityContext.capabilities.add", ContainersText(adding),
                                  Quoted({forbidden.begin(), forbidden.end()})));
  }
  if (!details.empty()) pod.out.push_back({"unrestricted capabilities", fmt::format("{}", fmt::join(details, "; "))});
}

void Volumes(const PodToCheck& pod) {
  constexpr std::array<std::string_view, 9> kAllowed = {"configMap", "csi",   "downwardAPI",           "emptyDir",
                                                        "ephemeral", "image", "persistentVolumeClaim", "projected",
                                                        "secret"};
  constexpr std::array<std::string_view, 21> kOthers = {"hostPath",
                                                        "gcePersistentDisk",
                                                        "awsElasticBlockStore",
                                                        "gitRepo",
                                                        "nfs",
                                                        "iscsi",
                                                        "glusterfs",
                                                        "rbd",
                                                        "flexVolume",
                                                        "cinder",
                                                        "cephfs",
                                                        "flocker",
                                                        "fc",
                                                        "azureFile",
                                                        "vsphereVolume",
                                                        "quobyte",
                                                        "azureDisk",
                                                        "photonPersistentDisk",
                                                        "portworxVolume",
                                                        "scaleIO",
                                                        "storageos"};
  Texts volumes;
  std::set<std::string> types;
  for (const Value& volume : pod.spec.At("volumes").items()) {
    const auto is = [&](std::string_view type) { return !volume.At(type).is_null(); };
    if (std::ranges::any_of(kAllowed, is)) continue;
    volumes.emplace_back(volume.At("name").AsString());
    const auto other = std::ranges::find_if(kOthers, is);
    types.emplace(other == kOthers.end() ? std::string_view("unknown") : *other);
  }
  if (volumes.empty()) return;
  pod.out.push_back(
      {"restricted volume types", fmt::format("{} {} {} {} {}", volumes.size() == 1 ? "volume" : "volumes",
                                              Quoted(volumes), volumes.size() == 1 ? "uses" : "use",
                                              types.size() == 1 ? "restricted volume type" : "restricted volume types",
                                              Quoted({types.begin(), types.end()}))});
}

void NonRoot(const PodToCheck& pod) {
  const Findings found = Find(pod, [](const Value& context) {
    const Value& own = context.At("runAsNonRoot");
    return own.is_bool() ? (own.AsBool() ? 1 : -1) : 0;
  });
  const std::string setters = found.Setters();
  if (!setters.empty()) {
    pod.out.push_back({"runAsNonRoot != true", setters + " must not set securityContext.runAsNonRoot=false"});
  } else if (!found.nothing.empty()) {
    pod.out.push_back({"runAsNonRoot != true", fmt::format("pod or {} must set securityContext.runAsNonRoot=true",
                                                           ContainersText(found.nothing))});
  }
}

void User(const PodToCheck& pod) {
  const Findings found = Find(pod, [](const Value& context) {
    const Value& own = context.At("runAsUser");
    return own.is_int() && own.AsInt() == 0 ? -1 : 1;
  });
  const std::string setters = found.Setters();
  if (!setters.empty()) pod.out.push_back({"runAsUser=0", setters + " must not set runAsUser=0"});
}

void Seccomp(const PodToCheck& pod) {
  const Findings found = Find(pod, [](const Value& context) {
    const Value& own = context.At("seccompProfile");
    if (own.is_null()) return 0;
    return IsAllowedSeccomp(own.At("type").AsString()) ? 1 : -1;
  });
  const std::string setters = found.Setters();
  if (!setters.empty()) {
    std::set<std::string> values;
    const auto take = [&](const Value& context) {
      const Value& own = context.At("seccompProfile");
      if (!own.is_null() && !IsAllowedSeccomp(own.At("type").AsString())) values.emplace(own.At("type").AsString());
    };
    take(pod.spec.At("securityContext"));
    for (const Value* container : ContainersOf(pod.spec)) take(container->At("securityContext"));
    pod.out.push_back({"seccompProfile", fmt::format("{} must not set securityContext.seccompProfile.type to {}",
                                                     setters, Quoted({values.begin(), values.end()}))});
  } else if (!found.nothing.empty()) {
    pod.out.push_back({"seccompProfile",
                       fmt::format("pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or "
                                   "\"Localhost\"",
                                   ContainersText(found.nothing))});
  }
}

template <PodSecurityRule kRule>
void UnlessWindows(const PodToCheck& pod) {
  if (!IsWindows(pod)) kRule(pod);
}
template <PodSecurityRule kRule>
void UnlessUserNamespace(const PodToCheck& pod) {
  if (!InUserNamespace(pod.spec)) kRule(pod);
}

}  // namespace

std::vector<VersionedRule> RestrictedRules() {
  return {
      {"allowPrivilegeEscalation", 8, Escalation},
      {"allowPrivilegeEscalation", 25, UnlessWindows<Escalation>},
      {"capabilities_restricted", 22, Capabilities, "capabilities_baseline"},
      {"capabilities_restricted", 25, UnlessWindows<Capabilities>, "capabilities_baseline"},
      {"procMount_restricted", 35, CheckProcMount, "procMount"},
      {"restrictedVolumes", 0, Volumes, "hostPathVolumes"},
      {"runAsNonRoot", 0, NonRoot},
      {"runAsNonRoot", 35, UnlessUserNamespace<NonRoot>},
      {"runAsUser", 23, User},
      {"runAsUser", 35, UnlessUserNamespace<User>},
      {"seccompProfile_restricted", 19, Seccomp, "seccompProfile_baseline"},
      {"seccompProfile_restricted", 25, UnlessWindows<Seccomp>, "seccompProfile_baseline"},
  };
}

}  // namespace knarr::apiserver
