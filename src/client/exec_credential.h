#pragma once

// Credential plugins of kubeconfig files: programs that print an ExecCredential (client.authentication.k8s.io).

#include <string>
#include <vector>

#include "base/status.h"
#include "client/kubeconfig.h"
#include "doc/value.h"
#include "rt/runtime.h"

namespace knarr::client {

/// Runs the plugin that `exec` describes and puts its token or certificate into `config`. A command with a slash that
/// is not absolute is relative to `folder`.
Ok RunExecPlugin(rt::Runtime& runtime, const doc::Value& exec, const std::string& folder,
                 const std::vector<std::string>& environment, RestConfig& config);

}  // namespace knarr::client
