#pragma once

// IP addresses and networks as values. Reading is strict, as Go's netip: four decimal numbers without leading zeros, or
// RFC 4291 text without a zone.

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace knarr {

enum class IpFamily : uint8_t { kIpv4, kIpv6 };

/// An IPv4 or IPv6 address; 0.0.0.0 when default-made. Ordered by family, then by number.
class IpAddress {
 public:
  IpAddress() = default;
  static IpAddress V4(uint32_t host_order);
  static IpAddress V6(const std::array<uint8_t, 16>& bytes);
  /// BadRequest: `ParseAddr("x"): …`, in Go's words.
  static Result<IpAddress> Parse(std::string_view text);

  IpFamily family() const { return family_; }
  bool is_v4() const { return family_ == IpFamily::kIpv4; }
  bool is_v6() const { return family_ == IpFamily::kIpv6; }
  /// 32 or 128.
  int bits() const { return is_v4() ? 32 : 128; }
  /// The address in network order: 4 or 16 bytes.
  std::string_view bytes() const;
  /// REQUIRES: is_v4().
  uint32_t v4() const;
  /// RFC 5952: lower case, the longest run of zeros as "::"; ::ffff:1.2.3.4 for IPv4 inside IPv6.
  std::string ToString() const;
  /// "1.2.3.4:80", "[::1]:80".
  std::string ToHostPort(int port) const;

  bool IsUnspecified() const;
  bool IsLoopback() const;
  bool IsMulticast() const;
  bool IsLinkLocalUnicast() const;
  bool IsLinkLocalMulticast() const;
  /// ::ffff:a.b.c.d.
  bool IsV4InV6() const;
  /// The IPv4 address inside such an address; itself otherwise.
  IpAddress Unmap() const;

  /// The address `offset` further on; wraps around at the end of the family.
  IpAddress operator+(uint64_t offset) const;
  /// This minus `other` as a number; UINT64_MAX when that does not fit or is negative.
  uint64_t DistanceFrom(const IpAddress& other) const;

  auto operator<=>(const IpAddress&) const = default;
  bool operator==(const IpAddress&) const = default;

 private:
  friend class Cidr;
  IpFamily family_ = IpFamily::kIpv4;
  std::array<uint8_t, 16> bytes_{};  // an IPv4 address uses the first four
};

/// A network: "10.42.0.0/24". The address keeps its host bits, as Go's net.ParseCIDR gives both.
class Cidr {
 public:
  Cidr() = default;
  /// REQUIRES: 0 <= prefix <= address.bits().
  Cidr(IpAddress address, int prefix);
  /// BadRequest: "invalid CIDR address: x".
  static Result<Cidr> Parse(std::string_view text);

  const IpAddress& address() const { return address_; }
  int prefix() const { return prefix_; }
  IpFamily family() const { return address_.family(); }
  /// The first address: host bits cleared.
  IpAddress Network() const;
  /// The last address (IPv4: the broadcast address).
  IpAddress Last() const;
  Cidr Masked() const { return {Network(), prefix_}; }
  /// How many addresses; UINT64_MAX when that does not fit.
  uint64_t Size() const;
  /// The address at `index`. REQUIRES: index < Size().
  IpAddress At(uint64_t index) const;
  bool Contains(const IpAddress& address) const;
  /// Whether all of `other` is inside.
  bool Contains(const Cidr& other) const;
  bool Overlaps(const Cidr& other) const;
  /// The subnet number `index` of `prefix` bits. BadRequest when there are not that many.
  Result<Cidr> Subnet(int prefix, uint64_t index) const;
  std::string ToString() const;
  bool operator==(const Cidr&) const = default;
  auto operator<=>(const Cidr&) const = default;

 private:
  IpAddress address_;
  int prefix_ = 0;
};

/// "1.2.3.4:80", "[::1]:80", "host:80", ":80" → host and port text. BadRequest as Go's net.SplitHostPort.
struct HostPort {
  std::string host;
  std::string port;
};
Result<HostPort> SplitHostPort(std::string_view text);
/// The reverse: brackets around a host that has a colon.
std::string JoinHostPort(std::string_view host, int port);

}  // namespace knarr
