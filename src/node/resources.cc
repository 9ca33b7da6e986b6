#include "node/resources.h"

#include <algorithm>
#include <optional>

#include "base/quantity.h"

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

struct Amounts {
  std::optional<int64_t> cpu_request_milli;
  std::optional<int64_t> cpu_limit_milli;
  std::optional<int64_t> memory_request;
  std::optional<int64_t> memory_limit;
};

Result<std::optional<int64_t>> Amount(api::StringMap map, std::string_view name, bool milli) {
  auto text = map.Find(name);
  if (!text) return std::optional<int64_t>();
  Quantity quantity = TRY(Quantity::Parse(*text));
  return std::optional(milli ? std::min(quantity.MilliValue(), kMilliMost) : std::min(quantity.Value(), kBytesMost));
}

Result<Amounts> AmountsOf(Container container) {
  Amounts out;
  auto resources = container.resources();
  out.cpu_request_milli = TRY(Amount(resources.requests(), "cpu", true));
  out.cpu_limit_milli = TRY(Amount(resources.limits(), "cpu", true));
  out.memory_request = TRY(Amount(resources.requests(), "memory", false));
  out.memory_limit = TRY(Amount(resources.limits(), "memory", false));
  return out;
}

int64_t Quota(int64_t milli) { return std::max(std::min(milli, kMilliMost) * kPeriodUs / 1000, kQuotaLeastUs); }

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

int64_t CpuShares(int64_t milli) {
  return std::clamp(std::min(milli, kMilliMost) * 1024 / 1000, kSharesLeast, kSharesMost);
}

Result<runtime::CgroupResources> ContainerResources(Container container) {
  Amounts amounts = TRY(AmountsOf(container));
  runtime::CgroupResources out;
  // A limit without a request is its request, too.
  out.cpu_shares = CpuShares(amounts.cpu_request_milli.value_or(amounts.cpu_limit_milli.value_or(0)));
  if (amounts.cpu_limit_milli.value_or(0) > 0) out.cpu_quota_us = Quota(*amounts.cpu_limit_milli);
  out.cpu_period_us = kPeriodUs;
  out.memory_limit = amounts.memory_limit.value_or(0);
  return out;
}

Result<runtime::CgroupResources> PodResources(Pod pod) {
  int64_t cpu_request = 0;
  int64_t cpu_limit = 0;
  int64_t memory_limit = 0;
  bool cpu_limited = true;
  bool memory_limited = true;
  for (Container container : pod.spec().containers()) {
    Amounts amounts = TRY(AmountsOf(container));
    cpu_request += amounts.cpu_request_milli.value_or(amounts.cpu_limit_milli.value_or(0));
    cpu_limit += amounts.cpu_limit_milli.value_or(0);
    memory_limit += amounts.memory_limit.value_or(0);
    cpu_limited &= amounts.cpu_limit_milli.value_or(0) > 0;
    memory_limited &= amounts.memory_limit.value_or(0) > 0;
  }
  for (Container container : pod.spec().init_containers()) {
    Amounts amounts = TRY(AmountsOf(container));
    cpu_request = std::max(cpu_request, amounts.cpu_request_milli.value_or(0));
    cpu_limit = std::max(cpu_limit, amounts.cpu_limit_milli.value_or(0));
    memory_limit = std::max(memory_limit, amounts.memory_limit.value_or(0));
  }
  runtime::CgroupResources out;
  out.cpu_shares = CpuShares(cpu_request);
  // The pod as a whole is limited only when each of its containers is.
  if (cpu_limited && cpu_limit > 0) out.cpu_quota_us = Quota(cpu_limit);
  if (memory_limited) out.memory_limit = memory_limit;
  return out;
}

std::string PodCgroup(std::string_view root, Pod pod) {
  std::string_view level = "/besteffort";
  if (QosOf(pod) == QosClass::kGuaranteed) level = "";
  if (QosOf(pod) == QosClass::kBurstable) level = "/burstable";
  return std::string(root).append(level).append("/pod").append(pod.metadata().uid());
}

int OomScoreAdjust(QosClass qos, int64_t memory_request, int64_t machine_memory) {
  if (qos == QosClass::kGuaranteed) return -997;
  if (qos == QosClass::kBestEffort || machine_memory <= 0) return 1000;
  const int64_t score = 1000 - (1000 * std::min(memory_request, machine_memory)) / machine_memory;
  return static_cast<int>(std::clamp<int64_t>(score, 3, 999));
}

}  // namespace knarr::node
