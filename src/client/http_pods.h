#pragma once

// Pods through the API server: its pods/log, pods/exec, pods/attach and pods/portforward.

#include <memory>

#include "client/http_client.h"
#include "client/node_access.h"

namespace knarr::client {

/// Uses `client`, which must outlive it and its streams. Commands speak WebSocket (v5.channel.k8s.io, else v4).
std::unique_ptr<PodAccess> MakeHttpPods(rt::Runtime& runtime, HttpClient& client);

}  // namespace knarr::client
