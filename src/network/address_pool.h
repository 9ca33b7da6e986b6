#pragma once

// Which pod addresses are given out. Pure: time is passed in, leases are kept elsewhere.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/status.h"
#include "base/time.h"

namespace knarr::network {

/// The addresses of a network but its first (the network), its second (the gateway) and its last (broadcast). They are
/// given out in turn, so that one just given back rests as long as possible; while others are free it rests `rest` at
/// least.
class AddressPool {
 public:
  /// BadRequest when the network is not IPv4 or has no room for pods.
  static Result<AddressPool> Create(const Cidr& network, Duration rest = std::chrono::seconds(60));

  IpAddress gateway() const { return network_.At(1); }
  const Cidr& network() const { return network_; }
  /// The owner's address, the same one again if it has one. Unavailable when all are given out.
  Result<IpAddress> Allocate(std::string_view owner, MonoTime now);
  /// Takes over a lease of a former run. Conflict when the address has an owner or is not of this network.
  Ok Restore(const IpAddress& address, std::string_view owner);
  /// Gives the owner's address back: which it was.
  std::optional<IpAddress> Release(std::string_view owner, MonoTime now);
  std::optional<IpAddress> AddressOf(std::string_view owner) const;
  const std::map<std::string, IpAddress, std::less<>>& owners() const { return owners_; }

 private:
  AddressPool(const Cidr& network, Duration rest) : network_(network), rest_(rest) {}
  uint64_t FirstIndex() const { return 2; }
  uint64_t EndIndex() const { return network_.Size() - 1; }

  Cidr network_;
  Duration rest_;
  std::map<std::string, IpAddress, std::less<>> owners_;
  std::map<IpAddress, std::string> taken_;
  std::map<IpAddress, MonoTime> resting_;  // given back, not given out since
  uint64_t next_ = 2;
};

}  // namespace knarr::network
