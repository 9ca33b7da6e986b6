#pragma once

// Starting the OCI runtime program, and the small files beside a container.

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

namespace knarr::shim {

struct SpawnOptions {
  const char* const* argv = nullptr;
  int stdin_fd = -1;  ///< -1: /dev/null
  int stdout_fd = -1;
  int stderr_fd = -1;
  const char* oom_score_adj = nullptr;  ///< nullptr: the shim's own
};

/// The child, with default signals; -1 and errno when fork fails. A program that is missing ends it with 127.
pid_t Spawn(const SpawnOptions& options);

/// A listening socket at `path` on which the OCI runtime hands over a terminal; -1 and errno on failure.
int ListenConsole(const char* path);
/// Takes the terminal that waits on a console socket; -1 when there is none.
int TakeConsole(int listener);

/// The whole number in a small file; -1 when it is absent or holds none.
int64_t ReadNumberFile(const char* path);
/// The number after `key` in a file of "key number" lines; 0 when there is none.
int64_t ReadCounter(const char* path, const char* key);
/// What the OCI runtime wrote into its log (the end of it, as text); how it ended when that is nothing.
void ReadTail(const char* path, int exit_code, char* out, size_t size);
/// Writes the file aside and renames it into place: 0 or errno.
int WriteFileAtomic(const char* path, const char* temporary, const char* text);
/// When the process began, in clock ticks since boot (with the pid: what names it for good); 0 when it is gone.
uint64_t ProcessStart(pid_t pid);
/// Sends SIGKILL to every process of a cgroup.procs file, again until it is empty or `rounds` are over.
void KillGroup(const char* procs_file, int rounds);

int64_t NowNs();

}  // namespace knarr::shim
