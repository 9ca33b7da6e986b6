#pragma once

// One file or folder inside a volume, mounted instead of the whole (subPath). What lies in a volume belongs to whoever
// writes to it: a symbolic link there must never lead out, not even for a moment.

#include <map>
#include <string>

#include "api/core_v1.h"
#include "base/status.h"
#include "node/environment.h"
#include "node/volumes.h"
#include "rt/runtime.h"

namespace knarr::node {

/// The mount's subPath, or its subPathExpr with the container's variables put in; "" for neither. BadRequest with the
/// kubelet's words.
Result<std::string> SubPathOf(api::core_v1::VolumeMount mount, const Environment& environment);

/// Opens `sub_path` below the folder `volume` (missing folders are made, like the volume's own) and binds what was
/// opened to `target`. Blocking.
Ok BindSubPath(const std::string& volume, const std::string& sub_path, const std::string& target);

/// Binds what the container's mounts pick, below `directory` (the pod's); where, by the mount's number. The errors say
/// nothing of the node's files.
Result<std::map<size_t, std::string>> BindSubPaths(rt::Runtime& runtime, api::core_v1::Container container,
                                                   const PodVolumes& volumes, const Environment& environment,
                                                   const std::string& directory);

}  // namespace knarr::node
