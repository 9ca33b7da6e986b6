#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <span>

#include "apiserver/admission/pod_security.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

using doc::Value;
using Texts = std::vector<std::string>;

Texts Sorted(const std::set<std::string>& set) { return {set.begin(), set.end()}; }
std::string_view Plural(std::string_view one, std::string_view many, size_t count) { return count == 1 ? one : many; }

// "pod", and the containers, that set something they may not.
Texts Setters(bool pod, const Texts& containers) {
  Texts out;
  if (pod) out.emplace_back("pod");
  if (!containers.empty()) out.push_back(ContainersText(containers));
  return out;
}

void AppArmor(const PodToCheck& pod) {
  const auto bad = [](const Value& context) {
    const Value& profile = context.At("appArmorProfile");
    const std::string_view type = profile.At("type").AsString();
    return !profile.is_null() && type != "RuntimeDefault" && type != "Localhost";
  };
  const auto type_of = [](const Value& context) {
    return std::string(context.Get("appArmorProfile", "type").AsString());
  };
  std::set<std::string> values;
  const Value& own = pod.spec.At("securityContext");
  if (bad(own)) values.insert(type_of(own));
  Texts containers;
  for (const Value* container : ContainersOf(pod.spec)) {
    const Value& context = container->At("securityContext");
    if (!bad(context)) continue;
    containers.push_back(NameOfContainer(*container));
    values.insert(type_of(context));
  }
  Texts setters = Setters(bad(own), containers);
  std::set<std::string> annotations;
  for (const doc::Member& each : pod.metadata.At("annotations").members()) {
    const std::string_view value = each.value.AsString();
    if (!each.key.starts_with("container.apparmor.security.beta.kubernetes.io/")) continue;
    if (value.empty() || value == "runtime/default" || value.starts_with("localhost/")) continue;
    annotations.insert(fmt::format("{}={}", each.key, GoQuote(value)));
  }
  Texts all = Sorted(values);
  if (!annotations.empty()) {
    for (const std::string& each : annotations) all.push_back(each);
    setters.emplace_back(Plural("annotation", "annotations", annotations.size()));
  }
  if (setters.empty()) return;
  pod.out.push_back(
      {std::string(Plural("forbidden AppArmor profile", "forbidden AppArmor profiles", all.size())),
       fmt::format("{} must not set AppArmor profile type to {}", fmt::join(setters, " and "), Quoted(all))});
}

void Capabilities(const PodToCheck& pod) {
  constexpr std::array<std::string_view, 13> kAllowed = {
      "AUDIT_WRITE",      "CHOWN",   "DAC_OVERRIDE", "FOWNER",  "FSETID", "KILL",      "MKNOD",
      "NET_BIND_SERVICE", "SETFCAP", "SETGID",       "SETPCAP", "SETUID", "SYS_CHROOT"};
  Texts containers;
  std::set<std::string> forbidden;
  for (const Value* container : ContainersOf(pod.spec)) {
    bool valid = true;
    for (const Value& each : container->Get("securityContext", "capabilities", "add").items()) {
      if (std::ranges::find(kAllowed, each.AsString()) != kAllowed.end()) continue;
      valid = false;
      forbidden.emplace(each.AsString());
    }
    if (!valid) containers.push_back(NameOfContainer(*container));
  }
  if (containers.empty()) return;
  pod.out.push_back(
      {"non-default capabilities", fmt::format("{} must not include {} in securityContext.capabilities.add",
                                               ContainersText(containers), Quoted(Sorted(forbidden)))});
}

void HostNamespaces(const PodToCheck& pod) {
  Texts found;
  for (const std::string_view field : {"hostNetwork", "hostPID", "hostIPC"}) {
    if (pod.spec.At(field).AsBool()) found.push_back(fmt::format("{}=true", field));
  }
  if (!found.empty()) pod.out.push_back({"host namespaces", fmt::format("{}", fmt::join(found, ", "))});
}

void HostPaths(const PodToCheck& pod) {
  Texts volumes;
  for (const Value& volume : pod.spec.At("volumes").items()) {
    if (!volume.At("hostPath").is_null()) volumes.emplace_back(volume.At("name").AsString());
  }
  if (volumes.empty()) return;
  pod.out.push_back(
      {"hostPath volumes", fmt::format("{} {}", Plural("volume", "volumes", volumes.size()), Quoted(volumes))});
}

