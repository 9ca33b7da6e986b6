#pragma once

// The container runtime as the node agent sees it, in the shape of CRI (api/cri_v1.api): sandboxes, containers, exec,
// events. The embedded engine (runtime/engine.h) implements it with our image store, overlayfs, a small shim a pod and
// an OCI runtime program.
//
// The engine keeps nothing in memory that it could not read again from its state folder and the shims: it may be killed
// at any moment and Open() finds everything that runs and everything that ended meanwhile.
//
// Calls suspend the fiber; they are made from one runtime (the node agent's).

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "rt/runtime.h"
#include "runtime/disk_usage.h"

namespace knarr::runtime {

enum class NamespaceMode : uint8_t { kPod, kNode };

struct DnsConfig {
  std::vector<std::string> servers;
  std::vector<std::string> searches;
  std::vector<std::string> options;
};

/// Limits written to a cgroup; 0 leaves a value at the kernel's default.
struct CgroupResources {
  int64_t cpu_shares = 0;    ///< v1 units (2…262144); turned into a v2 weight where needed
  int64_t cpu_quota_us = 0;  ///< a period's microseconds; 0: no quota
  int64_t cpu_period_us = 100000;
  int64_t memory_limit = 0;  ///< bytes
  int64_t pids_limit = 0;
  std::map<std::string, int64_t> huge_pages;  ///< bytes, by the size's name ("2MB"); 0 allows none
};

/// The ids of a user namespace: 0 … length−1 in it are first … first+length−1 on the machine, users and groups alike.
struct IdRange {
  uint32_t first = 0;
  uint32_t length = 0;
};

struct SandboxSpec {
  std::string pod_name;
  std::string pod_namespace;
  std::string pod_uid;
  uint32_t attempt = 0;
  std::string hostname;
  std::string log_directory;  ///< where the containers' logs go (made by the engine)
  std::string cgroup_parent;  ///< the pod's cgroup, as a path below each controller's root ("/knarr/burstable/pod…")
  CgroupResources pod_resources;
  NamespaceMode network = NamespaceMode::kPod;
  NamespaceMode pid =
      NamespaceMode::kNode;       ///< kPod: shareProcessNamespace; kNode: hostPID; see also pid_per_container
  bool pid_per_container = true;  ///< the default: each container has a PID namespace of its own
  NamespaceMode ipc = NamespaceMode::kPod;
  bool privileged = false;  ///< a container of it is
  /// A user namespace of the pod's own, which its other namespaces belong to; none: the node's.
  std::optional<IdRange> user_namespace;
  /// Kernel settings of the pod's own namespaces: "net.ipv4.tcp_syncookies" → "1".
  std::map<std::string, std::string> sysctls;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
};

/// Whether mounts made later on one side show on the other.
enum class MountPropagation : uint8_t { kPrivate, kHostToContainer, kBidirectional };

struct MountSpec {
  std::string host_path;
  std::string container_path;
  bool read_only = false;
  MountPropagation propagation = MountPropagation::kPrivate;
  bool recursive_read_only = false;  ///< mounts below it, too
  /// In a pod with a user namespace: its files' owners are ids of the machine, which the namespace shows as its own.
  /// Otherwise they are shown as if they were the namespace's.
  bool ids_are_mapped = false;
};

/// A device of the node's that the container gets.
struct DeviceSpec {
  std::string host_path;
  std::string container_path;
  bool read_only = false;
};

enum class SeccompMode : uint8_t {
  kUnconfined,
  kRuntimeDefault,  ///< the engine's own profile
  kLocalhost,       ///< the file's
};

struct SecuritySpec {
  bool privileged = false;
  bool read_only_root = false;
  bool no_new_privileges = false;
  std::optional<int64_t> run_as_user;
  std::optional<int64_t> run_as_group;
  std::vector<int64_t> supplemental_groups;
  bool image_groups = true;  ///< also those that the image's /etc/group puts the user in
  SeccompMode seccomp = SeccompMode::kUnconfined;
  std::string seccomp_file;      ///< kLocalhost: the OCI seccomp object as JSON
  std::string apparmor_profile;  ///< "" for none of our choice
  bool unmasked_proc = false;    ///< all of /proc is seen, and may be written to
  std::vector<std::string> add_capabilities;  ///< "NET_ADMIN", "ALL"
  std::vector<std::string> drop_capabilities;
};

struct ContainerSpec {
  std::string name;
  uint32_t attempt = 0;              ///< restart count: log file name, labels
  std::string image;                 ///< the image id from image::Store ("sha256:…")
  std::vector<std::string> command;  ///< replaces the image's ENTRYPOINT when not empty
  std::vector<std::string> args;     ///< replaces the image's CMD when not empty
  std::string working_directory;
  std::vector<std::string> environment;  ///< "NAME=value", added over the image's
  std::vector<MountSpec> mounts;
  std::vector<DeviceSpec> devices;
  CgroupResources resources;
  SecuritySpec security;
  /// A running container of the same sandbox whose processes it sees, where each has a PID namespace of its own.
  std::string pid_target;
  bool stdin_open = false;
  bool stdin_once = false;
  bool tty = false;
  std::string log_path;     ///< relative to the sandbox's log_directory ("web/0.log")
  std::string stop_signal;  ///< "" takes the image's, or SIGTERM
  int oom_score_adjust = 0;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
};

enum class SandboxState : uint8_t { kReady, kNotReady };
enum class ContainerState : uint8_t { kCreated, kRunning, kExited, kUnknown };

struct SandboxStatus {
  std::string id;
  SandboxState state = SandboxState::kNotReady;
  std::string pod_name;
  std::string pod_namespace;
  std::string pod_uid;
  uint32_t attempt = 0;
  WallTime created;
  std::string network_namespace;  ///< a path to join ("/run/…/netns"), "" for the node's
  int infra_pid = 0;
  std::map<std::string, std::string> annotations;
};

/// Who a container's first process is.
struct ContainerUser {
  int64_t uid = 0;
  int64_t gid = 0;
  std::vector<int64_t> groups;  ///< with gid
};

struct ContainerStatus {
  std::string id;
  std::string sandbox_id;
  std::string name;
  uint32_t attempt = 0;
  ContainerState state = ContainerState::kUnknown;
  std::string image;  ///< as the spec said
  int pid = 0;
  WallTime created;
  WallTime started;
  WallTime finished;
  int exit_code = 0;   ///< 128+n for signal n
  std::string reason;  ///< "OOMKilled", "Error", "Completed", "ContainerCannotRun"
  std::string message;
  std::string log_path;  ///< absolute
  std::optional<ContainerUser> user;
  std::map<std::string, std::string> annotations;
};

enum class EventType : uint8_t { kContainerStarted, kContainerExited, kSandboxExited };
struct ContainerEvent {
  EventType type;
  std::string sandbox_id;
  std::string pod_uid;
  std::string container_id;  ///< "" for a sandbox's
};

/// The other end of an exec with streams, or of what is attached to.
class ExecSession {
 public:
  virtual ~ExecSession() = default;
  struct Chunk {
    int fd = 1;  ///< 1 stdout, 2 stderr
    std::string data;
  };
  /// Output as it comes; an empty data once both streams have ended.
  virtual Result<Chunk> Read() = 0;
  virtual Ok WriteStdin(std::string_view data) = 0;
  virtual void CloseStdin() = 0;
  virtual Ok Resize(uint16_t columns, uint16_t rows) = 0;
  /// Suspends until the process has ended: its exit code (128+n for a signal).
  virtual Result<int> Wait() = 0;
  /// Kills the process if it runs still.
  virtual void Close() = 0;
};

struct ExecSpec {
  std::vector<std::string> command;
  bool stdin_open = false;
  bool tty = false;
};

struct AttachSpec {
  bool stdin_open = false;
  bool stdout_open = true;
  bool stderr_open = true;
  /// The container's input ends with this session's, unless it is a terminal.
  bool stdin_once = false;
};

struct ExecResult {
  int exit_code = 0;
  std::string output;  ///< stdout and stderr as they came, at most the limit
};

struct CgroupUsage {
  int64_t cpu_ns = 0;
  int64_t memory_bytes = 0;              ///< usage
  int64_t memory_working_set_bytes = 0;  ///< less inactive file pages
};

/// What not every runtime or machine can do.
struct RuntimeFeatures {
  bool recursive_read_only_mounts = false;
  bool user_namespaces = false;
};

class Runtime {
 public:
  virtual ~Runtime() = default;

