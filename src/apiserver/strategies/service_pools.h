#pragma once

// The addresses and node ports that Services hold. Nothing of it is stored by itself: it is derived from the stored
// Services when first needed, so that no crash can leave an address taken by nobody or given twice. World thread only.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/status.h"
#include "doc/value.h"
#include "store/store.h"

namespace knarr::apiserver {

/// Numbers from a range, each with the Service that holds it. The lower part is handed out only when it is asked for by
/// number, or when nothing else is left: so that what users fix in their manifests is seldom taken already.
class NumberPool {
 public:
  NumberPool(uint64_t size, uint64_t reserved) : size_(size), reserved_(reserved) {}
  /// False when another holds it.
  bool Take(uint64_t number, std::string_view owner);
  /// A free number, looked for from a place that `owner` determines. nullopt when all are taken.
  std::optional<uint64_t> TakeAny(std::string_view owner);
  void Give(uint64_t number, std::string_view owner);
  bool HeldBy(uint64_t number, std::string_view owner) const;
  size_t taken() const { return owners_.size(); }
  uint64_t size() const { return size_; }

 private:
  std::optional<uint64_t> FindFree(uint64_t first, uint64_t count, uint64_t start) const;
  uint64_t size_;
  uint64_t reserved_;
  std::map<uint64_t, std::string> owners_;
};

class ServicePools {
 public:
  ServicePools(Cidr addresses, uint16_t port_first, uint16_t port_last);

  const Cidr& cidr() const { return cidr_; }
  /// Takes what stored Services hold. Once.
  void Load(const store::Snapshot& snapshot, std::string_view prefix);

  /// The number of an address in the pool, nullopt when it lies outside or is not for use.
  std::optional<uint64_t> NumberOf(const IpAddress& address) const;
  IpAddress AddressOf(uint64_t number) const { return cidr_.Network() + (number + 1); }
  bool HasPort(int64_t port) const { return port >= port_first_ && port <= port_last_; }
  std::string PortRange() const;

  NumberPool& addresses() { return addresses_; }
  NumberPool& ports() { return ports_; }
  uint64_t PortNumber(int64_t port) const { return static_cast<uint64_t>(port - port_first_); }
  int64_t PortOf(uint64_t number) const { return static_cast<int64_t>(number) + port_first_; }

  /// Gives back everything that `service` holds, or only what `keep` does not hold as well.
  void Give(const doc::Value& service, const doc::Value* keep = nullptr);

 private:
  Cidr cidr_;
  uint16_t port_first_;
  uint16_t port_last_;
  NumberPool addresses_;
  NumberPool ports_;
  bool loaded_ = false;
};

/// Calls `visit` with each address and each node port that a Service's spec has.
void VisitAddresses(const doc::Value& service, const std::function<void(std::string_view address)>& visit);
void VisitNodePorts(const doc::Value& service, const std::function<void(int64_t port)>& visit);
/// "namespace/name".
std::string OwnerName(const doc::Value& service);

}  // namespace knarr::apiserver