void HostPorts(const PodToCheck& pod) {
  Texts containers;
  std::set<std::string> ports;
  for (const Value* container : ContainersOf(pod.spec)) {
    bool valid = true;
    for (const Value& port : container->At("ports").items()) {
      if (port.At("hostPort").AsInt() == 0) continue;
      valid = false;
      ports.insert(std::to_string(port.At("hostPort").AsInt()));
    }
    if (!valid) containers.push_back(NameOfContainer(*container));
  }
  if (containers.empty()) return;
  pod.out.push_back(
      {"hostPort", fmt::format("{} {} {} {}", ContainersText(containers), Plural("uses", "use", containers.size()),
                               Plural("hostPort", "hostPorts", ports.size()), fmt::join(ports, ", "))});
}

void HostProbes(const PodToCheck& pod) {
  std::set<std::string> containers;
  std::set<std::string> hosts;
  for (const Value* container : ContainersOf(pod.spec)) {
    const auto take = [&](const Value& handler) {
      for (const std::string_view way : {"httpGet", "tcpSocket"}) {
        const std::string_view host = handler.Get(way, "host").AsString();
        if (host.empty()) continue;
        hosts.emplace(host);
        containers.insert(NameOfContainer(*container));
      }
    };
    for (const std::string_view probe : {"livenessProbe", "readinessProbe", "startupProbe"}) take(container->At(probe));
    for (const std::string_view hook : {"postStart", "preStop"}) take(container->Get("lifecycle", hook));
  }
  if (containers.empty()) return;
  pod.out.push_back(
      {"probe or lifecycle host",
       fmt::format("{} {} {} {}", ContainersText(Sorted(containers)), Plural("uses", "use", containers.size()),
                   Plural("probe or lifecycle host", "probe or lifecycle hosts", hosts.size()),
                   Quoted(Sorted(hosts)))});
}

void Privileged(const PodToCheck& pod) {
  Texts containers;
  for (const Value* container : ContainersOf(pod.spec)) {
    if (container->Get("securityContext", "privileged").AsBool()) containers.push_back(NameOfContainer(*container));
  }
  if (containers.empty()) return;
  pod.out.push_back({"privileged", ContainersText(containers) + " must not set securityContext.privileged=true"});
}

void ProcMountUnlessUserNamespace(const PodToCheck& pod) {
  if (!InUserNamespace(pod.spec)) CheckProcMount(pod);
}

void SeLinux(const PodToCheck& pod, std::span<const std::string_view> allowed) {
  std::set<std::string> types;
  bool user = false;
  bool role = false;
  const auto bad = [&](const Value& context) {
    const Value& options = context.At("seLinuxOptions");
    if (options.is_null()) return false;
    const std::string_view type = options.At("type").AsString();
    const bool fits = std::ranges::find(allowed, type) != allowed.end();
    if (!fits) types.emplace(type);
    const bool sets_user = !options.At("user").AsString().empty();
    const bool sets_role = !options.At("role").AsString().empty();
    user = user || sets_user;
    role = role || sets_role;
    return !fits || sets_user || sets_role;
  };
  const bool own = bad(pod.spec.At("securityContext"));
  Texts containers;
  for (const Value* container : ContainersOf(pod.spec)) {
    if (bad(container->At("securityContext"))) containers.push_back(NameOfContainer(*container));
  }
  const Texts setters = Setters(own, containers);
  if (setters.empty()) return;
  Texts what;
  if (!types.empty()) {
    what.push_back(fmt::format("{} {}", Plural("type", "types", types.size()), Quoted(Sorted(types))));
  }
  if (user) what.emplace_back("user may not be set");
  if (role) what.emplace_back("role may not be set");
  pod.out.push_back({"seLinuxOptions", fmt::format("{} set forbidden securityContext.seLinuxOptions: {}",
                                                   fmt::join(setters, " and "), fmt::join(what, "; "))});
}

constexpr std::array<std::string_view, 5> kSeLinuxTypes = {"", "container_t", "container_init_t", "container_kvm_t",
                                                           "container_engine_t"};
void SeLinux0(const PodToCheck& pod) { SeLinux(pod, std::span(kSeLinuxTypes).first(4)); }
void SeLinux31(const PodToCheck& pod) { SeLinux(pod, kSeLinuxTypes); }

