#pragma once

// The networks that addresses of Services come from, beyond what a single write of a Service does: the default
// ServiceCIDR, and that each Service's address has its IPAddress object whatever happened while the server was down.

#include <string_view>
#include <vector>

#include "apiserver/core.h"
#include "base/ip.h"

namespace knarr::apiserver {

/// "10.43.0.0/16" or "10.43.0.0/16,fd43::/112": at most one network a family. BadRequest.
Result<std::vector<Cidr>> ParseServiceNetworks(std::string_view text);

/// Makes the ServiceCIDR `kubernetes` of the server's own networks, or adds the second family to it, and says that it
/// is ready. World fiber.
Ok EnsureDefaultServiceCidr(client::Client& client, const std::vector<Cidr>& networks, WallTime now);

/// Makes the IPAddress objects that stored Services lack, and deletes those that name a Service which has not got the
/// address. World fiber; before others write.
Ok RepairServiceAddresses(Core& core);

/// Makes an IPAddress again that was deleted or rewritten under a Service, for as long as the server runs.
class AddressKeeper {
 public:
  explicit AddressKeeper(Core& core) : core_(core), tasks_(core.world(), "address-keeper") {}
  void Start();
  void Stop() { tasks_.StopAndJoin(); }

 private:
  Ok Watch();
  Core& core_;
  store::Revision after_ = 0;  ///< every change up to this one was looked at
  rt::TaskGroup tasks_;
};

}  // namespace knarr::apiserver
