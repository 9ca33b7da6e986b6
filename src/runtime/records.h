#pragma once

// What the engine and the shim keep in the state folder, from which a new engine finds everything again:
//
//   sandboxes/<id>/sandbox.json   written before anything of the sandbox is made
//   sandboxes/<id>/sysctls        lines of name=value for the infra process, when the pod sets some
//   sandboxes/<id>/shim.pid       by the shim, once the infra process runs: from here on the sandbox exists
//   sandboxes/<id>/stopped        by the engine, when it has been stopped
//   sandboxes/<id>/<container>/container.json, config.json, upper, work, rootfs
//   sandboxes/<id>/<container>/started, exit   by the shim
//   sandboxes/<id>/<container>/start_error     by the engine: when it failed, and why
//   oci/                          the OCI runtime's own state
//   cgroup-mounts                 v1 hierarchies that we mounted

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "runtime/runtime.h"

namespace knarr::runtime {

struct SandboxRecord {
  std::string id;
  std::string boot_id;  ///< of the boot it ran under
  WallTime created;
  SandboxSpec spec;  ///< without resources
};

struct ContainerRecord {
  std::string id;
  std::string sandbox_id;
  WallTime created;
  std::string name;
  uint32_t attempt = 0;
  std::string image;
  std::string log_path;  ///< absolute, or ""
  std::string cgroup_path;
  std::string stop_signal;  ///< resolved: never ""
  std::string program;      ///< the first argument, for messages
  bool tty = false;
  bool stdin_open = false;
  std::optional<ContainerUser> user;  ///< those made by an older engine have none
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
};

std::string ToJson(const SandboxRecord& record);
Result<SandboxRecord> ParseSandboxRecord(std::string_view text);
std::string ToJson(const ContainerRecord& record);
Result<ContainerRecord> ParseContainerRecord(std::string_view text);

/// shim.pid
struct ShimPids {
  int shim = 0;
  uint64_t shim_start = 0;
  int infra = 0;
  uint64_t infra_start = 0;
};
Result<ShimPids> ParseShimPids(std::string_view text);

/// started
struct StartRecord {
  int pid = 0;
  uint64_t start = 0;
  WallTime when;
};
Result<StartRecord> ParseStartRecord(std::string_view text);

/// exit
struct ExitRecord {
  int code = 0;
  WallTime when;
  bool oom = false;
};
Result<ExitRecord> ParseExitRecord(std::string_view text);

/// The number of a signal by name ("SIGTERM", "TERM", "RTMIN+3") or number; BadRequest for anything else.
Result<int> SignalNumber(std::string_view name);

}  // namespace knarr::runtime
