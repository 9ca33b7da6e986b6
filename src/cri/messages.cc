#include "cri/messages.h"

#include <algorithm>
#include <iterator>

#include "base/strings.h"

// The fields' numbers are those of CRI's api.proto; containerd's own messages are in its events' api.

namespace knarr::cri {
namespace {

template <size_t N>
constexpr Message Table(std::string_view name, const Field (&fields)[N]) {
  return {name, fields};
}

constexpr Field kVersionRequest[] = {F<&VersionRequest::version>(1)};
constexpr Field kVersionResponse[] = {F<&VersionResponse::version>(1), F<&VersionResponse::runtime_name>(2),
                                      F<&VersionResponse::runtime_version>(3),
                                      F<&VersionResponse::runtime_api_version>(4)};
constexpr Field kIdMapping[] = {F<&IdMapping::host_id>(1), F<&IdMapping::container_id>(2), F<&IdMapping::length>(3)};
constexpr Field kUserNamespace[] = {F<&UserNamespace::mode>(1), F<&UserNamespace::uids>(2),
                                    F<&UserNamespace::gids>(3)};
constexpr Field kNamespaceOption[] = {F<&NamespaceOption::network>(1), F<&NamespaceOption::pid>(2),
                                      F<&NamespaceOption::ipc>(3), F<&NamespaceOption::target_id>(4),
                                      F<&NamespaceOption::users>(5)};
constexpr Field kSecurityProfile[] = {F<&SecurityProfile::type>(1), F<&SecurityProfile::localhost_ref>(2)};
constexpr Field kHugepageLimit[] = {F<&HugepageLimit::page_size>(1), F<&HugepageLimit::limit>(2)};
constexpr Field kLinuxContainerResources[] = {
    F<&LinuxContainerResources::cpu_period>(1),    F<&LinuxContainerResources::cpu_quota>(2),
    F<&LinuxContainerResources::cpu_shares>(3),    F<&LinuxContainerResources::memory_limit>(4),
    F<&LinuxContainerResources::oom_score_adj>(5), F<&LinuxContainerResources::hugepage_limits>(8),
    F<&LinuxContainerResources::unified>(9),       F<&LinuxContainerResources::memory_swap_limit>(10)};
constexpr Field kLinuxSandboxSecurityContext[] = {
    F<&LinuxSandboxSecurityContext::namespaces>(1),     F<&LinuxSandboxSecurityContext::run_as_user>(3),
    F<&LinuxSandboxSecurityContext::read_only_root>(4), F<&LinuxSandboxSecurityContext::supplemental_groups>(5),
    F<&LinuxSandboxSecurityContext::privileged>(6),     F<&LinuxSandboxSecurityContext::run_as_group>(8),
    F<&LinuxSandboxSecurityContext::seccomp>(9)};
constexpr Field kLinuxPodSandboxConfig[] = {
    F<&LinuxPodSandboxConfig::cgroup_parent>(1), F<&LinuxPodSandboxConfig::security>(2),
    F<&LinuxPodSandboxConfig::sysctls>(3), F<&LinuxPodSandboxConfig::resources>(5)};
constexpr Field kPodSandboxMetadata[] = {F<&PodSandboxMetadata::name>(1), F<&PodSandboxMetadata::uid>(2),
                                         F<&PodSandboxMetadata::ns>(3), F<&PodSandboxMetadata::attempt>(4)};
constexpr Field kPodSandboxConfig[] = {F<&PodSandboxConfig::metadata>(1),      F<&PodSandboxConfig::hostname>(2),
                                       F<&PodSandboxConfig::log_directory>(3), F<&PodSandboxConfig::labels>(6),
                                       F<&PodSandboxConfig::annotations>(7),   F<&PodSandboxConfig::linux_config>(8)};
constexpr Field kRunPodSandboxRequest[] = {F<&RunPodSandboxRequest::config>(1),
                                           F<&RunPodSandboxRequest::runtime_handler>(2)};
constexpr Field kSandboxId[] = {F<&SandboxId::id>(1)};
constexpr Field kPodSandboxStatusRequest[] = {F<&PodSandboxStatusRequest::id>(1),
                                              F<&PodSandboxStatusRequest::verbose>(2)};
constexpr Field kPodSandboxNetworkStatus[] = {F<&PodSandboxNetworkStatus::ip>(1)};
constexpr Field kLinuxNamespaces[] = {F<&LinuxNamespaces::options>(2)};
constexpr Field kLinuxPodSandboxStatus[] = {F<&LinuxPodSandboxStatus::namespaces>(1)};
constexpr Field kPodSandboxStatus[] = {F<&PodSandboxStatus::id>(1),      F<&PodSandboxStatus::metadata>(2),
                                       F<&PodSandboxStatus::state>(3),   F<&PodSandboxStatus::created_at>(4),
                                       F<&PodSandboxStatus::network>(5), F<&PodSandboxStatus::linux_status>(6),
                                       F<&PodSandboxStatus::labels>(7),  F<&PodSandboxStatus::annotations>(8)};
constexpr Field kPodSandboxStatusResponse[] = {F<&PodSandboxStatusResponse::status>(1),
                                               F<&PodSandboxStatusResponse::info>(2)};
constexpr Field kUpdatePodSandboxResourcesRequest[] = {F<&UpdatePodSandboxResourcesRequest::id>(1),
                                                       F<&UpdatePodSandboxResourcesRequest::resources>(3)};
constexpr Field kPodSandboxFilter[] = {F<&PodSandboxFilter::id>(1), F<&PodSandboxFilter::labels>(3)};
constexpr Field kListPodSandboxRequest[] = {F<&ListPodSandboxRequest::filter>(1)};
constexpr Field kPodSandbox[] = {F<&PodSandbox::id>(1),     F<&PodSandbox::metadata>(2),
                                 F<&PodSandbox::state>(3),  F<&PodSandbox::created_at>(4),
                                 F<&PodSandbox::labels>(5), F<&PodSandbox::annotations>(6)};
constexpr Field kListPodSandboxResponse[] = {F<&ListPodSandboxResponse::items>(1)};
constexpr Field kImageSpec[] = {F<&ImageSpec::image>(1), F<&ImageSpec::annotations>(2),
                                F<&ImageSpec::user_specified_image>(18)};
constexpr Field kKeyValue[] = {F<&KeyValue::key>(1), F<&KeyValue::value>(2)};
constexpr Field kMount[] = {F<&Mount::container_path>(1), F<&Mount::host_path>(2), F<&Mount::read_only>(3),
                            F<&Mount::propagation>(5),    F<&Mount::uids>(6),      F<&Mount::gids>(7),
                            F<&Mount::recursive_read_only>(8)};
constexpr Field kDevice[] = {F<&Device::container_path>(1), F<&Device::host_path>(2), F<&Device::permissions>(3)};
constexpr Field kCapability[] = {F<&Capability::add>(1), F<&Capability::drop>(2)};
constexpr Field kLinuxContainerSecurityContext[] = {F<&LinuxContainerSecurityContext::capabilities>(1),
                                                    F<&LinuxContainerSecurityContext::privileged>(2),
                                                    F<&LinuxContainerSecurityContext::namespaces>(3),
                                                    F<&LinuxContainerSecurityContext::run_as_user>(5),
                                                    F<&LinuxContainerSecurityContext::read_only_root>(7),
                                                    F<&LinuxContainerSecurityContext::supplemental_groups>(8),
                                                    F<&LinuxContainerSecurityContext::no_new_privileges>(11),
                                                    F<&LinuxContainerSecurityContext::run_as_group>(12),
                                                    F<&LinuxContainerSecurityContext::masked_paths>(13),
                                                    F<&LinuxContainerSecurityContext::read_only_paths>(14),
                                                    F<&LinuxContainerSecurityContext::seccomp>(15),
                                                    F<&LinuxContainerSecurityContext::apparmor>(16),
                                                    F<&LinuxContainerSecurityContext::supplemental_groups_policy>(17)};
constexpr Field kLinuxContainerConfig[] = {F<&LinuxContainerConfig::resources>(1),
                                           F<&LinuxContainerConfig::security>(2)};
constexpr Field kContainerMetadata[] = {F<&ContainerMetadata::name>(1), F<&ContainerMetadata::attempt>(2)};
constexpr Field kContainerConfig[] = {F<&ContainerConfig::metadata>(1),
                                      F<&ContainerConfig::image>(2),
                                      F<&ContainerConfig::command>(3),
                                      F<&ContainerConfig::args>(4),
                                      F<&ContainerConfig::working_directory>(5),
                                      F<&ContainerConfig::environment>(6),
                                      F<&ContainerConfig::mounts>(7),
                                      F<&ContainerConfig::devices>(8),
                                      F<&ContainerConfig::labels>(9),
                                      F<&ContainerConfig::annotations>(10),
                                      F<&ContainerConfig::log_path>(11),
                                      F<&ContainerConfig::stdin_open>(12),
                                      F<&ContainerConfig::stdin_once>(13),
                                      F<&ContainerConfig::tty>(14),
                                      F<&ContainerConfig::linux_config>(15),
                                      F<&ContainerConfig::stop_signal>(18)};
constexpr Field kCreateContainerRequest[] = {F<&CreateContainerRequest::sandbox_id>(1),
                                             F<&CreateContainerRequest::config>(2),
                                             F<&CreateContainerRequest::sandbox_config>(3)};
constexpr Field kContainerId[] = {F<&ContainerId::id>(1)};
constexpr Field kStopContainerRequest[] = {F<&StopContainerRequest::id>(1), F<&StopContainerRequest::timeout>(2)};
constexpr Field kContainerFilter[] = {F<&ContainerFilter::id>(1), F<&ContainerFilter::sandbox_id>(3),
                                      F<&ContainerFilter::labels>(4)};
constexpr Field kListContainersRequest[] = {F<&ListContainersRequest::filter>(1)};
constexpr Field kContainer[] = {
    F<&Container::id>(1),         F<&Container::sandbox_id>(2), F<&Container::metadata>(3),
    F<&Container::image>(4),      F<&Container::image_ref>(5),  F<&Container::state>(6),
    F<&Container::created_at>(7), F<&Container::labels>(8),     F<&Container::annotations>(9)};
constexpr Field kListContainersResponse[] = {F<&ListContainersResponse::containers>(1)};
constexpr Field kContainerStatusRequest[] = {F<&ContainerStatusRequest::id>(1), F<&ContainerStatusRequest::verbose>(2)};
constexpr Field kLinuxContainerUser[] = {F<&LinuxContainerUser::uid>(1), F<&LinuxContainerUser::gid>(2),
                                         F<&LinuxContainerUser::groups>(3)};
constexpr Field kContainerUser[] = {F<&ContainerUser::linux_user>(1)};
constexpr Field kContainerStatus[] = {
    F<&ContainerStatus::id>(1),           F<&ContainerStatus::metadata>(2),   F<&ContainerStatus::state>(3),
    F<&ContainerStatus::created_at>(4),   F<&ContainerStatus::started_at>(5), F<&ContainerStatus::finished_at>(6),
    F<&ContainerStatus::exit_code>(7),    F<&ContainerStatus::image>(8),      F<&ContainerStatus::image_ref>(9),
    F<&ContainerStatus::reason>(10),      F<&ContainerStatus::message>(11),   F<&ContainerStatus::labels>(12),
    F<&ContainerStatus::annotations>(13), F<&ContainerStatus::log_path>(15),  F<&ContainerStatus::user>(18)};
constexpr Field kContainerStatusResponse[] = {F<&ContainerStatusResponse::status>(1),
                                              F<&ContainerStatusResponse::info>(2)};
constexpr Field kUpdateContainerResourcesRequest[] = {F<&UpdateContainerResourcesRequest::id>(1),
                                                      F<&UpdateContainerResourcesRequest::linux_resources>(2)};
constexpr Field kExecSyncRequest[] = {F<&ExecSyncRequest::id>(1), F<&ExecSyncRequest::command>(2),
                                      F<&ExecSyncRequest::timeout>(3)};
constexpr Field kExecSyncResponse[] = {F<&ExecSyncResponse::out>(1), F<&ExecSyncResponse::err>(2),
                                       F<&ExecSyncResponse::exit_code>(3)};
constexpr Field kExecRequest[] = {F<&ExecRequest::id>(1),          F<&ExecRequest::command>(2),
                                  F<&ExecRequest::tty>(3),         F<&ExecRequest::stdin_open>(4),
                                  F<&ExecRequest::stdout_open>(5), F<&ExecRequest::stderr_open>(6)};
constexpr Field kAttachRequest[] = {F<&AttachRequest::id>(1), F<&AttachRequest::stdin_open>(2),
                                    F<&AttachRequest::tty>(3), F<&AttachRequest::stdout_open>(4),
                                    F<&AttachRequest::stderr_open>(5)};
constexpr Field kStreamingUrl[] = {F<&StreamingUrl::url>(1)};
constexpr Field kUInt64Value[] = {F<&UInt64Value::value>(1)};
constexpr Field kCpuUsage[] = {F<&CpuUsage::timestamp>(1), F<&CpuUsage::usage_core_nanoseconds>(2)};
constexpr Field kMemoryUsage[] = {F<&MemoryUsage::timestamp>(1), F<&MemoryUsage::working_set_bytes>(2),
                                  F<&MemoryUsage::usage_bytes>(4)};
constexpr Field kFilesystemIdentifier[] = {F<&FilesystemIdentifier::mountpoint>(1)};
constexpr Field kFilesystemUsage[] = {F<&FilesystemUsage::timestamp>(1), F<&FilesystemUsage::filesystem>(2),
                                      F<&FilesystemUsage::used_bytes>(3), F<&FilesystemUsage::inodes_used>(4)};
constexpr Field kImageFsInfoResponse[] = {F<&ImageFsInfoResponse::image_filesystems>(1)};
constexpr Field kContainerStats[] = {F<&ContainerStats::cpu>(2), F<&ContainerStats::memory>(3),
                                     F<&ContainerStats::writable_layer>(4)};
constexpr Field kContainerStatsResponse[] = {F<&ContainerStatsResponse::stats>(1)};
constexpr Field kStatusRequest[] = {F<&StatusRequest::verbose>(1)};
constexpr Field kRuntimeCondition[] = {F<&RuntimeCondition::type>(1), F<&RuntimeCondition::status>(2),
                                       F<&RuntimeCondition::reason>(3), F<&RuntimeCondition::message>(4)};
constexpr Field kRuntimeStatus[] = {F<&RuntimeStatus::conditions>(1)};
constexpr Field kRuntimeHandlerFeatures[] = {F<&RuntimeHandlerFeatures::recursive_read_only_mounts>(1),
                                             F<&RuntimeHandlerFeatures::user_namespaces>(2)};
constexpr Field kRuntimeHandler[] = {F<&RuntimeHandler::name>(1), F<&RuntimeHandler::features>(2)};
constexpr Field kStatusResponse[] = {F<&StatusResponse::status>(1), F<&StatusResponse::info>(2),
                                     F<&StatusResponse::handlers>(3)};
constexpr Field kLinuxRuntimeConfiguration[] = {F<&LinuxRuntimeConfiguration::cgroup_driver>(1)};
constexpr Field kRuntimeConfigResponse[] = {F<&RuntimeConfigResponse::linux_configuration>(1)};
constexpr Field kContainerEventResponse[] = {F<&ContainerEventResponse::container_id>(1),
                                             F<&ContainerEventResponse::type>(2)};
constexpr Field kSubscribeRequest[] = {F<&SubscribeRequest::filters>(1)};
constexpr Field kAnyValue[] = {F<&AnyValue::type_url>(1), F<&AnyValue::value>(2)};
constexpr Field kEventEnvelope[] = {F<&EventEnvelope::ns>(2), F<&EventEnvelope::topic>(3), F<&EventEnvelope::event>(4)};
constexpr Field kViewSnapshotRequest[] = {F<&ViewSnapshotRequest::snapshotter>(1), F<&ViewSnapshotRequest::key>(2),
                                          F<&ViewSnapshotRequest::parent>(3)};
constexpr Field kSnapshotMount[] = {F<&SnapshotMount::type>(1), F<&SnapshotMount::source>(2),
                                    F<&SnapshotMount::options>(4)};
constexpr Field kViewSnapshotResponse[] = {F<&ViewSnapshotResponse::mounts>(1)};
constexpr Field kRemoveSnapshotRequest[] = {F<&RemoveSnapshotRequest::snapshotter>(1),
                                            F<&RemoveSnapshotRequest::key>(2)};
constexpr Field kTaskExit[] = {F<&TaskExit::container_id>(1), F<&TaskExit::id>(2)};
constexpr Field kImage[] = {F<&Image::id>(1),   F<&Image::repo_tags>(2), F<&Image::repo_digests>(3),
                            F<&Image::size>(4), F<&Image::uid>(5),       F<&Image::username>(6)};
constexpr Field kListImagesResponse[] = {F<&ListImagesResponse::images>(1)};
constexpr Field kImageStatusRequest[] = {F<&ImageStatusRequest::image>(1), F<&ImageStatusRequest::verbose>(2)};
constexpr Field kImageStatusResponse[] = {F<&ImageStatusResponse::image>(1), F<&ImageStatusResponse::info>(2)};
constexpr Field kAuthConfig[] = {F<&AuthConfig::username>(1), F<&AuthConfig::password>(2)};
constexpr Field kPullImageRequest[] = {F<&PullImageRequest::image>(1), F<&PullImageRequest::auth>(2)};
constexpr Field kPullImageResponse[] = {F<&PullImageResponse::image_ref>(1)};
constexpr Field kRemoveImageRequest[] = {F<&RemoveImageRequest::image>(1)};

// CRI's numbers are the places in this list, from 1 on; those around the real-time signals follow it.
constexpr std::string_view kSignals[] = {
    "SIGABRT", "SIGALRM",   "SIGBUS",  "SIGCHLD",   "SIGCLD",   "SIGCONT", "SIGFPE",  "SIGHUP",  "SIGILL",
    "SIGINT",  "SIGIO",     "SIGIOT",  "SIGKILL",   "SIGPIPE",  "SIGPOLL", "SIGPROF", "SIGPWR",  "SIGQUIT",
    "SIGSEGV", "SIGSTKFLT", "SIGSTOP", "SIGSYS",    "SIGTERM",  "SIGTRAP", "SIGTSTP", "SIGTTIN", "SIGTTOU",
    "SIGURG",  "SIGUSR1",   "SIGUSR2", "SIGVTALRM", "SIGWINCH", "SIGXCPU", "SIGXFSZ", "SIGRTMIN"};
constexpr int32_t kRealTimeMin = 35;
constexpr int32_t kRealTimeMax = 65;
constexpr int32_t kPlusMost = 15;
constexpr int32_t kMinusMost = 14;

}  // namespace

constinit const Message Empty::kMessage = {"Empty", {}};
constinit const Message VersionRequest::kMessage = Table("VersionRequest", kVersionRequest);
constinit const Message VersionResponse::kMessage = Table("VersionResponse", kVersionResponse);
constinit const Message IdMapping::kMessage = Table("IDMapping", kIdMapping);
constinit const Message UserNamespace::kMessage = Table("UserNamespace", kUserNamespace);
constinit const Message NamespaceOption::kMessage = Table("NamespaceOption", kNamespaceOption);
constinit const Message SecurityProfile::kMessage = Table("SecurityProfile", kSecurityProfile);
constinit const Message HugepageLimit::kMessage = Table("HugepageLimit", kHugepageLimit);
constinit const Message LinuxContainerResources::kMessage = Table("LinuxContainerResources", kLinuxContainerResources);
constinit const Message LinuxSandboxSecurityContext::kMessage =
    Table("LinuxSandboxSecurityContext", kLinuxSandboxSecurityContext);
constinit const Message LinuxPodSandboxConfig::kMessage = Table("LinuxPodSandboxConfig", kLinuxPodSandboxConfig);
constinit const Message PodSandboxMetadata::kMessage = Table("PodSandboxMetadata", kPodSandboxMetadata);
constinit const Message PodSandboxConfig::kMessage = Table("PodSandboxConfig", kPodSandboxConfig);
constinit const Message RunPodSandboxRequest::kMessage = Table("RunPodSandboxRequest", kRunPodSandboxRequest);
constinit const Message SandboxId::kMessage = Table("SandboxId", kSandboxId);
constinit const Message PodSandboxStatusRequest::kMessage = Table("PodSandboxStatusRequest", kPodSandboxStatusRequest);
constinit const Message PodSandboxNetworkStatus::kMessage = Table("PodSandboxNetworkStatus", kPodSandboxNetworkStatus);
constinit const Message LinuxNamespaces::kMessage = Table("LinuxNamespaces", kLinuxNamespaces);
constinit const Message LinuxPodSandboxStatus::kMessage = Table("LinuxPodSandboxStatus", kLinuxPodSandboxStatus);
constinit const Message PodSandboxStatus::kMessage = Table("PodSandboxStatus", kPodSandboxStatus);
constinit const Message PodSandboxStatusResponse::kMessage =
    Table("PodSandboxStatusResponse", kPodSandboxStatusResponse);
constinit const Message UpdatePodSandboxResourcesRequest::kMessage =
    Table("UpdatePodSandboxResourcesRequest", kUpdatePodSandboxResourcesRequest);
constinit const Message PodSandboxFilter::kMessage = Table("PodSandboxFilter", kPodSandboxFilter);
constinit const Message ListPodSandboxRequest::kMessage = Table("ListPodSandboxRequest", kListPodSandboxRequest);
constinit const Message PodSandbox::kMessage = Table("PodSandbox", kPodSandbox);
constinit const Message ListPodSandboxResponse::kMessage = Table("ListPodSandboxResponse", kListPodSandboxResponse);
constinit const Message ImageSpec::kMessage = Table("ImageSpec", kImageSpec);
constinit const Message KeyValue::kMessage = Table("KeyValue", kKeyValue);
constinit const Message Mount::kMessage = Table("Mount", kMount);
constinit const Message Device::kMessage = Table("Device", kDevice);
constinit const Message Capability::kMessage = Table("Capability", kCapability);
constinit const Message LinuxContainerSecurityContext::kMessage =
    Table("LinuxContainerSecurityContext", kLinuxContainerSecurityContext);
constinit const Message LinuxContainerConfig::kMessage = Table("LinuxContainerConfig", kLinuxContainerConfig);
constinit const Message ContainerMetadata::kMessage = Table("ContainerMetadata", kContainerMetadata);
constinit const Message ContainerConfig::kMessage = Table("ContainerConfig", kContainerConfig);
constinit const Message CreateContainerRequest::kMessage = Table("CreateContainerRequest", kCreateContainerRequest);
constinit const Message ContainerId::kMessage = Table("ContainerId", kContainerId);
constinit const Message StopContainerRequest::kMessage = Table("StopContainerRequest", kStopContainerRequest);
constinit const Message ContainerFilter::kMessage = Table("ContainerFilter", kContainerFilter);
constinit const Message ListContainersRequest::kMessage = Table("ListContainersRequest", kListContainersRequest);
constinit const Message Container::kMessage = Table("Container", kContainer);
constinit const Message ListContainersResponse::kMessage = Table("ListContainersResponse", kListContainersResponse);
constinit const Message ContainerStatusRequest::kMessage = Table("ContainerStatusRequest", kContainerStatusRequest);
constinit const Message LinuxContainerUser::kMessage = Table("LinuxContainerUser", kLinuxContainerUser);
constinit const Message ContainerUser::kMessage = Table("ContainerUser", kContainerUser);
constinit const Message ContainerStatus::kMessage = Table("ContainerStatus", kContainerStatus);
constinit const Message ContainerStatusResponse::kMessage = Table("ContainerStatusResponse", kContainerStatusResponse);
constinit const Message UpdateContainerResourcesRequest::kMessage =
    Table("UpdateContainerResourcesRequest", kUpdateContainerResourcesRequest);
constinit const Message ExecSyncRequest::kMessage = Table("ExecSyncRequest", kExecSyncRequest);
constinit const Message ExecSyncResponse::kMessage = Table("ExecSyncResponse", kExecSyncResponse);
constinit const Message ExecRequest::kMessage = Table("ExecRequest", kExecRequest);
constinit const Message AttachRequest::kMessage = Table("AttachRequest", kAttachRequest);
constinit const Message StreamingUrl::kMessage = Table("StreamingUrl", kStreamingUrl);
constinit const Message UInt64Value::kMessage = Table("UInt64Value", kUInt64Value);
constinit const Message CpuUsage::kMessage = Table("CpuUsage", kCpuUsage);
constinit const Message MemoryUsage::kMessage = Table("MemoryUsage", kMemoryUsage);
constinit const Message FilesystemIdentifier::kMessage = Table("FilesystemIdentifier", kFilesystemIdentifier);
constinit const Message ImageFsInfoResponse::kMessage = Table("ImageFsInfoResponse", kImageFsInfoResponse);
constinit const Message FilesystemUsage::kMessage = Table("FilesystemUsage", kFilesystemUsage);
constinit const Message ContainerStats::kMessage = Table("ContainerStats", kContainerStats);
constinit const Message ContainerStatsResponse::kMessage = Table("ContainerStatsResponse", kContainerStatsResponse);
constinit const Message StatusRequest::kMessage = Table("StatusRequest", kStatusRequest);
constinit const Message RuntimeCondition::kMessage = Table("RuntimeCondition", kRuntimeCondition);
constinit const Message RuntimeStatus::kMessage = Table("RuntimeStatus", kRuntimeStatus);
constinit const Message RuntimeHandlerFeatures::kMessage = Table("RuntimeHandlerFeatures", kRuntimeHandlerFeatures);
constinit const Message RuntimeHandler::kMessage = Table("RuntimeHandler", kRuntimeHandler);
constinit const Message StatusResponse::kMessage = Table("StatusResponse", kStatusResponse);
constinit const Message LinuxRuntimeConfiguration::kMessage =
    Table("LinuxRuntimeConfiguration", kLinuxRuntimeConfiguration);
constinit const Message RuntimeConfigResponse::kMessage = Table("RuntimeConfigResponse", kRuntimeConfigResponse);
constinit const Message ContainerEventResponse::kMessage = Table("ContainerEventResponse", kContainerEventResponse);
constinit const Message SubscribeRequest::kMessage = Table("SubscribeRequest", kSubscribeRequest);
constinit const Message AnyValue::kMessage = Table("AnyValue", kAnyValue);
constinit const Message EventEnvelope::kMessage = Table("EventEnvelope", kEventEnvelope);
constinit const Message ViewSnapshotRequest::kMessage = Table("ViewSnapshotRequest", kViewSnapshotRequest);
constinit const Message SnapshotMount::kMessage = Table("SnapshotMount", kSnapshotMount);
constinit const Message ViewSnapshotResponse::kMessage = Table("ViewSnapshotResponse", kViewSnapshotResponse);
constinit const Message RemoveSnapshotRequest::kMessage = Table("RemoveSnapshotRequest", kRemoveSnapshotRequest);
constinit const Message TaskExit::kMessage = Table("TaskExit", kTaskExit);
constinit const Message Image::kMessage = Table("Image", kImage);
constinit const Message ListImagesResponse::kMessage = Table("ListImagesResponse", kListImagesResponse);
constinit const Message ImageStatusRequest::kMessage = Table("ImageStatusRequest", kImageStatusRequest);
constinit const Message ImageStatusResponse::kMessage = Table("ImageStatusResponse", kImageStatusResponse);
constinit const Message AuthConfig::kMessage = Table("AuthConfig", kAuthConfig);
constinit const Message PullImageRequest::kMessage = Table("PullImageRequest", kPullImageRequest);
constinit const Message PullImageResponse::kMessage = Table("PullImageResponse", kPullImageResponse);
constinit const Message RemoveImageRequest::kMessage = Table("RemoveImageRequest", kRemoveImageRequest);

int32_t SignalNumber(std::string_view name) {
  const auto* at = std::ranges::find(kSignals, name);
  if (at != std::end(kSignals)) return static_cast<int32_t>(at - std::begin(kSignals)) + 1;
  if (name == "SIGRTMAX") return kRealTimeMax;
  const auto offset = [&name](std::string_view prefix) {
    return name.starts_with(prefix) ? ParseInt<int32_t>(name.substr(prefix.size())).value_or(0) : 0;
  };
  if (const int32_t plus = offset("SIGRTMIN+"); plus >= 1 && plus <= kPlusMost) return kRealTimeMin + plus;
  if (const int32_t minus = offset("SIGRTMAX-"); minus >= 1 && minus <= kMinusMost) return kRealTimeMax - minus;
  return 0;
}

}  // namespace knarr::cri
