#pragma once

// The embedded engine: our image store, overlayfs, a shim a pod (runtime/shim/shim.h) and an OCI runtime program.
//
// A sandbox is a folder (runtime/records.h says what is in it), a shim that works in it, and the infra process that
// holds the pod's namespaces. A container is a folder in that, an overlay mounted there, and a process the shim is the
// parent of. The engine holds a picture of all that in memory, kept up to date by the shims' events, and draws it anew
// from the folders and the shims when it is opened: it may be killed at any moment, and so may a shim (its containers
// are then found by their control group, and end with the sandbox).

#include <memory>
#include <string>

#include "base/status.h"
#include "image/store.h"
#include "rt/runtime.h"
#include "runtime/runtime.h"

namespace knarr::runtime {

struct EngineOptions {
  std::string state_directory;         ///< "<data>/run"
  std::string shim_path;               ///< "": knarr-shim beside this program
  std::string oci_runtime = "crun";    ///< a path or a name in PATH
  std::string cgroup_root = "/knarr";  ///< below which every pod's group lies
};

class Engine : public Runtime {
 public:
  /// Finds what runs and what ended, and removes what was half made. ServiceUnavailable when the machine lacks
  /// something (control groups, the OCI runtime, the shim), saying what. Both must outlive it. Made, used and destroyed
  /// on a fiber of `runtime`.
  static Result<std::unique_ptr<Engine>> Open(rt::Runtime& runtime, image::Store& images, EngineOptions options);

  /// Whether a container is made from the image: for image::Store::Remove.
  virtual bool UsesImage(const std::string& image_id) const = 0;
};

/// Kills every sandbox and container and removes every mount, control group and file of the engine: uninstall. Works
/// without an engine, also after a crash; idempotent. REQUIRES: no engine is open on that folder.
Ok RemoveEverything(rt::Runtime& runtime, const EngineOptions& options);

}  // namespace knarr::runtime
