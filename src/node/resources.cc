#include "node/resources.h"

#include <algorithm>
#include <optional>

#include "api/pod_resources.h"
#include "base/quantity.h"
#include "node/allocation.h"
#include "node/pressure.h"
#include "node/resize.h"

namespace knarr::node {
namespace {

using api::core_v1::Container;
using api::core_v1::Pod;

constexpr int64_t kSharesLeast = 2;
constexpr int64_t kSharesMost = 262144;
constexpr int64_t kPeriodUs = 100000;
constexpr int64_t kQuotaLeastUs = 1000;
// More than any machine has; a spec may say more, and what is worked out of it must stay within 64 bits.
constexpr int64_t kMilliMost = int64_t{1} << 40;
constexpr int64_t kBytesMost = int64_t{1} << 52;

Ok CheckQuantities(const doc::Value& resources) {
  for (const std::string_view side : {"requests", "limits"}) {
    for (const doc::Member& member : resources.At(side).members()) {
      if (member.value.is_string()) TRY(Quantity::Parse(member.value.AsString()));
    }
  }
  return {};
}

int64_t Amount(const api::ResourceList& list, std::string_view name) {
  const auto at = list.find(name);
  if (at == list.end()) return 0;
  return name == "cpu" ? CpuMilli(at->second) : MemoryBytes(at->second);
}

/// Whether each container has a limit of that, or the pod as a whole.
bool IsLimited(Pod pod, std::string_view resource) {
  const auto& spec = pod.tree().At("spec");
  if (Amount(api::ReadResources(spec.Get("resources", "limits")), resource) > 0) return true;
  for (const std::string_view list : {"containers", "initContainers"}) {
    for (const doc::Value& container : spec.At(list).items()) {
      if (Amount(api::ReadResources(container.Get("resources", "limits")), resource) == 0) return false;
    }
  }
  return true;
}

}  // namespace

std::string_view QosText(QosClass qos) {
  switch (qos) {
    case QosClass::kGuaranteed:
      return "Guaranteed";
    case QosClass::kBurstable:
      return "Burstable";
    case QosClass::kBestEffort:
      return "BestEffort";
  }
  return "BestEffort";
}

QosClass QosOf(Pod pod) {
  // The API server works the class out on creation; it can't change.
  const std::string_view text = pod.status().qos_class();
  if (text == "Guaranteed") return QosClass::kGuaranteed;
  return text == "Burstable" ? QosClass::kBurstable : QosClass::kBestEffort;
}

int64_t CpuMilli(const Quantity& quantity) { return std::min(quantity.MilliValue(), kMilliMost); }

int64_t MemoryBytes(const Quantity& quantity) { return std::min(quantity.Value(), kBytesMost); }

int64_t CpuShares(int64_t milli) {
  return std::clamp(std::min(milli, kMilliMost) * 1024 / 1000, kSharesLeast, kSharesMost);
}

int64_t CpuQuota(int64_t milli) {
  return milli <= 0 ? 0 : std::max(std::min(milli, kMilliMost) * kPeriodUs / 1000, kQuotaLeastUs);
}

Result<runtime::CgroupResources> ContainerResources(Pod pod, Container container) {
  const doc::Value& own = container.tree().At("resources");
  TRY(CheckQuantities(own));
  return GroupOf(SizesOf(ReadRequirements(own), ReadRequirements(pod.tree().Get("spec", "resources"))));
}

Result<runtime::CgroupResources> PodResources(Pod pod) {
  for (const std::string_view list : {"containers", "initContainers"}) {
    for (const doc::Value& container : pod.tree().Get("spec", list).items()) {
      TRY(CheckQuantities(container.At("resources")));
    }
  }
  const api::ResourceList limits = api::PodLimits(pod.tree());
  runtime::CgroupResources out;
  out.cpu_shares = CpuShares(Amount(api::PodRequests(pod.tree()), "cpu"));
  if (QosOf(pod) == QosClass::kBestEffort) return out;
  // The pod as a whole is limited only when each of its containers is.
  if (IsLimited(pod, "cpu")) out.cpu_quota_us = CpuQuota(Amount(limits, "cpu"));
  if (IsLimited(pod, "memory")) out.memory_limit = Amount(limits, "memory");
  return out;
}

std::string PodCgroup(std::string_view root, Pod pod) {
  std::string_view level = "/besteffort";
  if (QosOf(pod) == QosClass::kGuaranteed) level = "";
  if (QosOf(pod) == QosClass::kBurstable) level = "/burstable";
  return std::string(root).append(level).append("/pod").append(pod.metadata().uid());
}

namespace {

constexpr std::string_view kNodeCritical = "system-node-critical";
constexpr int64_t kScoreLeast = 3;
constexpr int64_t kScoreMost = 999;

int64_t MemoryRequest(const doc::Value& container) {
  return Amount(api::ReadResources(container.Get("resources", "requests")), "memory");
}

/// What the pod asks for as a whole, and none of its containers does, belongs to all of them alike.
int64_t ShareOfRest(Pod pod) {
  const doc::Value& spec = pod.tree().At("spec");
  if (spec.Get("resources", "requests").empty()) return 0;
  int64_t asked = 0;
  int64_t count = 0;
  for (const doc::Value& container : spec.At("containers").items()) {
    asked += MemoryRequest(container);
    ++count;
  }
  for (const doc::Value& container : spec.At("initContainers").items()) {
    if (container.At("restartPolicy").AsString() != "Always") continue;
    asked += MemoryRequest(container);
    ++count;
  }
  const int64_t all = Amount(api::PodRequests(pod.tree()), "memory");
  return count == 0 ? 0 : std::max<int64_t>(0, all - asked) / count;
}

}  // namespace

int OomScoreAdjust(Pod pod, Container container, int64_t machine_memory) {
  const QosClass qos = QosOf(pod);
  const bool critical = IsCritical(pod) && pod.spec().priority_class_name() == kNodeCritical;
  if (critical || qos == QosClass::kGuaranteed) return -997;
  if (qos == QosClass::kBestEffort || machine_memory <= 0) return 1000;
  const int64_t rest = ShareOfRest(pod);
  const auto score = [&](int64_t request) {
    return 1000 - 1000 * std::clamp<int64_t>(request + rest, 0, machine_memory) / machine_memory;
  };
  int64_t out = score(MemoryRequest(container.tree()));
  bool sidecar = false;
  for (const Container init : pod.spec().init_containers()) {
    sidecar |= init.name() == container.name() && init.restart_policy().value_or("") == "Always";
  }
  int64_t least = machine_memory;
  for (const doc::Value& main : pod.tree().Get("spec", "containers").items()) {
    least = std::min(least, MemoryRequest(main));
  }
  if (sidecar) out = std::min(out, score(least));
  return static_cast<int>(std::clamp(out, kScoreLeast, kScoreMost));
}

}  // namespace knarr::node
