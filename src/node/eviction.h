#pragma once

// When the node runs low on something: thresholds as the kubelet's flags give them, which of them are met, and the
// node's conditions for that. What is done about it is in agent_keeping.cc and pressure.h.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/quantity.h"
#include "base/status.h"
#include "base/time.h"

namespace knarr::node {

enum class Signal : uint8_t {
  kMemoryAvailable,
  kNodeFsAvailable,
  kNodeFsInodesFree,
  kImageFsAvailable,
  kImageFsInodesFree,
  kContainerFsAvailable,
  kContainerFsInodesFree,
  kPidAvailable,
};
std::string_view SignalName(Signal signal);  ///< "memory.available"

enum class Starved : uint8_t { kMemory, kDisk, kInodes, kPids };
Starved ResourceOf(Signal signal);
std::string_view ResourceName(Starved resource);  ///< "memory", "ephemeral-storage", "inodes", "pids"

/// A quantity, or a share of what there is.
struct EvictionAmount {
  std::optional<Quantity> quantity;
  float fraction = 0;
  int64_t Of(int64_t capacity) const;
  std::string ToString() const;  ///< "100Mi", "15%"
};

struct Threshold {
  Signal signal = Signal::kMemoryAvailable;
  EvictionAmount value;
  std::optional<EvictionAmount> reclaim;  ///< once met, it holds until so much more is there
  Duration grace{};                       ///< 0: a hard one
};

struct EvictionConfig {
  std::vector<Threshold> thresholds;  ///< memory first
  Duration transition = 5min;         ///< how long a condition outlasts its last sight
  int64_t pod_grace_most = 0;         ///< seconds that a pod gets when a soft one is met; less than 0: its own
};

/// As given on the command line.
struct EvictionFlags {
  std::string hard =
      "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%";
  std::string soft;
  std::string soft_grace;
  std::string reclaim;
  Duration transition = 5min;
  int64_t pod_grace_most = 0;
};
/// BadRequest in the kubelet's words, with the flag's name before them where they don't say which.
Result<EvictionConfig> ParseEviction(const EvictionFlags& flags);
/// What the kubelet does when it is given none.
EvictionConfig DefaultEviction();

struct Observed {
  int64_t available = 0;
  int64_t capacity = 0;
};
using Observations = std::map<Signal, Observed>;

/// Those that are met, whatever their grace; with `reclaiming`, also those of which not enough was reclaimed.
std::vector<Threshold> ThresholdsMet(const std::vector<Threshold>& thresholds, const Observations& observations,
                                     bool reclaiming);

/// What is known from look to look.
class Pressures {
 public:
  explicit Pressures(EvictionConfig config = {}) : config_(std::move(config)) {}
  /// Those whose grace is over, memory first.
  std::vector<Threshold> Look(const Observations& observations, MonoTime now);
  bool memory() const { return conditions_.memory; }
  bool disk() const { return conditions_.disk; }
  bool pids() const { return conditions_.pids; }
  const EvictionConfig& config() const { return config_; }

  struct Conditions {
    bool memory = false;
    bool disk = false;
    bool pids = false;
    bool operator==(const Conditions&) const = default;
  };
  const Conditions& conditions() const { return conditions_; }

 private:
  struct Seen {
    Threshold threshold;
    MonoTime first;
  };
  const EvictionConfig config_;
  std::vector<Seen> seen_;  // those that are met
  std::vector<Threshold> unresolved_;
  std::optional<MonoTime> memory_seen_;
  std::optional<MonoTime> disk_seen_;
  std::optional<MonoTime> pids_seen_;
  Conditions conditions_;
};

/// As resource.Quantity prints a number of bytes: "100Mi", "1234567".
std::string BytesText(int64_t bytes);
/// An amount of what the signal is about: bytes, or a plain number.
std::string AmountText(Signal signal, int64_t amount);

}  // namespace knarr::node
