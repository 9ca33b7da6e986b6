#include "node/node_status.h"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <ranges>

#include "api/coordination_v1.h"
#include "api/core_v1.h"
#include "api/strategic_merge.h"
#include "base/log.h"
#include "base/strings.h"
#include "doc/json.h"
#include "node/agent.h"
#include "node/huge_pages.h"
#include "rt/file_system.h"

namespace knarr::node {
namespace {

using api::core_v1::Node;
using api::core_v1::NodeEdit;
using client::ObjectName;

constexpr Duration kLeaseEvery = 10s;
// What the API server may ask of pods on this node, besides what every node of this version can do.
constexpr std::string_view kDeclaredFeatures[] = {
    "ExtendWebSocketsToKubelet", "InPlacePodLevelResourcesVerticalScaling", "InPlacePodVerticalScalingInitContainers",
    "RestartAllContainersOnContainerExits"};
// The kubelet's nodeStatusMaxImages and MaxNamesPerImageInNodeStatus.
constexpr size_t kImagesMax = 50;
constexpr size_t kNamesMax = 5;

/// The trimmed content; "" when the file is missing or unreadable (not every machine has each of them).
std::string ReadOptional(rt::Runtime& runtime, const std::string& path) {
  Result<std::string> text = runtime.files().ReadFile(path);
  return text.ok() ? std::string(TrimSpace(*text)) : std::string();
}

/// PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
std::string OsImage(std::string_view os_release) {
  for (std::string_view line : Split(os_release, '\n')) {
    constexpr std::string_view kKey = "PRETTY_NAME=";
    if (!line.starts_with(kKey)) continue;
    line.remove_prefix(kKey.size());
    if (line.size() >= 2 && line.front() == '"' && line.back() == '"') line = line.substr(1, line.size() - 2);
    return std::string(line);
  }
  return "Linux";
}

std::string GoArchitecture(std::string_view machine) {
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  return std::string(machine);
}

struct ConditionText {
  std::string_view type;
  std::string_view status;
  std::string_view reason;
  std::string_view message;
};
constexpr ConditionText kMemoryPressure = {"MemoryPressure", "True", "KubeletHasInsufficientMemory",
                                           "kubelet has insufficient memory available"};
constexpr ConditionText kDiskPressure = {"DiskPressure", "True", "KubeletHasDiskPressure", "kubelet has disk pressure"};
constexpr ConditionText kPidPressure = {"PIDPressure", "True", "KubeletHasInsufficientPID",
                                        "kubelet has insufficient PID available"};
constexpr ConditionText kConditions[] = {
    {"MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"},
    {"DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"},
    {"PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"},
    {"Ready", "True", "KubeletReady", "kubelet is posting ready status"},
};

constexpr ConditionText kShuttingDown = {"Ready", "False", "KubeletNotReady", "node is shutting down"};

/// The condition as it is now.
const ConditionText& TextNow(const ConditionText& usual, const Pressures::Conditions& pressures, bool shutting_down) {
  if (shutting_down && usual.type == kShuttingDown.type) return kShuttingDown;
  if (pressures.memory && usual.type == kMemoryPressure.type) return kMemoryPressure;
  if (pressures.disk && usual.type == kDiskPressure.type) return kDiskPressure;
  if (pressures.pids && usual.type == kPidPressure.type) return kPidPressure;
  return usual;
}

}  // namespace

Result<MachineInfo> ReadMachine(rt::Runtime& runtime, const std::string& data_directory) {
  MachineInfo info;
  info.machine_id = ReadOptional(runtime, "/etc/machine-id");
  info.system_uuid = ReadOptional(runtime, "/sys/class/dmi/id/product_uuid");
  info.boot_id = ReadOptional(runtime, "/proc/sys/kernel/random/boot_id");
  info.os_image = OsImage(ReadOptional(runtime, "/etc/os-release"));
  struct utsname names;
  if (uname(&names) != 0) return FromErrno(errno, "uname");
  info.kernel_version = names.release;
  info.architecture = GoArchitecture(names.machine);
  info.cpus = std::max<int64_t>(1, sysconf(_SC_NPROCESSORS_ONLN));
  info.memory_bytes = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  struct statvfs disk;
  if (statvfs(data_directory.c_str(), &disk) != 0) return FromErrno(errno, "statvfs " + data_directory);
  info.disk_bytes = static_cast<int64_t>(disk.f_blocks) * static_cast<int64_t>(disk.f_frsize);
  return info;
}

NodeStatus::NodeStatus(rt::Runtime& runtime, client::Client& client, image::Store& images,
                       const runtime::RuntimeFeatures& features, const AgentOptions& options)
    : runtime_(runtime), client_(client), images_(images), features_(features), options_(options) {}

Ok NodeStatus::Register() {
  machine_ = TRY(ReadMachine(runtime_, options_.data_directory));
  huge_pages_ = ReadHugePages(runtime_);
  allocatable_ = TRY(Allocatable(capacity(), options_.reserved, options_.eviction));
  // What is set aside for huge pages is no memory for anything else.
  Quantity& memory = allocatable_["memory"];
  for (const auto& [size, amount] : huge_pages_) memory -= amount;
  if (memory.Sign() < 0) memory = Quantity(0);
  TRY(WriteNode());
  return WriteLease();
}

void NodeStatus::FillSpec(doc::Document& document) {
  NodeEdit node(document);
  auto metadata = node.metadata();
  metadata.set_name(options_.node_name);
  metadata.put_labels("kubernetes.io/hostname", options_.node_name);
  metadata.put_labels("kubernetes.io/os", "linux");
  metadata.put_labels("kubernetes.io/arch", machine_.architecture);
  metadata.put_labels("beta.kubernetes.io/os", "linux");
  metadata.put_labels("beta.kubernetes.io/arch", machine_.architecture);
  for (const auto& [key, value] : options_.labels) metadata.put_labels(key, value);
  if (node.spec().pod_cidr().empty()) {
    node.spec().set_pod_cidr(options_.pod_cidr);
    node.spec().add_pod_cidrs(options_.pod_cidr);
  }
}

api::ResourceList NodeStatus::capacity() const {
  // Whole KiB, so that they are written as such.
  const auto kib = [](int64_t bytes) { return Quantity(bytes / 1024 * 1024, QuantityFormat::kBinarySi); };
  api::ResourceList out = {{"cpu", Quantity(machine_.cpus)},
                           {"memory", kib(machine_.memory_bytes)},
                           {"ephemeral-storage", kib(machine_.disk_bytes)},
                           {"pods", Quantity(kPodsMax)}};
  out.insert(huge_pages_.begin(), huge_pages_.end());
  return out;
}

/// What is the node's own; what others wrote into the status (extended resources, conditions of other types) stays.
void NodeStatus::FillStatus(doc::Document& document, const doc::Value& before) {
  NodeEdit node(document);
  auto status = node.status();
  const WallTime now = runtime_.Wall();
  status.clear_conditions();
  status.clear_addresses();
  for (const auto& [resource, amount] : capacity()) status.put_capacity(resource, amount.ToString());
  for (const auto& [resource, amount] : allocatable_) status.put_allocatable(resource, amount.ToString());
  status.features().set_supplemental_groups_policy(true);
  status.clear_runtime_handlers();
  auto handler = status.add_runtime_handlers();
  handler.set_name("");
  handler.features().set_recursive_read_only_mounts(features_.recursive_read_only_mounts);
  handler.features().set_user_namespaces(features_.user_namespaces);
  status.clear_declared_features();
  for (const std::string_view feature : kDeclaredFeatures) status.add_declared_features(feature);
  for (const ConditionText& usual : kConditions) {
    const ConditionText& text = TextNow(usual, pressures_, shutting_down_);
    WallTime since = now;
    for (auto old : Node(before).status().conditions()) {
      if (old.type() == text.type && old.status() == text.status) since = old.last_transition_time().value_or(now);
    }
    auto condition = status.add_conditions();
    condition.set_type(text.type);
    condition.set_status(text.status);
    condition.set_last_heartbeat_time(now);
    condition.set_last_transition_time(since);
    condition.set_reason(text.reason);
    condition.set_message(text.message);
  }
  for (auto old : Node(before).status().conditions()) {
    const bool ours =
        std::ranges::any_of(kConditions, [&](const ConditionText& text) { return text.type == old.type(); });
    if (!ours) status.add_conditions().CopyFrom(old.value());
  }
  auto address = status.add_addresses();
  address.set_type("InternalIP");
  address.set_address(options_.node_ip);
  address = status.add_addresses();
  address.set_type("Hostname");
  address.set_address(options_.node_name);
  auto info = status.node_info();
  info.set_machine_id(machine_.machine_id);
  info.set_system_uuid(machine_.system_uuid);
  info.set_boot_id(machine_.boot_id);
  info.set_kernel_version(machine_.kernel_version);
  info.set_os_image(machine_.os_image);
  info.set_container_runtime_version(options_.container_runtime);
  info.set_kubelet_version("v1.36.0+knarr" KNARR_VERSION);
  info.set_kube_proxy_version("");
  info.set_operating_system("linux");
  info.set_architecture(machine_.architecture);
}

/// The largest ones, each with a few of its names.
void NodeStatus::FillImages(doc::Document& document, const std::vector<image::Image>& images) {
  auto status = NodeEdit(document).status();
  status.clear_images();
  for (const image::Image& image : images | std::views::take(kImagesMax)) {
    auto entry = status.add_images();
    std::vector<std::string> names = image.repo_digests;
    names.insert(names.end(), image.names.begin(), image.names.end());
    for (const std::string& name : names | std::views::take(kNamesMax)) entry.add_names(name);
    entry.set_size_bytes(image.size);
  }
}

Ok NodeStatus::SetPressures(const Pressures::Conditions& pressures) {
  pressures_ = pressures;
  return WriteNode();
}

Ok NodeStatus::SetShuttingDown(bool down) {
  shutting_down_ = down;
  return WriteNode();
}

Ok NodeStatus::WriteNode() {
  const ObjectName name{"", options_.node_name};
  const api::KindInfo& kind = api::core_v1::NodeInfo();
  Result<api::ObjectPtr> present = client_.Get(kind, name);
  if (present.Failed(Reason::kNotFound)) {
    doc::Document fresh;
    FillSpec(fresh);
    present = client_.Create(kind, "", fresh.root);
  } else if (present.ok()) {
    present = PatchNode(*present, "", [this](doc::Document& document, const doc::Value&) { FillSpec(document); });
  }
  if (!present.ok()) return present.status();
  std::vector<image::Image> images = TRY(images_.List());
  std::ranges::stable_sort(images, std::greater<>(), &image::Image::size);
  Result<api::ObjectPtr> written =
      PatchNode(*present, "status", [&](doc::Document& document, const doc::Value& before) {
        FillStatus(document, before);
        FillImages(document, images);
      });
  return written.ok() ? Ok() : Ok(written.status());
}

// A patch says nothing of the taints, which others write meanwhile and a node may not.
Result<api::ObjectPtr> NodeStatus::PatchNode(
    const api::ObjectPtr& present, std::string_view subresource,
    const std::function<void(doc::Document& document, const doc::Value& before)>& fill) {
  const api::KindInfo& kind = api::core_v1::NodeInfo();
  doc::Document after = doc::Document::Copy(present->tree());
  fill(after, present->tree());
  const doc::Value patch = TRY(api::CreateTwoWayMergePatch(*kind.type, present->tree(), after.root, after.arena));
  if (patch.empty()) return present;
  return client_.Patch(kind, {"", options_.node_name}, client::PatchType::kStrategicMerge, doc::ToJson(patch),
                       subresource);
}

/// The lease goes with its Node. While that can't be had (it was deleted), the next renewal asks again.
void NodeStatus::OwnLease(doc::Document& document) {
  api::coordination_v1::LeaseEdit lease(document);
  if (!api::coordination_v1::Lease(document.root).metadata().owner_references().empty()) return;
  const Result<api::ObjectPtr> node = client_.Get(api::core_v1::NodeInfo(), {"", options_.node_name});
  if (!node.ok()) return;
  auto owner = lease.metadata().add_owner_references();
  owner.set_api_version("v1");
  owner.set_kind("Node");
  owner.set_name(options_.node_name);
  owner.set_uid((*node)->uid());
}

Ok NodeStatus::WriteLease() {
  const api::KindInfo& kind = api::coordination_v1::LeaseInfo();
  const ObjectName name{"kube-node-lease", options_.node_name};
  Result<api::ObjectPtr> written =
      client::UpdateWithRetry(runtime_, client_, kind, name, "", [this](doc::Document& document) {
        api::coordination_v1::LeaseEdit(document).spec().set_renew_time(runtime_.Wall());
        OwnLease(document);
        return true;
      });
  if (written.Failed(Reason::kNotFound)) {
    doc::Document document;
    api::coordination_v1::LeaseEdit lease(document);
    lease.metadata().set_name(name.name);
    lease.metadata().set_ns(name.ns);
    lease.spec().set_holder_identity(options_.node_name);
    lease.spec().set_lease_duration_seconds(kLeaseSeconds);
    lease.spec().set_renew_time(runtime_.Wall());
    OwnLease(document);
    written = client_.Create(kind, name.ns, document.root);
  }
  return written.ok() ? Ok() : Ok(written.status());
}

void NodeStatus::Run() {
  MonoTime status_due = runtime_.Mono() + kStatusEvery;
  while (runtime_.Sleep(kLeaseEvery).ok()) {
    Ok renewed = WriteLease();
    if (renewed.ok() && runtime_.Mono() >= status_due) {
      status_due = runtime_.Mono() + kStatusEvery;
      renewed = WriteNode();
    }
    if (renewed.Failed(Reason::kCancelled)) return;
    if (!renewed.ok()) LOG_WARN("node lease or status not written", {"error", renewed.status()});
  }
}

}  // namespace knarr::node
