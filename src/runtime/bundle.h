#pragma once

// A container's OCI config.json, as containerd would write it for the same pod, and an exec's process.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "image/store.h"
#include "runtime/kernel.h"
#include "runtime/runtime.h"

namespace knarr::runtime {

/// What a container shares with its pod.
struct BundleSandbox {
  std::string hostname;
  int infra_pid = 0;
  NamespaceMode network = NamespaceMode::kPod;
  NamespaceMode pid = NamespaceMode::kNode;
  bool pid_per_container = true;
  int pid_target = 0;  ///< a process whose PID namespace is joined; 0 for none
  NamespaceMode ipc = NamespaceMode::kPod;
  std::string shm_path;  ///< the pod's /dev/shm
  std::optional<IdRange> user_namespace;  ///< the infra process' is joined
};

/// What this machine allows.
struct BundleHost {
  bool cgroup_v2 = false;
  bool swap_limit = false;
  uint64_t capability_mask = 0;
  /// The lowest oom_score_adj we may give (INT_MIN-like when there is no bound).
  int oom_score_min = -1000;
};

struct BundleSpec {
  const ContainerSpec* container = nullptr;
  const image::ImageConfig* image = nullptr;
  image::Store::User user;  ///< resolved, spec's overrides applied
  BundleSandbox sandbox;
  BundleHost host;
  std::string root_path;
  std::string cgroup_path;
  std::vector<MountSpec> extra_mounts;  ///< /etc/hostname and such, unless the spec mounts there itself
  std::string seccomp;  ///< the OCI seccomp object as JSON; "" for none
  std::vector<kernel::Device> devices;  ///< a privileged container's, and those that it is to have besides
};

/// What is hidden from a container, or only to be read, unless it is privileged or wants all of /proc.
std::span<const std::string_view> MaskedPaths();
std::span<const std::string_view> ReadOnlyPaths();

/// BadRequest: "no command specified".
Result<std::string> MakeConfig(const BundleSpec& spec);

/// The process of an exec: the container's own with another command. BadRequest for a config that is malformed.
Result<std::string> MakeExecProcess(std::string_view config, const std::vector<std::string>& command, bool tty);

}  // namespace knarr::runtime
