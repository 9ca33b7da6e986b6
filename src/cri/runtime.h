#pragma once

// A container runtime of another process (containerd, CRI-O), spoken to by CRI: runtime/runtime.h over its socket.
//
// Nothing is kept here that the runtime could not be asked for again. What CRI has no place for is kept by the runtime
// for us, in annotations (specs.h); a label says which cluster's a sandbox is, so that several may share a runtime.
//
// Pods' control groups are made, limited and removed here, as the kubelet does: CRI's runtimes make the containers'
// below them. The network of a sandbox is set up while it is made, by the CNI plugin (cni.h): PodNetwork::Attach finds
// that done.
//
// Events: CRI's own where the runtime has them (containerd from 1.7 on), otherwise containerd's (of 1.6, on the same
// socket), and both only say that it is time to list what there is; without either it is listed every second, as the
// kubelet does it.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cri/channel.h"
#include "rt/runtime.h"
#include "runtime/cgroup.h"
#include "runtime/runtime.h"

namespace knarr::cri {

struct RuntimeOptions {
  std::string cluster;  ///< tells this cluster's sandboxes from another's
  /// Where pods' limits go; nullopt leaves control groups alone: for tests.
  std::optional<runtime::Cgroups> cgroups;
  std::string cgroup_root;  ///< what all pods' groups lie below: removed with everything
  /// How long the runtime is waited for.
  Duration patience = std::chrono::seconds(20);
};

/// What the runtime says about itself, in its verbose status.
struct RuntimePlaces {
  std::string cni_configs = "/etc/cni/net.d";
  std::string cni_plugins = "/opt/cni/bin";
};

class Runtime : public runtime::Runtime {
 public:
  /// Waits for the runtime to answer. ServiceUnavailable when it does not, or can't be used with what is wrong. The
  /// channel must outlive it. Made, used and destroyed on fibers of one runtime.
  static Result<std::unique_ptr<Runtime>> Open(rt::Runtime& runtime, Channel& channel, RuntimeOptions options);

  virtual Result<RuntimePlaces> Places() = 0;
  /// Until pods can have a network.
  virtual Ok WaitNetwork(Duration patience) = 0;
};

/// Every sandbox that the runtime has, other clusters' and other clients' too.
Result<std::vector<std::string>> ListAllSandboxes(Channel& channel);

/// Stops and removes every sandbox of the cluster, and their control groups: uninstall.
Ok RemoveEverything(rt::Runtime& runtime, Runtime& containers, const RuntimeOptions& options);

}  // namespace knarr::cri
