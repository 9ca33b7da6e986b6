#pragma once

// From a pod's container to what the runtime is asked to make.

#include <map>
#include <string>
#include <vector>

#include "api/core_v1.h"
#include "api/resource_list.h"
#include "base/status.h"
#include "node/environment.h"
#include "node/volumes.h"
#include "runtime/runtime.h"

namespace knarr::node {

inline constexpr std::string_view kClusterDomain = "cluster.local";

struct ContainerInputs {
  std::string image_id;
  uint32_t attempt = 0;
  Environment environment;
  int64_t machine_memory = 0;
  api::ResourceList huge_pages;             ///< those the machine has
  bool recursive_read_only = true;          ///< the runtime can do it
  std::map<size_t, std::string> sub_paths;  ///< what to mount instead of a whole volume, by the mount's number
  std::string seccomp_directory;            ///< where Localhost profiles lie
  std::string termination_log;  ///< mounted at the container's terminationMessagePath
  std::string hosts_file;     ///< mounted at /etc/hosts unless the pod mounts something there; "" none
  std::string resolv_file;    ///< at /etc/resolv.conf
  std::string hostname_file;  ///< at /etc/hostname
};

/// BadRequest when the spec asks for what can't be (a mount of an unknown volume, a bad quantity).
Result<runtime::ContainerSpec> MakeContainerSpec(api::core_v1::Pod pod, api::core_v1::Container container,
                                                 const PodVolumes& volumes, const ContainerInputs& inputs);

/// What runAsNonRoot asks for, of the user that the spec or the image names: BadRequest with the kubelet's words.
Ok CheckNonRoot(api::core_v1::Pod pod, api::core_v1::Container container, std::string_view image_user);

/// The runtime's labels of our containers and sandboxes, as the kubelet names them.
std::map<std::string, std::string> PodLabels(api::core_v1::Pod pod);

/// The text of the pod's /etc/hosts; in the host's network it begins with the node's own, `node_hosts`.
std::string HostsFile(api::core_v1::Pod pod, std::string_view pod_ip, std::string_view node_hosts = {});
/// spec.hostnameOverride, spec.hostname or the pod's name, cut to 63 bytes. In the host's network it is not used.
std::string HostnameOf(api::core_v1::Pod pod);
/// The name the kernel gives the pod's machine: with setHostnameAsFQDN the whole one. BadRequest when that is too long.
Result<std::string> KernelHostnameOf(api::core_v1::Pod pod);

}  // namespace knarr::node
