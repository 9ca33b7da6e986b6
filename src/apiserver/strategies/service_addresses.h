#pragma once

// The addresses Services hold. The store alone says which are taken: each is an IPAddress object that names its
// Service, written and deleted in the same transaction as the Service's own change, so no crash can leave the two
// apart. Where addresses may come from is said by ServiceCIDR objects. World thread only; nothing is kept here.

#include <string_view>
#include <vector>

#include "apiserver/strategy.h"
#include "base/ip.h"
#include "store/store.h"

namespace knarr::apiserver {

inline constexpr std::string_view kAddressPrefix = "/registry/networking.k8s.io/ipaddresses/";
inline constexpr std::string_view kServiceCidrPrefix = "/registry/networking.k8s.io/servicecidrs/";
/// Marks the addresses that are this server's to make and to delete.
inline constexpr std::string_view kManagedByLabel = "ipaddress.kubernetes.io/managed-by";
inline constexpr std::string_view kManager = "ipallocator.k8s.io";

/// The networks that addresses may be taken from now: those of ServiceCIDRs that are ready and stay.
std::vector<Cidr> ReadyServiceCidrs(const store::Snapshot& snapshot);
/// Whether the network has the address and it is for use: neither the network's own nor IPv4's broadcast.
bool IsUsable(const Cidr& network, const IpAddress& address);
/// The write that makes the IPAddress of a Service. The address must not have one.
store::Op MakeAddressObject(rt::Runtime& runtime, const IpAddress& address, const doc::Value& service);
/// Whether an IPAddress object names this Service.
bool NamesService(const doc::Value& address, std::string_view ns, std::string_view name);

/// Takes the addresses that a Service is to have and `old` (nullptr: none) has not, and gives back the others, as part
/// of its write. `service` gets them filled in. Invalid or InternalError, as upstream says it.
Ok ReserveAddresses(const ReserveContext& context, const api::KindInfo& kind, doc::Document& service,
                    const doc::Value* old, Reservation& out);
/// Gives back all that a deleted Service had.
void ReleaseAddresses(const ReserveContext& context, const doc::Value& service, Reservation& out);

}  // namespace knarr::apiserver
