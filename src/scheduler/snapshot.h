#pragma once

// The scheduler's picture of the cluster: nodes, what is free on them, and the pods that are there or assumed to be.
// Kept up to date change by change; plugins only read it.

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/core_v1.h"
#include "api/node_selector.h"
#include "api/object.h"
#include "api/tolerations.h"
#include "base/status.h"

namespace knarr::scheduler {

/// Amounts: CPU in thousandths, everything else in its own unit (bytes, pieces).
struct Resources {
  int64_t cpu_milli = 0;
  int64_t memory = 0;
  int64_t ephemeral_storage = 0;
  int64_t pods = 0;
  std::map<std::string, int64_t, std::less<>> others;  ///< "nvidia.com/gpu", "hugepages-2Mi", …
  bool operator==(const Resources&) const = default;

  /// Both hold at int64's ends.
  void Add(const Resources& other);
  void Subtract(const Resources& other);
};

/// From a map of quantities (status.allocatable). BadRequest on one that can't be read.
Result<Resources> ReadResources(api::StringMap map);
/// What the pod holds or would hold of a node: its containers' requests (or what they have been given), its start's
/// peak, its own budget, its overhead.
Resources PodRequests(api::core_v1::Pod pod);

struct HostPort {
  std::string protocol;
  std::string ip;  ///< "" or "0.0.0.0": all
  int32_t port = 0;
  bool operator==(const HostPort&) const = default;
  bool Clashes(const HostPort& other) const;
};
std::vector<HostPort> HostPorts(api::core_v1::Pod pod);

struct PodVolumes;

/// A pod to be placed, with what plugins ask of it worked out once.
struct PodInfo {
  api::ObjectPtr object;  ///< null in a snapshot
  Resources requests;
  std::vector<HostPort> host_ports;
  uint64_t owner = 0;               ///< a hash of its controller's uid, 0 without one
  std::vector<std::string> claims;  ///< keys of those it uses
  bool names_node = false;          ///< spec.nodeName, before it is bound
  bool selects_nodes = false;       ///< spec.nodeSelector or a required node affinity
  /// What is known of those (scheduler/volumes.h); null without any, and in a snapshot.
  std::shared_ptr<const PodVolumes> volumes = nullptr;

  static PodInfo Make(api::ObjectPtr object);
  api::core_v1::Pod pod() const { return api::core_v1::Pod(object->tree()); }
  /// Whether what holds for one holds for the other on any node: pods of one controller, mostly. False where that takes
  /// a closer look.
  bool AsksTheSame(const PodInfo& other) const;
};
using PodInfoPtr = std::shared_ptr<const PodInfo>;

/// What plugins ask of a node is worked out once a change, not once a pod: with thousands of nodes, looking into their
/// decoded trees takes nearly all the time of a decision.
struct NodeInfo {
  api::ObjectPtr object;  ///< null while only pods of the node are known; then nothing stands in the next four
  std::string_view name;
  bool unschedulable = false;
  struct Taint {
    api::TaintText text;
    std::string untolerated;  ///< what a pod is told that does not tolerate it
  };
  std::vector<Taint> taints;
  Resources allocatable;
  Resources requested;
  std::map<std::string, PodInfo, std::less<>> pods;  ///< by uid
  std::vector<std::pair<uint64_t, int>> pods_of_owner;  ///< how many pods here, by PodInfo::owner

  api::core_v1::Node node() const { return api::core_v1::Node(object->tree()); }
  /// How many pods here are of that controller.
  int PodsOf(uint64_t owner) const;
  /// What selectors look at.
  api::NodeText text() const { return {node().metadata().labels(), name}; }

 private:
  friend class Snapshot;
  size_t place_ = 0;  // in Snapshot::existing_
};

class Snapshot {
 public:
  /// Ok also for a node whose quantities can't be read: it is then left out, and the error says why.
  Ok SetNode(const api::ObjectPtr& node);
  void RemoveNode(std::string_view name);
  /// A pod that is on a node (bound or assumed). Replaces what was known under its uid.
  void SetPod(PodInfo pod, std::string_view node);
  /// The node that it was on; "" when on none.
  std::string RemovePod(std::string_view uid);
  /// The nodes that exist, in no particular order.
  const std::vector<const NodeInfo*>& nodes() const { return existing_; }
  /// nullptr when there is no such node.
  const NodeInfo* Find(std::string_view name) const;
  /// Grows with each change: what was worked out at the same generation still holds.
  uint64_t generation() const { return generation_; }
  /// How many of its pods use a claim, by the claim's key.
  const std::map<std::string, int, std::less<>>& claim_users() const { return claim_users_; }

 private:
  std::map<std::string, NodeInfo, std::less<>> nodes_;
  std::map<std::string, std::string, std::less<>> node_of_;  // pod's uid → node
  std::map<std::string, int, std::less<>> claim_users_;
  uint64_t generation_ = 0;
  std::vector<const NodeInfo*> existing_;  // those of nodes_ with an object
};

}  // namespace knarr::scheduler
