#pragma once

// Pods through the API server: its pods/log, pods/exec, pods/attach and pods/portforward.

#include <memory>
#include <string_view>

#include "client/http_client.h"
#include "client/node_access.h"

namespace knarr::client {

/// The exit code that the Status on a command's error channel stands for, or the error it is.
Result<int> ExitCodeOf(std::string_view json);

/// Uses `client`, which must outlive it and its streams. Commands speak WebSocket (v5.channel.k8s.io, else v4).
std::unique_ptr<PodAccess> MakeHttpPods(rt::Runtime& runtime, HttpClient& client);

}  // namespace knarr::client
