#pragma once

// Logs and exec of pods through the API server: its pods/log and pods/exec.

#include <memory>

#include "client/http_client.h"
#include "client/node_access.h"

namespace knarr::client {

/// Uses `client`, which must outlive it and its streams. Exec speaks WebSocket (v5.channel.k8s.io, else v4).
std::unique_ptr<NodeAccess> MakeHttpPods(rt::Runtime& runtime, HttpClient& client);

}  // namespace knarr::client