  /// Makes the namespaces and the cgroup, and starts the infra process that holds them. The network namespace is empty
  /// but for lo: the caller sets it up (network::PodNetwork) before containers are started.
  virtual Result<SandboxStatus> RunSandbox(const SandboxSpec& spec) = 0;
  /// Kills what still runs in it and ends the infra process; idempotent.
  virtual Ok StopSandbox(const std::string& id) = 0;
  /// Removes a stopped sandbox, its containers, cgroup, mounts and files; idempotent.
  virtual Ok RemoveSandbox(const std::string& id) = 0;
  virtual Result<std::vector<SandboxStatus>> ListSandboxes() = 0;
  /// New limits for the pod's control group.
  virtual Ok UpdateSandbox(const std::string& id, const CgroupResources& resources) = 0;
  /// What the pod's control group uses.
  virtual Result<CgroupUsage> SandboxUsage(const std::string& id) = 0;

  /// Mounts the root file system and writes the OCI bundle; the id of the container.
  virtual Result<std::string> CreateContainer(const std::string& sandbox_id, const ContainerSpec& spec) = 0;
  /// InternalError with reason text "ContainerCannotRun: …" when the program can't be started.
  virtual Ok StartContainer(const std::string& id) = 0;
  /// Stop signal, then SIGKILL after `grace`; returns when it has ended; idempotent. `grace` 0 kills at once.
  virtual Ok StopContainer(const std::string& id, Duration grace) = 0;
  virtual Ok RemoveContainer(const std::string& id) = 0;
  virtual Result<ContainerStatus> GetContainer(const std::string& id) = 0;
  virtual Result<std::vector<ContainerStatus>> ListContainers(const std::string& sandbox_id = {}) = 0;
  virtual Ok UpdateContainer(const std::string& id, const CgroupResources& resources) = 0;
  /// Makes the container's log go on in a new file (the old one was renamed).
  virtual Ok ReopenLog(const std::string& id) = 0;

