#include "node/admission.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;

struct SafeSysctl {
  std::string_view name;
  bool ipc = false;  // else of the network
};
// The kubelet's list of what a pod may set without harm to others.
constexpr SafeSysctl kSafeSysctls[] = {
    {"kernel.shm_rmid_forced", true},
    {"net.ipv4.ip_local_port_range"},
    {"net.ipv4.tcp_syncookies"},
    {"net.ipv4.ping_group_range"},
    {"net.ipv4.ip_unprivileged_port_start"},
    {"net.ipv4.ip_local_reserved_ports"},
    {"net.ipv4.tcp_keepalive_time"},
    {"net.ipv4.tcp_fin_timeout"},
    {"net.ipv4.tcp_keepalive_intvl"},
    {"net.ipv4.tcp_keepalive_probes"},
    {"net.ipv4.tcp_rmem"},
    {"net.ipv4.tcp_wmem"},
};

std::optional<std::string> RefuseSysctl(Pod pod, std::string_view wanted) {
  const std::string name = NormalSysctlName(wanted);
  const auto* safe = std::ranges::find(kSafeSysctls, name, &SafeSysctl::name);
  if (safe == std::end(kSafeSysctls)) return fmt::format("forbidden sysctl: {} not allowlisted", GoQuote(name));
  if (!(safe->ipc ? pod.spec().host_ipc() : pod.spec().host_network())) return std::nullopt;
  return fmt::format("forbidden sysctl: {} not allowed with host {} enabled", GoQuote(name), safe->ipc ? "IPC" : "Net");
}

bool Confines(api::core_v1::AppArmorProfile profile) { return profile && profile.type() != "Unconfined"; }

bool AsksForAppArmor(Pod pod) {
  const auto asks = [](auto containers) {
    for (const auto container : containers) {
      if (Confines(container.security_context().app_armor_profile())) return true;
    }
    return false;
  };
  const auto spec = pod.spec();
  return Confines(spec.security_context().app_armor_profile()) || asks(spec.init_containers()) ||
         asks(spec.containers()) || asks(spec.ephemeral_containers());
}

}  // namespace

std::string NormalSysctlName(std::string_view name) {
  std::string out(name);
  const size_t separator = out.find_first_of("./");
  if (separator == std::string::npos || out[separator] == '.') return out;
  for (char& letter : out) letter = letter == '.' ? '/' : letter == '/' ? '.' : letter;
  return out;
}

std::optional<Rejection> Refuse(Pod pod, bool apparmor) {
  for (const auto sysctl : pod.spec().security_context().sysctls()) {
    if (auto refused = RefuseSysctl(pod, sysctl.name())) return Rejection{"SysctlForbidden", std::move(*refused)};
  }
  if (!apparmor && AsksForAppArmor(pod)) {
    return Rejection{"AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host"};
  }
  return std::nullopt;
}

}  // namespace knarr::node
