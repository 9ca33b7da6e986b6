#include "node/reserved.h"

#include <fmt/format.h>

#include "base/strings.h"
#include "node/resources.h"

namespace knarr::node {
namespace {

constexpr std::string_view kPid = "pid";

bool MayBeReserved(std::string_view name) {
  return name == "cpu" || name == "memory" || name == "ephemeral-storage" || name == kPid;
}

/// So much, with the same way of writing it; not less than nothing.
Quantity Without(Quantity amount, const Quantity& taken) {
  amount -= taken;
  return amount.Sign() < 0 ? Quantity(0, amount.format()) : amount;
}

const Quantity* Find(const api::ResourceList& list, std::string_view name) {
  const auto at = list.find(name);
  return at == list.end() ? nullptr : &at->second;
}

}  // namespace

api::ResourceList Reserved::Both() const {
  api::ResourceList out = kube;
  api::AddTo(out, system);
  return out;
}

Result<api::ResourceList> ParseReserved(std::string_view text) {
  api::ResourceList out;
  for (const std::string_view part : Split(text, ',')) {
    if (part.empty()) continue;
    const auto pair = Cut(part, "=");
    if (!pair) return BadRequest(fmt::format("{}: want name=quantity", GoQuote(part)));
    if (!MayBeReserved(pair->first)) {
      return BadRequest(fmt::format("cannot reserve {} resource", GoQuote(pair->first)));
    }
    const auto amount = Quantity::Parse(pair->second);
    if (!amount.ok()) {
      return BadRequest(fmt::format("failed to parse quantity {} for {} resource: {}", GoQuote(pair->second),
                                    GoQuote(pair->first), amount.status().message()));
    }
    if (amount->Sign() < 0) {
      return BadRequest(
          fmt::format("resource quantity for {} cannot be negative: {}", GoQuote(pair->first), pair->second));
    }
    out.insert_or_assign(std::string(pair->first), *amount);
  }
  return out;
}

Result<api::ResourceList> Allocatable(const api::ResourceList& capacity, const Reserved& reserved,
                                      const EvictionConfig& eviction) {
  api::ResourceList taken = reserved.Both();
  for (const Threshold& threshold : eviction.thresholds) {
    const bool memory = threshold.signal == Signal::kMemoryAvailable;
    if (threshold.grace > Duration::zero() || (!memory && threshold.signal != Signal::kNodeFsAvailable)) continue;
    const std::string name = memory ? "memory" : "ephemeral-storage";
    const Quantity* all = Find(capacity, name);
    if (all == nullptr) continue;
    api::AddTo(taken, {{name, Quantity(threshold.value.Of(all->Value()), QuantityFormat::kBinarySi)}});
  }
  api::ResourceList out = capacity;
  for (auto& [name, amount] : out) {
    const Quantity* less = Find(taken, name);
    if (less == nullptr) continue;
    if (*less > amount) {
      return BadRequest(
          fmt::format("invalid Node Allocatable configuration. Resource {} has a reservation of {} but "
                      "capacity of {}. Expected capacity >= reservation",
                      GoQuote(name), less->ToString(), amount.ToString()));
    }
    amount = Without(amount, *less);
  }
  return out;
}

runtime::CgroupResources PodsGroup(const api::ResourceList& capacity, const Reserved& reserved) {
  const api::ResourceList taken = reserved.Both();
  const auto left = [&](std::string_view name) {
    const Quantity* all = Find(capacity, name);
    const Quantity* less = Find(taken, name);
    if (all == nullptr) return Quantity();
    return less == nullptr ? *all : Without(*all, *less);
  };
  runtime::CgroupResources out;
  out.cpu_shares = CpuShares(CpuMilli(left("cpu")));
  // Without anything reserved, the machine itself is the limit.
  if (taken.contains("memory")) out.memory_limit = MemoryBytes(left("memory"));
  return out;
}

}  // namespace knarr::node