  virtual Result<std::unique_ptr<ExecSession>> Exec(const std::string& id, const ExecSpec& spec) = 0;
  /// The streams of a running container. What it wrote before is in its log only. Read ends with the container (or,
  /// when the input may go on without us, with CloseStdin), Wait is 0 then; Close leaves it running.
  virtual Result<std::unique_ptr<ExecSession>> Attach(const std::string& id, const AttachSpec& spec) = 0;
  /// Runs to the end within `timeout` (then killed: Timeout); for probes.
  virtual Result<ExecResult> ExecSync(const std::string& id, const std::vector<std::string>& command, Duration timeout,
                                      size_t output_max = 16 << 10) = 0;
  virtual Result<CgroupUsage> Usage(const std::string& id) = 0;
  /// What the container has written into its root file system.
  virtual Result<DiskUse> Written(const std::string& id) = 0;

  /// The next event; within a millisecond of what happened. One reader. Events that happened while nobody was
  /// connected are found by ListContainers, not here.
  virtual Result<ContainerEvent> NextEvent() = 0;

  /// "knarr", and the versions of the engine and the OCI runtime program ("crun 1.8.1").
  virtual std::string name() const = 0;
  virtual std::string version() const = 0;
  virtual RuntimeFeatures features() const = 0;
};

}  // namespace knarr::runtime
