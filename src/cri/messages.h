#pragma once

// The messages of CRI (runtime.v1), as far as a node sends or reads them; their fields' numbers are in messages.cc.
// Enums are plain numbers (an int32_t) whose known values are constants below.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cri/message.h"

namespace knarr::cri {

using StringMap = std::map<std::string, std::string>;

/// NamespaceMode.
inline constexpr int32_t kNamespacePod = 0;
inline constexpr int32_t kNamespaceContainer = 1;
inline constexpr int32_t kNamespaceNode = 2;
inline constexpr int32_t kNamespaceTarget = 3;  ///< that of the container target_id
/// MountPropagation.
inline constexpr int32_t kPropagationPrivate = 0;
inline constexpr int32_t kPropagationHostToContainer = 1;
inline constexpr int32_t kPropagationBidirectional = 2;
/// SecurityProfile.ProfileType.
inline constexpr int32_t kProfileRuntimeDefault = 0;
inline constexpr int32_t kProfileUnconfined = 1;
inline constexpr int32_t kProfileLocalhost = 2;
/// SupplementalGroupsPolicy.
inline constexpr int32_t kGroupsMerge = 0;
inline constexpr int32_t kGroupsStrict = 1;
/// PodSandboxState.
inline constexpr int32_t kSandboxReady = 0;
inline constexpr int32_t kSandboxNotReady = 1;
/// ContainerState.
inline constexpr int32_t kContainerCreated = 0;
inline constexpr int32_t kContainerRunning = 1;
inline constexpr int32_t kContainerExited = 2;
inline constexpr int32_t kContainerUnknown = 3;
/// CgroupDriver.
inline constexpr int32_t kDriverSystemd = 0;
inline constexpr int32_t kDriverCgroupfs = 1;

/// The number of a signal's name ("SIGTERM"); 0, the runtime's own choice, for one that CRI does not know.
int32_t SignalNumber(std::string_view name);

struct Empty {
  static const Message kMessage;
};

struct VersionRequest {
  std::string version;
  static const Message kMessage;
};
struct VersionResponse {
  std::string version, runtime_name, runtime_version, runtime_api_version;
  static const Message kMessage;
};

// ---- Sandboxes ----

struct IdMapping {  ///< IDMapping
  uint32_t host_id = 0, container_id = 0, length = 0;
  static const Message kMessage;
};
struct UserNamespace {
  int32_t mode = kNamespacePod;  ///< or kNamespaceNode
  std::vector<IdMapping> uids, gids;
  static const Message kMessage;
};
struct NamespaceOption {
  int32_t network = 0, pid = 0, ipc = 0;
  std::string target_id;
  std::optional<UserNamespace> users;
  static const Message kMessage;
};
struct SecurityProfile {
  int32_t type = kProfileRuntimeDefault;
  std::string localhost_ref;
  static const Message kMessage;
};
struct HugepageLimit {
  std::string page_size;
  uint64_t limit = 0;
  static const Message kMessage;
};
struct LinuxContainerResources {
  int64_t cpu_period = 0, cpu_quota = 0, cpu_shares = 0, memory_limit = 0, oom_score_adj = 0, memory_swap_limit = 0;
  std::vector<HugepageLimit> hugepage_limits;
  StringMap unified;
  static const Message kMessage;
};
struct LinuxSandboxSecurityContext {
  NamespaceOption namespaces;
  std::optional<int64_t> run_as_user, run_as_group;
  bool read_only_root = false;
  std::vector<int64_t> supplemental_groups;
  bool privileged = false;
  std::optional<SecurityProfile> seccomp;
  static const Message kMessage;
};
struct LinuxPodSandboxConfig {
  std::string cgroup_parent;
  LinuxSandboxSecurityContext security;
  StringMap sysctls;
  LinuxContainerResources resources;
  static const Message kMessage;
};
struct PodSandboxMetadata {
  std::string name, uid, ns;
  uint32_t attempt = 0;
  static const Message kMessage;
};
struct PodSandboxConfig {
  PodSandboxMetadata metadata;
  std::string hostname, log_directory;
  StringMap labels, annotations;
  LinuxPodSandboxConfig linux_config;
  static const Message kMessage;
};
struct RunPodSandboxRequest {
  PodSandboxConfig config;
  std::string runtime_handler;
  static const Message kMessage;
};
struct SandboxId {  ///< RunPodSandboxResponse, StopPodSandboxRequest, RemovePodSandboxRequest
  std::string id;
  static const Message kMessage;
};
struct PodSandboxStatusRequest {
  std::string id;
  bool verbose = false;
  static const Message kMessage;
};
struct PodSandboxNetworkStatus {
  std::string ip;
  static const Message kMessage;
};
struct LinuxNamespaces {  ///< Namespace
  NamespaceOption options;
  static const Message kMessage;
};
struct LinuxPodSandboxStatus {
  LinuxNamespaces namespaces;
  static const Message kMessage;
};
struct PodSandboxStatus {
  std::string id;
  PodSandboxMetadata metadata;
  int32_t state = 0;
  int64_t created_at = 0;
  PodSandboxNetworkStatus network;
  LinuxPodSandboxStatus linux_status;
  StringMap labels, annotations;
  static const Message kMessage;
};
struct PodSandboxStatusResponse {
  std::optional<PodSandboxStatus> status;
  StringMap info;
  static const Message kMessage;
};
struct UpdatePodSandboxResourcesRequest {
  std::string id;
  LinuxContainerResources resources;
  static const Message kMessage;
};
struct PodSandboxFilter {
  std::string id;
  StringMap labels;
  static const Message kMessage;
};
struct ListPodSandboxRequest {
  PodSandboxFilter filter;
  static const Message kMessage;
};
struct PodSandbox {
  std::string id;
  PodSandboxMetadata metadata;
  int32_t state = 0;
  int64_t created_at = 0;
  StringMap labels, annotations;
  static const Message kMessage;
};
struct ListPodSandboxResponse {
  std::vector<PodSandbox> items;
  static const Message kMessage;
};

// ---- Containers ----

struct ImageSpec {
  std::string image;
  StringMap annotations;
  std::string user_specified_image;
  static const Message kMessage;
};
struct KeyValue {
  std::string key;
  Bytes value;
  static const Message kMessage;
};
struct Mount {
  std::string container_path, host_path;
  bool read_only = false;
  int32_t propagation = kPropagationPrivate;
  std::vector<IdMapping> uids, gids;
  bool recursive_read_only = false;
  static const Message kMessage;
};
struct Device {
  std::string container_path, host_path, permissions;
  static const Message kMessage;
};
struct Capability {
  std::vector<std::string> add, drop;
  static const Message kMessage;
};
struct LinuxContainerSecurityContext {
  Capability capabilities;
  bool privileged = false;
  NamespaceOption namespaces;
  std::optional<int64_t> run_as_user, run_as_group;
  bool read_only_root = false;
  std::vector<int64_t> supplemental_groups;
  int32_t supplemental_groups_policy = kGroupsMerge;
  bool no_new_privileges = false;
  std::vector<std::string> masked_paths, read_only_paths;
  std::optional<SecurityProfile> seccomp, apparmor;
  static const Message kMessage;
};
struct LinuxContainerConfig {
  LinuxContainerResources resources;
  LinuxContainerSecurityContext security;
  static const Message kMessage;
};
struct ContainerMetadata {
  std::string name;
  uint32_t attempt = 0;
  static const Message kMessage;
};
struct ContainerConfig {
  ContainerMetadata metadata;
  ImageSpec image;
  std::vector<std::string> command, args;
  std::string working_directory;
  std::vector<KeyValue> environment;
  std::vector<Mount> mounts;
  std::vector<Device> devices;
  StringMap labels, annotations;
  std::string log_path;
  bool stdin_open = false, stdin_once = false, tty = false;
  LinuxContainerConfig linux_config;
  int32_t stop_signal = 0;
  static const Message kMessage;
};
struct CreateContainerRequest {
  std::string sandbox_id;
  ContainerConfig config;
  PodSandboxConfig sandbox_config;
  static const Message kMessage;
};
/// CreateContainerResponse, and the requests Start-, RemoveContainer, ReopenContainerLog, ContainerStats.
struct ContainerId {
  std::string id;
  static const Message kMessage;
};
struct StopContainerRequest {
  std::string id;
  int64_t timeout = 0;
  static const Message kMessage;
};
struct ContainerFilter {
  std::string id, sandbox_id;
  StringMap labels;
  static const Message kMessage;
};
struct ListContainersRequest {
  ContainerFilter filter;
  static const Message kMessage;
};
struct Container {
  std::string id, sandbox_id;
  ContainerMetadata metadata;
  ImageSpec image;
  std::string image_ref;
  int32_t state = 0;
  int64_t created_at = 0;
  StringMap labels, annotations;
  static const Message kMessage;
};
struct ListContainersResponse {
  std::vector<Container> containers;
  static const Message kMessage;
};
struct ContainerStatusRequest {
  std::string id;
  bool verbose = false;
  static const Message kMessage;
};
struct LinuxContainerUser {
  int64_t uid = 0, gid = 0;
  std::vector<int64_t> groups;
  static const Message kMessage;
};
struct ContainerUser {
  std::optional<LinuxContainerUser> linux_user;
  static const Message kMessage;
};
struct ContainerStatus {
  std::string id;
  ContainerMetadata metadata;
  int32_t state = 0;
  int64_t created_at = 0, started_at = 0, finished_at = 0;
  int32_t exit_code = 0;
  ImageSpec image;
  std::string image_ref, reason, message;
  StringMap labels, annotations;
  std::string log_path;
  ContainerUser user;  ///< containerd from 2.0 on
  static const Message kMessage;
};
struct ContainerStatusResponse {
  std::optional<ContainerStatus> status;
  StringMap info;
  static const Message kMessage;
};
struct UpdateContainerResourcesRequest {
  std::string id;
  LinuxContainerResources linux_resources;
  static const Message kMessage;
};
struct ExecSyncRequest {
  std::string id;
  std::vector<std::string> command;
  int64_t timeout = 0;
  static const Message kMessage;
};
struct ExecSyncResponse {
  Bytes out, err;
  int32_t exit_code = 0;
  static const Message kMessage;
};
struct ExecRequest {
  std::string id;
  std::vector<std::string> command;
  bool tty = false, stdin_open = false, stdout_open = false, stderr_open = false;
  static const Message kMessage;
};
struct AttachRequest {
  std::string id;
  bool stdin_open = false, tty = false, stdout_open = false, stderr_open = false;
  static const Message kMessage;
};
/// ExecResponse, AttachResponse.
struct StreamingUrl {
  std::string url;
  static const Message kMessage;
};

// ---- Stats ----

struct UInt64Value {
  uint64_t value = 0;
  static const Message kMessage;
};
struct CpuUsage {
  int64_t timestamp = 0;
  UInt64Value usage_core_nanoseconds;
  static const Message kMessage;
};
struct MemoryUsage {
  int64_t timestamp = 0;
  UInt64Value working_set_bytes, usage_bytes;
  static const Message kMessage;
};
struct FilesystemIdentifier {
  std::string mountpoint;
  static const Message kMessage;
};
struct FilesystemUsage {
  int64_t timestamp = 0;
  FilesystemIdentifier filesystem;
  UInt64Value used_bytes, inodes_used;
  static const Message kMessage;
};
struct ContainerStats {
  CpuUsage cpu;
  MemoryUsage memory;
  FilesystemUsage writable_layer;
  static const Message kMessage;
};
struct ContainerStatsResponse {
  std::optional<ContainerStats> stats;
  static const Message kMessage;
};
struct ImageFsInfoResponse {
  std::vector<FilesystemUsage> image_filesystems;
  static const Message kMessage;
};

// ---- The runtime ----

struct StatusRequest {
  bool verbose = false;
  static const Message kMessage;
};
struct RuntimeCondition {
  std::string type;
  bool status = false;
  std::string reason, message;
  static const Message kMessage;
};
struct RuntimeStatus {
  std::vector<RuntimeCondition> conditions;
  static const Message kMessage;
};
struct RuntimeHandlerFeatures {
  bool recursive_read_only_mounts = false, user_namespaces = false;
  static const Message kMessage;
};
struct RuntimeHandler {
  std::string name;
  RuntimeHandlerFeatures features;
  static const Message kMessage;
};
struct StatusResponse {
  RuntimeStatus status;
  StringMap info;
  std::vector<RuntimeHandler> handlers;
  static const Message kMessage;
};
struct LinuxRuntimeConfiguration {
  int32_t cgroup_driver = kDriverSystemd;
  static const Message kMessage;
};
struct RuntimeConfigResponse {
  std::optional<LinuxRuntimeConfiguration> linux_configuration;
  static const Message kMessage;
};
struct ContainerEventResponse {
  std::string container_id;
  int32_t type = 0;
  static const Message kMessage;
};
/// containerd's own events and snapshots, in its API beside CRI.
struct SubscribeRequest {
  std::vector<std::string> filters;
  static const Message kMessage;
};
struct AnyValue {
  std::string type_url;
  Bytes value;
  static const Message kMessage;
};
struct EventEnvelope {
  std::string ns, topic;
  AnyValue event;
  static const Message kMessage;
};
struct TaskExit {
  std::string container_id, id;
  static const Message kMessage;
};

struct ViewSnapshotRequest {
  std::string snapshotter, key, parent;
  static const Message kMessage;
};
struct SnapshotMount {
  std::string type, source;
  std::vector<std::string> options;
  static const Message kMessage;
};
struct ViewSnapshotResponse {
  std::vector<SnapshotMount> mounts;
  static const Message kMessage;
};
struct RemoveSnapshotRequest {
  std::string snapshotter, key;
  static const Message kMessage;
};

// ---- Images ----

struct Image {
  std::string id;
  std::vector<std::string> repo_tags, repo_digests;
  uint64_t size = 0;
  std::optional<int64_t> uid;
  std::string username;
  static const Message kMessage;
};
struct ListImagesResponse {
  std::vector<Image> images;
  static const Message kMessage;
};
struct ImageStatusRequest {
  ImageSpec image;
  bool verbose = false;
  static const Message kMessage;
};
struct ImageStatusResponse {
  std::optional<Image> image;
  StringMap info;
  static const Message kMessage;
};
struct AuthConfig {
  std::string username, password;
  static const Message kMessage;
};
struct PullImageRequest {
  ImageSpec image;
  std::optional<AuthConfig> auth;
  static const Message kMessage;
};
struct PullImageResponse {
  std::string image_ref;
  static const Message kMessage;
};
struct RemoveImageRequest {
  ImageSpec image;
  static const Message kMessage;
};

}  // namespace knarr::cri
