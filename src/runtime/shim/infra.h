#pragma once

// The infra process ("pause"): a child of the shim that does nothing but hold the pod's namespaces (and be process 1 of
// a shared PID namespace, where it reaps). It has no rights, no files and an empty root, and dies with the shim.

#include <stddef.h>
#include <sys/types.h>

namespace knarr::shim {

struct InfraOptions {
  int clone_flags = 0;        ///< CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWPID, CLONE_NEWUSER
  const char* hostname = "";  ///< set where the UTS namespace is new
  const char* root = "root";  ///< an empty directory
  /// Lines of file=value below /proc/sys, set in the new namespaces; fine if there is no such file.
  const char* sysctls = "sysctls";
  /// Where CLONE_NEWUSER is among the flags: its line for uid_map and gid_map, "0 <first> <length>".
  char ids[48] = "";
};

/// The process, once its namespaces are ready (lo is up); -1 with the reason in `error`.
pid_t StartInfra(const InfraOptions& options, char* error, size_t error_size);

}  // namespace knarr::shim
