#pragma once

// The node's own object and lease: registered at the start, the lease renewed every ten seconds, the status written
// again every five minutes or when it changes.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "api/resource_list.h"
#include "base/time.h"
#include "client/client.h"
#include "image/store.h"
#include "node/eviction.h"
#include "rt/runtime.h"
#include "runtime/runtime.h"

namespace knarr::node {

struct AgentOptions;

/// The kubelet's maxPods, nodeLeaseDurationSeconds and nodeStatusReportFrequency.
inline constexpr int kPodsMax = 110;
inline constexpr int kLeaseSeconds = 40;
inline constexpr Duration kStatusEvery = 5min;

/// What the machine says of itself.
struct MachineInfo {
  std::string machine_id;
  std::string system_uuid;
  std::string boot_id;
  std::string kernel_version;
  std::string os_image;
  std::string architecture;
  int64_t cpus = 0;
  int64_t memory_bytes = 0;
  int64_t disk_bytes = 0;
};
Result<MachineInfo> ReadMachine(rt::Runtime& runtime, const std::string& data_directory);

class NodeStatus {
 public:
  NodeStatus(rt::Runtime& runtime, client::Client& client, image::Store& images,
             const runtime::RuntimeFeatures& features, const AgentOptions& options);

  /// Makes or updates the Node, Ready, with its lease.
  Ok Register();
  /// Renews until the fiber is cancelled.
  void Run();
  /// Writes what the node lacks into its conditions.
  Ok SetPressures(const Pressures::Conditions& pressures);
  /// Writes whether the machine is about to go down: then the node is not ready.
  Ok SetShuttingDown(bool down);
  int64_t cpu_milli() const { return machine_.cpus * 1000; }
  int64_t memory_bytes() const { return machine_.memory_bytes; }
  /// What there is, and what pods may have of it.
  api::ResourceList capacity() const;
  const api::ResourceList& allocatable() const { return allocatable_; }
  const api::ResourceList& huge_pages() const { return huge_pages_; }

 private:
  Ok WriteNode();
  Result<api::ObjectPtr> PatchNode(const api::ObjectPtr& present, std::string_view subresource,
                                   const std::function<void(doc::Document& document, const doc::Value& before)>& fill);
  Ok WriteLease();
  void OwnLease(doc::Document& document);
  void FillSpec(doc::Document& document);
  void FillStatus(doc::Document& document, const doc::Value& before);
  static void FillImages(doc::Document& document, const std::vector<image::Image>& images);

  rt::Runtime& runtime_;
  client::Client& client_;
  image::Store& images_;
  const runtime::RuntimeFeatures features_;
  const AgentOptions& options_;
  MachineInfo machine_;
  api::ResourceList huge_pages_;
  api::ResourceList allocatable_;
  Pressures::Conditions pressures_;
  bool shutting_down_ = false;
};

}  // namespace knarr::node
