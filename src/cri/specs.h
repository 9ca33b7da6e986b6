#pragma once

// From what the node asks for to what CRI takes, and back.

#include <string>

#include "base/status.h"
#include "cri/messages.h"
#include "runtime/runtime.h"

namespace knarr::cri {

/// Which cluster's a sandbox or container is; others' in the same runtime are left alone.
inline constexpr const char* kClusterLabel = "io.knarr.cluster";
/// The sandbox's whole config (base64 of its message): containers are made with it, also by a later agent.
inline constexpr const char* kConfigAnnotation = "io.knarr.sandbox-config";
/// The image that the container was asked for with, and whether it has a terminal.
inline constexpr const char* kImageAnnotation = "io.knarr.image";
inline constexpr const char* kTtyAnnotation = "io.knarr.tty";

/// What of the machine decides how limits are written.
struct Limits {
  bool swap = false;  ///< memory and swap can be limited together
};

PodSandboxConfig MakeSandboxConfig(const runtime::SandboxSpec& spec, const std::string& cluster, const Limits& limits);
/// The config that the annotations hold. BadRequest for a sandbox that is none of ours.
Result<PodSandboxConfig> ConfigFrom(const StringMap& annotations);
CreateContainerRequest MakeContainerRequest(const std::string& sandbox_id, const PodSandboxConfig& sandbox,
                                            const runtime::ContainerSpec& spec, const std::string& cluster,
                                            const Limits& limits);
/// What is 0 is left out, and stays as it is in an update: the API lets nobody take a limit away.
LinuxContainerResources ResourcesOf(const runtime::CgroupResources& resources, const Limits& limits);

runtime::SandboxStatus StatusOf(const PodSandbox& sandbox);
/// The answer with its verbose part, which names the process and the network namespace: as containerd and CRI-O have
/// it, "" and 0 where the runtime does not say.
runtime::SandboxStatus StatusOf(const PodSandboxStatusResponse& answer);
/// `sandbox_id` stands in lists only.
runtime::ContainerStatus StatusOf(const ContainerStatus& status, const std::string& sandbox_id);
/// The first process of whom a verbose answer is about; 0 when that is not said.
int PidIn(const StringMap& info);
/// A container that the runtime has lost has ended, as the kubelet takes it.
runtime::ContainerState StateOf(int32_t state);

}  // namespace knarr::cri