void SeccompAnnotations(const PodToCheck& pod) {
  std::set<std::string> forbidden;
  const auto take = [&](const std::string& key) {
    const Value* found = pod.metadata.At("annotations").Find(key);
    if (found == nullptr) return;
    const std::string_view value = found->AsString();
    if (value == "runtime/default" || value == "docker/default" || value.starts_with("localhost/")) return;
    forbidden.insert(fmt::format("{}={}", key, GoQuote(value)));
  };
  take("seccomp.security.alpha.kubernetes.io/pod");
  for (const Value* container : ContainersOf(pod.spec)) {
    take("container.seccomp.security.alpha.kubernetes.io/" + NameOfContainer(*container));
  }
  if (forbidden.empty()) return;
  pod.out.push_back(
      {"seccompProfile", fmt::format("forbidden {} {}", Plural("annotation", "annotations", forbidden.size()),
                                     fmt::join(forbidden, ", "))});
}

void Seccomp(const PodToCheck& pod) {
  std::set<std::string> values;
  const auto bad = [&](const Value& context) {
    const Value& profile = context.At("seccompProfile");
    if (profile.is_null() || IsAllowedSeccomp(profile.At("type").AsString())) return false;
    values.emplace(profile.At("type").AsString());
    return true;
  };
  const bool own = bad(pod.spec.At("securityContext"));
  Texts containers;
  for (const Value* container : ContainersOf(pod.spec)) {
    if (bad(container->At("securityContext"))) containers.push_back(NameOfContainer(*container));
  }
  const Texts setters = Setters(own, containers);
  if (setters.empty()) return;
  pod.out.push_back({"seccompProfile", fmt::format("{} must not set securityContext.seccompProfile.type to {}",
                                                   fmt::join(setters, " and "), Quoted(Sorted(values)))});
}

// In the order in which they came to be allowed.
constexpr std::array<std::string_view, 12> kSysctls = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
};
template <size_t kAllowed>
void Sysctls(const PodToCheck& pod) {
  const auto allowed = std::span(kSysctls).first(kAllowed);
  Texts forbidden;
  for (const Value& each : pod.spec.Get("securityContext", "sysctls").items()) {
    const std::string_view name = each.At("name").AsString();
    if (std::ranges::find(allowed, name) == allowed.end()) forbidden.emplace_back(name);
  }
  if (!forbidden.empty()) pod.out.push_back({"forbidden sysctls", fmt::format("{}", fmt::join(forbidden, ", "))});
}

void HostProcess(const PodToCheck& pod) {
  const auto bad = [](const Value& context) { return context.Get("windowsOptions", "hostProcess").AsBool(); };
  Texts containers;
  for (const Value* container : ContainersOf(pod.spec)) {
    if (bad(container->At("securityContext"))) containers.push_back(NameOfContainer(*container));
  }
  const Texts setters = Setters(bad(pod.spec.At("securityContext")), containers);
  if (setters.empty()) return;
  pod.out.push_back({"hostProcess", fmt::format("{} must not set securityContext.windowsOptions.hostProcess=true",
                                                fmt::join(setters, " and "))});
}

}  // namespace

bool IsAllowedSeccomp(std::string_view type) { return type == "Localhost" || type == "RuntimeDefault"; }

void CheckProcMount(const PodToCheck& pod) {
  Texts containers;
  std::set<std::string> types;
  for (const Value* container : ContainersOf(pod.spec)) {
    const Value& mount = container->Get("securityContext", "procMount");
    if (mount.is_null() || mount.AsString() == "Default") continue;
    containers.push_back(NameOfContainer(*container));
    types.emplace(mount.AsString());
  }
  if (containers.empty()) return;
  pod.out.push_back({"procMount", fmt::format("{} must not set securityContext.procMount to {}",
                                              ContainersText(containers), Quoted(Sorted(types)))});
}

std::vector<VersionedRule> BaselineRules() {
  return {
      {"appArmorProfile", 0, AppArmor},
      {"capabilities_baseline", 0, Capabilities},
      {"hostNamespaces", 0, HostNamespaces},
      {"hostPathVolumes", 0, HostPaths},
      {"hostPorts", 0, HostPorts},
      {"hostProbesAndHostLifecycle", 34, HostProbes},
      {"privileged", 0, Privileged},
      {"procMount", 0, CheckProcMount},
      {"procMount", 35, ProcMountUnlessUserNamespace},
      {"seLinuxOptions", 0, SeLinux0},
      {"seLinuxOptions", 31, SeLinux31},
      {"seccompProfile_baseline", 0, SeccompAnnotations},
      {"seccompProfile_baseline", 19, Seccomp},
      {"sysctls", 0, Sysctls<5>},
      {"sysctls", 27, Sysctls<6>},
      {"sysctls", 29, Sysctls<10>},
      {"sysctls", 32, Sysctls<12>},
      {"windowsHostProcess", 0, HostProcess},
  };
}

}  // namespace knarr::apiserver
