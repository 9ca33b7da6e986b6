#include "network/address_pool.h"

#include <algorithm>

namespace knarr::network {

Result<AddressPool> AddressPool::Create(const Cidr& network, Duration rest) {
  if (network.family() != IpFamily::kIpv4) {
    return BadRequest("pod network " + network.ToString() + " is not an IPv4 network");
  }
  if (network.prefix() > 29 || network.prefix() < 8) {
    return BadRequest("pod network " + network.ToString() + " must be between /8 and /29");
  }
  return AddressPool(network.Masked(), rest);
}

Result<IpAddress> AddressPool::Allocate(std::string_view owner, MonoTime now) {
  if (const auto found = owners_.find(owner); found != owners_.end()) return found->second;
  const uint64_t count = EndIndex() - FirstIndex();
  if (taken_.size() >= count) {
    return Unavailable("no pod address is free in " + network_.ToString() + ": all " + std::to_string(count) +
                       " are given out");
  }
  std::optional<IpAddress> chosen;
  // At most one step a taken or resting address, and one more.
  for (uint64_t step = 0; step < count && !chosen; ++step) {
    const IpAddress candidate = network_.At(next_);
    next_ = next_ + 1 == EndIndex() ? FirstIndex() : next_ + 1;
    const auto rested = resting_.find(candidate);
    if (!taken_.contains(candidate) && (rested == resting_.end() || now - rested->second >= rest_)) chosen = candidate;
  }
  if (!chosen) {
    // Everything that is free rests: the one that has rested longest.
    const auto oldest = std::min_element(resting_.begin(), resting_.end(),
                                         [](const auto& a, const auto& b) { return a.second < b.second; });
    chosen = oldest->first;
  }
  resting_.erase(*chosen);
  taken_.emplace(*chosen, owner);
  owners_.emplace(owner, *chosen);
  return *chosen;
}

Ok AddressPool::Restore(const IpAddress& address, std::string_view owner) {
  const bool ours =
      network_.Contains(address) && address >= network_.At(FirstIndex()) && address < network_.At(EndIndex());
  if (!ours) return Conflict("address " + address.ToString() + " is not one for pods of " + network_.ToString());
  if (taken_.contains(address)) return Conflict("address " + address.ToString() + " is given out twice");
  if (owners_.contains(owner)) return Conflict("sandbox " + std::string(owner) + " has two addresses");
  resting_.erase(address);
  taken_.emplace(address, owner);
  owners_.emplace(owner, address);
  // The search goes on behind what the former run gave out.
  const uint64_t index = address.DistanceFrom(network_.Network());
  if (index >= next_) next_ = index + 1 == EndIndex() ? FirstIndex() : index + 1;
  return {};
}

std::optional<IpAddress> AddressPool::Release(std::string_view owner, MonoTime now) {
  const auto found = owners_.find(owner);
  if (found == owners_.end()) return std::nullopt;
  const IpAddress address = found->second;
  owners_.erase(found);
  taken_.erase(address);
  resting_[address] = now;
  return address;
}

std::optional<IpAddress> AddressPool::AddressOf(std::string_view owner) const {
  const auto found = owners_.find(owner);
  return found == owners_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace knarr::network
