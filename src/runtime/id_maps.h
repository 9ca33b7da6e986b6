#pragma once

// Files shown with other owners: what belongs to 0 … length−1 on the disk belongs to the ids of a user namespace
// where it is mounted, and the other way round. The mounts are made here that are overlays: a container's root, and
// image volumes; the rest crun maps (bundle.cc). Blocking, like everything in kernel.h.
//
// An overlay can't be mapped itself, but its layers can (Linux 5.19). They are mounted aside, mapped, for as long as it
// takes to make the overlay of them, which holds them itself from then on.

#include <string>
#include <vector>

#include "base/status.h"
#include "rt/owned_fd.h"
#include "runtime/kernel.h"
#include "runtime/runtime.h"

namespace knarr::runtime::kernel {

/// The user namespace that a process is in.
Result<rt::OwnedFd> UserNamespaceOf(int pid);
/// A new one, that nobody is in.
Result<rt::OwnedFd> MakeUserNamespace(const IdRange& ids);

/// As MountOverlay, of layers that belong to the namespace. `upper` is not mapped, and should belong to its root: what
/// a container writes belongs to the ids that it has outside. `aside` is a folder that is there meanwhile.
Ok MountMappedOverlay(const std::vector<std::string>& layers, const std::string& upper, const std::string& work,
                      const std::string& target, const rt::OwnedFd& user_namespace, const std::string& aside);
/// As MountLayers.
Ok MountMappedLayers(const std::vector<std::string>& layers, const std::string& target,
                     const rt::OwnedFd& user_namespace, const std::string& aside);

/// Whether this machine can do all that a pod with a user namespace needs: why not, if not. It is tried out in the
/// folder, which is left for the caller to remove.
Ok TryUserNamespaces(const std::string& directory);

/// The mount points below a folder that is shown in containers.
std::vector<std::string> MountsInside(const std::vector<MountPoint>& mounts, const std::string& directory);

}  // namespace knarr::runtime::kernel
