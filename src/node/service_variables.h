#pragma once

// The variables that tell a container where the Services of its namespace are (NAME_SERVICE_HOST, NAME_SERVICE_PORT,
// and Docker's old link variables), as they stand when it starts.

#include <string>
#include <utility>
#include <vector>

#include "api/core_v1.h"
#include "base/status.h"
#include "client/client.h"

namespace knarr::node {

using Variables = std::vector<std::pair<std::string, std::string>>;

/// One service's variables; none for a headless one.
Variables ServiceVariables(api::core_v1::Service service);
/// Those of the pod's namespace (when enableServiceLinks is not false) and of the API server's own Service.
Result<Variables> ReadServiceVariables(client::Client& client, api::core_v1::Pod pod);

}  // namespace knarr::node
