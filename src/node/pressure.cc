#include "node/pressure.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "api/qos.h"
#include "api/tolerations.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;

constexpr int64_t kMemoryLeast = 100 << 20;
constexpr int kImagesDiskLeastPercent = 15;  // more than what nodefs is to have, and they are one
constexpr int kInodesLeastPercent = 5;
// The kubelet's evictionPressureTransitionPeriod.
constexpr Duration kTransition = 5min;
constexpr int64_t kSystemCriticalPriority = 2000000000;

/// As resource.Quantity prints a number of bytes: "100Mi", "1234567".
std::string Bytes(int64_t bytes) {
  constexpr std::string_view kUnits[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi"};
  size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{}{}", bytes, kUnits[unit]);
}

}  // namespace

std::string_view ResourceName(Starved resource) {
  switch (resource) {
    case Starved::kMemory:
      return "memory";
    case Starved::kInodes:
      return "inodes";
    case Starved::kDisk:
      break;
  }
  return "ephemeral-storage";
}

std::vector<ThresholdMet> ThresholdsMet(const Observation& observation) {
  std::vector<ThresholdMet> out;
  if (observation.memory_available && *observation.memory_available < kMemoryLeast) {
    out.push_back({Starved::kMemory, Bytes(kMemoryLeast), Bytes(*observation.memory_available)});
  }
  if (!observation.disk) return out;
  const DiskSpace& disk = *observation.disk;
  const int64_t least = disk.capacity / 100 * kImagesDiskLeastPercent;
  if (disk.available < least) out.push_back({Starved::kDisk, Bytes(least), Bytes(disk.available)});
  const int64_t inodes_least = disk.inodes / 100 * kInodesLeastPercent;
  if (disk.inodes_free < inodes_least) {
    out.push_back({Starved::kInodes, std::to_string(inodes_least), std::to_string(disk.inodes_free)});
  }
  return out;
}

void Pressures::Look(const std::vector<ThresholdMet>& met, WallTime now) {
  for (const ThresholdMet& one : met) (one.resource == Starved::kMemory ? memory_seen_ : disk_seen_) = now;
  memory_ = memory_seen_ && now - *memory_seen_ < kTransition;
  disk_ = disk_seen_ && now - *disk_seen_ < kTransition;
}

void Rank(std::vector<Candidate>& candidates) {
  const auto order = [](const Candidate& candidate) {
    const int64_t beyond = candidate.used - candidate.requested;
    return std::tuple(beyond <= 0, candidate.priority, -beyond, candidate.uid);
  };
  std::ranges::sort(candidates, {}, order);
}

std::string EvictionMessage(const ThresholdMet& met, const Candidate& candidate) {
  const std::string_view resource = ResourceName(met.resource);
  std::string out = fmt::format("The node was low on resource: {}. Threshold quantity: {}, available: {}. ", resource,
                                met.threshold, met.available);
  for (const Candidate::Container& container : candidate.containers) {
    if (container.used <= container.requested) continue;
    out += fmt::format("Container {} was using {}, request is {}, has larger consumption of {}. ", container.name,
                       Bytes(container.used), container.requested_text, resource);
  }
  return out;
}

bool IsCritical(Pod pod) { return pod.spec().priority().value_or(0) >= kSystemCriticalPriority; }

std::optional<std::string> RefusedByPressure(Pod pod, const Pressures& pressures) {
  if ((!pressures.memory() && !pressures.disk()) || IsCritical(pod)) return std::nullopt;
  if (!pressures.disk()) {
    if (api::QosClass(pod.spec().tree()) != "BestEffort") return std::nullopt;
    const api::TaintText taint{"node.kubernetes.io/memory-pressure", "", "NoSchedule"};
    if (api::Tolerates(pod, taint)) return std::nullopt;
  }
  return fmt::format("The node had condition: [{}]. ", !pressures.disk()    ? "MemoryPressure"
                                                       : pressures.memory() ? "MemoryPressure DiskPressure"
                                                                            : "DiskPressure");
}

}  // namespace knarr::node
