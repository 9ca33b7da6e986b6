#pragma once

// The fields of a Service that hang together: the single and the plural form of its addresses, what was handed out to
// it and is kept when a client does not repeat it, and what makes no sense for its type. All of it is about trees
// alone.

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "doc/value.h"

namespace knarr::apiserver {

std::string_view ServiceType(const doc::Value& service);
/// Every type but ExternalName; "None" counts as an address.
bool NeedsClusterAddress(const doc::Value& service);
/// Its addresses are handed out: not headless, no ExternalName.
bool HasAllocatedAddresses(const doc::Value& service);
bool NeedsNodePorts(const doc::Value& service);
/// A load balancer that sends traffic only to nodes with endpoints asks them on this port.
bool NeedsHealthCheckPort(const doc::Value& service);
bool IsSelectorlessHeadless(const doc::Value& service);

/// spec, made if it is not there.
doc::Value& ServiceSpecOf(doc::Document& service);
/// spec.clusterIP and spec.clusterIPs say the same: a client that knows only one of them still means both. `old` is
/// null for a create.
void FitClusterAddresses(doc::Document& service, const doc::Value* old);
/// What was allocated stays when a client does not repeat it.
void KeepAllocated(doc::Document& service, const doc::Value& old);
/// Takes away what the new type has no use for and the client has not changed.
void DropTypeDependent(doc::Document& service, const doc::Value& old);

/// The addresses handed out to it, as they stand there.
std::vector<std::string_view> AllocatedAddresses(const doc::Value& service);
/// Calls `visit` with each node port of a Service, that of the health check among them.
void VisitNodePorts(const doc::Value& service, const std::function<void(int64_t port)>& visit);
/// "namespace/name".
std::string OwnerName(const doc::Value& service);

}  // namespace knarr::apiserver
