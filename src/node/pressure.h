#pragma once

// When the node runs out of memory or disk: which of the kubelet's thresholds are met, the node's conditions for that,
// and which pod has to go.

#include <optional>
#include <string>
#include <vector>

#include "api/core_v1.h"
#include "base/time.h"
#include "node/image_collector.h"

namespace knarr::node {

enum class Starved : uint8_t { kMemory, kDisk, kInodes };
std::string_view ResourceName(Starved resource);  ///< "memory", "ephemeral-storage", "inodes"

struct Observation {
  std::optional<int64_t> memory_available;  ///< bytes; nullopt when unknown
  std::optional<DiskSpace> disk;            ///< where the pods and the images are
};

/// One that is met, with its amounts as events print them.
struct ThresholdMet {
  Starved resource;
  std::string threshold;  ///< "100Mi"
  std::string available;
};
/// The kubelet's hard ones: memory.available<100Mi, imagefs.available<15%, imagefs.inodesFree<5%, nodefs.available<10%,
/// nodefs.inodesFree<5%, where nodefs and imagefs are one. Memory first.
std::vector<ThresholdMet> ThresholdsMet(const Observation& observation);

/// The node's conditions: true from the first sight of a threshold until five minutes after the last.
class Pressures {
 public:
  void Look(const std::vector<ThresholdMet>& met, WallTime now);
  bool memory() const { return memory_; }
  bool disk() const { return disk_; }

 private:
  std::optional<WallTime> memory_seen_;
  std::optional<WallTime> disk_seen_;
  bool memory_ = false;
  bool disk_ = false;
};

/// A pod that may be evicted, and what its containers use of the starved resource.
struct Candidate {
  std::string uid;
  int64_t priority = 0;
  int64_t used = 0;
  int64_t requested = 0;
  struct Container {
    std::string name;
    int64_t used = 0;
    std::string requested_text;  ///< "0"
    int64_t requested = 0;
  };
  std::vector<Container> containers;
};
/// Who uses more than was asked for goes first; then who matters less; then who uses most beyond the request.
void Rank(std::vector<Candidate>& candidates);
/// "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container c was using …"
std::string EvictionMessage(const ThresholdMet& met, const Candidate& candidate);

/// Why a pod may not begin on this node now; nullopt when it may.
std::optional<std::string> RefusedByPressure(api::core_v1::Pod pod, const Pressures& pressures);
/// One that the system can't do without: it is never evicted.
bool IsCritical(api::core_v1::Pod pod);

}  // namespace knarr::node
