#include "apiserver/strategies/service_pools.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/object_io.h"

namespace knarr::apiserver {
namespace {

// FNV-1a: spreads owners over the pool, the same in every run.
uint64_t Hash(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

// Upstream's split of a range into a part for fixed and a part for dynamic numbers.
uint64_t ReservedPart(uint64_t size, uint64_t divisor, uint64_t most) {
  return size < 32 ? 0 : std::clamp<uint64_t>(size / divisor, 16, most);
}

uint64_t AddressCount(const Cidr& cidr) {
  const uint64_t all = std::min<uint64_t>(cidr.Size(), uint64_t{1} << 20);
  const uint64_t unusable = cidr.family() == IpFamily::kIpv4 ? 2 : 1;  // the network's own, IPv4's broadcast
  return all > unusable ? all - unusable : 0;
}

}  // namespace

bool NumberPool::Take(uint64_t number, std::string_view owner) {
  const auto [at, fresh] = owners_.try_emplace(number, owner);
  return fresh || at->second == owner;
}

std::optional<uint64_t> NumberPool::FindFree(uint64_t first, uint64_t count, uint64_t start) const {
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t number = first + (start + i) % count;
    if (!owners_.contains(number)) return number;
  }
  return std::nullopt;
}

std::optional<uint64_t> NumberPool::TakeAny(std::string_view owner) {
  const uint64_t start = Hash(owner);
  auto found = FindFree(reserved_, size_ - reserved_, start);
  if (!found.has_value() && reserved_ > 0) found = FindFree(0, reserved_, start);
  if (found.has_value()) owners_.emplace(*found, owner);
  return found;
}

void NumberPool::Give(uint64_t number, std::string_view owner) {
  const auto at = owners_.find(number);
  if (at != owners_.end() && at->second == owner) owners_.erase(at);
}

bool NumberPool::HeldBy(uint64_t number, std::string_view owner) const {
  const auto at = owners_.find(number);
  return at != owners_.end() && at->second == owner;
}

ServicePools::ServicePools(Cidr addresses, uint16_t port_first, uint16_t port_last)
    : cidr_(addresses.Masked()),
      port_first_(port_first),
      port_last_(port_last),
      addresses_(AddressCount(cidr_), ReservedPart(AddressCount(cidr_), 16, 256)),
      ports_(static_cast<uint64_t>(port_last - port_first) + 1,
             ReservedPart(static_cast<uint64_t>(port_last - port_first) + 1, 32, 128)) {}

void ServicePools::Load(const store::Snapshot& snapshot, std::string_view prefix) {
  if (loaded_) return;
  loaded_ = true;
  snapshot.Visit(prefix, "", [&](std::string_view /*key*/, const store::Bytes& bytes, store::Revision /*mod*/) {
    const doc::Document service = DecodeStored(*bytes);
    const std::string owner = OwnerName(service.root);
    VisitAddresses(service.root, [&](std::string_view text) {
      const Result<IpAddress> address = IpAddress::Parse(text);
      const auto number = address.ok() ? NumberOf(*address) : std::nullopt;
      if (number.has_value()) addresses_.Take(*number, owner);
    });
    VisitNodePorts(service.root, [&](int64_t port) {
      if (HasPort(port)) ports_.Take(PortNumber(port), owner);
    });
    return true;
  });
}

std::optional<uint64_t> ServicePools::NumberOf(const IpAddress& address) const {
  if (address.family() != cidr_.family() || !cidr_.Contains(address)) return std::nullopt;
  const uint64_t distance = address.DistanceFrom(cidr_.Network());
  if (distance == 0 || distance > addresses_.size()) return std::nullopt;
  return distance - 1;
}

std::string ServicePools::PortRange() const { return fmt::format("{}-{}", port_first_, port_last_); }

void ServicePools::Give(const doc::Value& service, const doc::Value* keep) {
  const std::string owner = OwnerName(service);
  VisitAddresses(service, [&](std::string_view text) {
    bool kept = false;
    if (keep != nullptr) VisitAddresses(*keep, [&](std::string_view other) { kept = kept || other == text; });
    const Result<IpAddress> address = IpAddress::Parse(text);
    const auto number = address.ok() ? NumberOf(*address) : std::nullopt;
    if (!kept && number.has_value()) addresses_.Give(*number, owner);
  });
  VisitNodePorts(service, [&](int64_t port) {
    bool kept = false;
    if (keep != nullptr) VisitNodePorts(*keep, [&](int64_t other) { kept = kept || other == port; });
    if (!kept && HasPort(port)) ports_.Give(PortNumber(port), owner);
  });
}

void VisitAddresses(const doc::Value& service, const std::function<void(std::string_view)>& visit) {
  const doc::Value& spec = service.At("spec");
  const doc::Value& list = spec.At("clusterIPs");
  for (const doc::Value& address : list.items()) {
    if (!address.AsString().empty() && address.AsString() != "None") visit(address.AsString());
  }
  const std::string_view one = spec.At("clusterIP").AsString();
  if (list.empty() && !one.empty() && one != "None") visit(one);
}

void VisitNodePorts(const doc::Value& service, const std::function<void(int64_t)>& visit) {
  for (const doc::Value& port : service.Get("spec", "ports").items()) {
    if (port.At("nodePort").AsInt() != 0) visit(port.At("nodePort").AsInt());
  }
  const int64_t health = service.Get("spec", "healthCheckNodePort").AsInt();
  if (health != 0) visit(health);
}

std::string OwnerName(const doc::Value& service) {
  return fmt::format("{}/{}", service.Get("metadata", "namespace").AsString(),
                     service.Get("metadata", "name").AsString());
}

}  // namespace knarr::apiserver
