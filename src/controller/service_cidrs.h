#pragma once

// A ServiceCIDR becomes ready, and stays for as long as addresses are taken from it that no other ServiceCIDR has.

#include "base/ip.h"
#include "controller/framework/controller.h"

namespace knarr::controller {

/// Whether a ServiceCIDR may go: each of its networks lies in one of another ServiceCIDR, or none of these addresses
/// lies in it alone. `others` are the networks of the other ServiceCIDRs.
bool MayGo(const std::vector<Cidr>& networks, const std::vector<Cidr>& others, const std::vector<IpAddress>& addresses);

std::unique_ptr<Controller> MakeServiceCidrController(Context context);

}  // namespace knarr::controller
