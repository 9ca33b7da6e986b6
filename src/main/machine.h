#pragma once

// What the host is called and where it is reached.

#include <string>

#include "base/status.h"

namespace knarr::main {

/// The host's name in lower case, as node names must be.
Result<std::string> HostName();
/// The first IPv4 address (IPv6 when there is none) of a link that is up, no loopback and not `own_bridge`; 127.0.0.1
/// on a machine without a network.
Result<std::string> HostAddress(const std::string& own_bridge);

}  // namespace knarr::main
