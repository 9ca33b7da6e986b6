#pragma once

// What the node refuses to run at all.

#include <optional>
#include <string>

#include "api/core_v1.h"

namespace knarr::node {

struct Rejection {
  std::string reason;   ///< "SysctlForbidden"
  std::string message;  ///< of the event; the pod's says "Pod was rejected: " in front
};

/// With dots between its parts; net/ipv4/conf/eth0.1/x, too, is a name.
std::string NormalSysctlName(std::string_view name);

/// nullopt: it may run. `apparmor`: whether the kernel has it.
std::optional<Rejection> Refuse(api::core_v1::Pod pod, bool apparmor);

}  // namespace knarr::node
