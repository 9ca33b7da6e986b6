#pragma once

// The pods behind a Service, as plain data from which both Endpoints and EndpointSlices are written. Pure.

#include <cstdint>
#include <string>
#include <vector>

#include "api/core_v1.h"
#include "api/object.h"

namespace knarr::controller {

struct BackendPort {
  std::string name;
  std::string protocol;
  int32_t port = 0;
  std::string app_protocol;
  auto operator<=>(const BackendPort&) const = default;
};

struct Backend {
  std::string ip;
  std::string node;
  std::string pod;
  std::string pod_uid;
  std::string hostname;  ///< of a pod with spec.hostname whose spec.subdomain is the service
  bool ready = false;
  bool serving = false;
  bool terminating = false;
  auto operator<=>(const Backend&) const = default;
};

/// Backends that listen on the same ports (a named target port may differ from pod to pod).
struct BackendGroup {
  std::vector<BackendPort> ports;
  std::vector<Backend> backends;  ///< ordered by address
};

/// From the service and the pods its selector fits, ordered by ports.
std::vector<BackendGroup> GroupBackends(api::core_v1::Service service, const std::vector<api::ObjectPtr>& pods);

}  // namespace knarr::controller
