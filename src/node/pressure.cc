#include "node/pressure.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "api/qos.h"
#include "api/tolerations.h"
#include "base/strings.h"
#include "node/manifest.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;

}  // namespace

ThresholdMet Describe(const Threshold& threshold, const Observations& observations) {
  const auto seen = observations.find(threshold.signal);
  const Observed observed = seen == observations.end() ? Observed() : seen->second;
  // A share of anything is printed as bytes are.
  const auto& quantity = threshold.value.quantity;
  return {.resource = ResourceOf(threshold.signal),
          .threshold = quantity ? quantity->ToString() : BytesText(threshold.value.Of(observed.capacity)),
          .available = AmountText(threshold.signal, observed.available)};
}

void Rank(std::vector<Candidate>& candidates, Starved resource) {
  const auto order = [resource](const Candidate& candidate) {
    const int64_t beyond = candidate.used - candidate.requested;
    const bool within = resource != Starved::kPids && beyond <= 0;
    return std::tuple(candidate.measured, within, candidate.priority, -beyond, candidate.uid);
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
                       BytesText(container.used), container.requested_text, resource);
  }
  return out;
}

bool IsCritical(Pod pod) {
  return IsStaticPod(pod) || pod.spec().priority().value_or(0) >= kSystemCriticalPriority;
}

std::optional<std::string> RefusedByPressure(Pod pod, const Pressures& pressures) {
  std::vector<std::string_view> conditions;
  if (pressures.memory()) conditions.emplace_back("MemoryPressure");
  if (pressures.disk()) conditions.emplace_back("DiskPressure");
  if (pressures.pids()) conditions.emplace_back("PIDPressure");
  if (conditions.empty() || IsCritical(pod)) return std::nullopt;
  if (conditions.size() == 1 && pressures.memory()) {
    if (api::QosClass(pod.spec().tree()) != "BestEffort") return std::nullopt;
    const api::TaintText taint{"node.kubernetes.io/memory-pressure", "", "NoSchedule"};
    if (api::Tolerates(pod, taint)) return std::nullopt;
  }
  return fmt::format("The node had condition: [{}]. ", Join(conditions, " "));
}

}  // namespace knarr::node
