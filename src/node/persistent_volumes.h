#pragma once

// Volumes of a pod that are claims (also those made for the pod): what stands behind them, and how it is shown. Folders
// of this node's disk (local, hostPath) are used where they are, unless the volume has mount options; devices and NFS
// are mounted below the pod's own folder, where they go with the pod. Of a block volume the path is its device's.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/core_v1.h"
#include "api/object.h"
#include "base/status.h"
#include "client/client.h"
#include "rt/runtime.h"
#include "rt/sync.h"

namespace knarr::node {

/// A claim of the pod's with its volume.
struct ClaimedVolume {
  api::ObjectPtr claim;
  api::ObjectPtr volume;
};

/// The errors are the kubelet's: "error processing PVC default/data: PVC is not bound".
Result<ClaimedVolume> FindClaimedVolume(client::Client& client, api::core_v1::Pod pod, api::core_v1::Volume volume);

/// Where and for whom a volume is shown.
struct VolumePlace {
  std::string target;             ///< the folder to mount upon, where that is needed
  std::string node_name;
  std::optional<uint32_t> group;  ///< the pod's fsGroup
  bool group_always = true;       ///< and whether all files get it each time
  bool read_only = false;
  /// Taken while the kernel asks a server: one that does not answer keeps one thread of the pool, and no more. Null:
  /// there is nobody else.
  rt::Mutex* asking = nullptr;
};

/// Makes the volume ready; the path that containers get. The errors say what upstream says behind "MountVolume.… : ".
Result<std::string> ShowPersistentVolume(rt::Runtime& runtime, client::Client& client,
                                         api::core_v1::PersistentVolume volume, const VolumePlace& place);

/// The path of a hostPath, of a type that it is (or is made).
Result<std::string> ShowHostPath(rt::Runtime& runtime, api::core_v1::HostPathVolumeSource source);

/// An NFS export at the target. "mount failed: …" with what was tried, as the kubelet says it.
Ok MountNfs(rt::Runtime& runtime, api::core_v1::NFSVolumeSource source, const std::vector<std::string>& options,
            const VolumePlace& place);

/// What mount options mean to the kernel: flags, and the text that the file system reads itself.
struct MountOptions {
  uint64_t flags = 0;
  std::string data;
};
MountOptions ParseMountOptions(const std::vector<std::string>& options);

}  // namespace knarr::node
