#include "runtime/capabilities.h"

#include <algorithm>
#include <iterator>

#include "base/strings.h"

namespace knarr::runtime {

namespace {

// By number (linux/capability.h).
constexpr std::string_view kNames[] = {"CAP_CHOWN",
                                       "CAP_DAC_OVERRIDE",
                                       "CAP_DAC_READ_SEARCH",
                                       "CAP_FOWNER",
                                       "CAP_FSETID",
                                       "CAP_KILL",
                                       "CAP_SETGID",
                                       "CAP_SETUID",
                                       "CAP_SETPCAP",
                                       "CAP_LINUX_IMMUTABLE",
                                       "CAP_NET_BIND_SERVICE",
                                       "CAP_NET_BROADCAST",
                                       "CAP_NET_ADMIN",
                                       "CAP_NET_RAW",
                                       "CAP_IPC_LOCK",
                                       "CAP_IPC_OWNER",
                                       "CAP_SYS_MODULE",
                                       "CAP_SYS_RAWIO",
                                       "CAP_SYS_CHROOT",
                                       "CAP_SYS_PTRACE",
                                       "CAP_SYS_PACCT",
                                       "CAP_SYS_ADMIN",
                                       "CAP_SYS_BOOT",
                                       "CAP_SYS_NICE",
                                       "CAP_SYS_RESOURCE",
                                       "CAP_SYS_TIME",
                                       "CAP_SYS_TTY_CONFIG",
                                       "CAP_MKNOD",
                                       "CAP_LEASE",
                                       "CAP_AUDIT_WRITE",
                                       "CAP_AUDIT_CONTROL",
                                       "CAP_SETFCAP",
                                       "CAP_MAC_OVERRIDE",
                                       "CAP_MAC_ADMIN",
                                       "CAP_SYSLOG",
                                       "CAP_WAKE_ALARM",
                                       "CAP_BLOCK_SUSPEND",
                                       "CAP_AUDIT_READ",
                                       "CAP_PERFMON",
                                       "CAP_BPF",
                                       "CAP_CHECKPOINT_RESTORE"};

constexpr std::string_view kDefault[] = {"CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
                                         "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
                                         "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
                                         "CAP_KILL",    "CAP_AUDIT_WRITE"};

constexpr uint64_t kAll = (uint64_t{1} << std::size(kNames)) - 1;

// The bits of one entry of an add or drop list; nothing for an unknown name (the kernel could not know it either).
uint64_t Bits(std::string_view name) {
  const std::string upper = ToUpper(name);
  if (upper == "ALL" || upper == "CAP_ALL") return kAll;
  const int number = CapabilityNumber(upper.starts_with("CAP_") ? upper : "CAP_" + upper);
  return number < 0 ? 0 : uint64_t{1} << number;
}

std::vector<std::string> Names(uint64_t bits) {
  std::vector<std::string> out;
  for (size_t i = 0; i < std::size(kNames); i++) {
    if ((bits >> i & 1) != 0) out.emplace_back(kNames[i]);
  }
  return out;
}

}  // namespace

int CapabilityNumber(std::string_view name) {
  for (size_t i = 0; i < std::size(kNames); i++) {
    if (kNames[i] == name) return static_cast<int>(i);
  }
  return -1;
}

std::vector<std::string> ContainerCapabilities(const std::vector<std::string>& add,
                                               const std::vector<std::string>& drop, uint64_t mask) {
  uint64_t bits = 0;
  for (const std::string_view name : kDefault) bits |= Bits(name);
  // As containerd: "ALL" of either list first, so that the other can take single ones back; what is on both is dropped.
  const auto all = [](const std::string& name) { return Bits(name) == kAll; };
  if (std::ranges::any_of(add, all)) bits = kAll;
  if (std::ranges::any_of(drop, all)) bits = 0;
  for (const std::string& name : add) bits |= all(name) ? 0 : Bits(name);
  for (const std::string& name : drop) bits &= all(name) ? kAll : ~Bits(name);
  return Names(bits & mask);
}

std::vector<std::string> AllCapabilities(uint64_t mask) { return Names(kAll & mask); }

}  // namespace knarr::runtime
