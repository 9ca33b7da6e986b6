#pragma once

// Flags about the node itself, with the kubelet's names.

#include <string>

#include "base/status.h"
#include "cli/flags.h"
#include "node/agent.h"
#include "node/eviction.h"
#include "node/shutdown.h"

namespace knarr::main {

struct NodeFlags {
  node::EvictionFlags eviction;
  std::string kube_reserved;
  std::string system_reserved;
  int64_t pod_pids_most = -1;  ///< less than 1: no limit
  node::ShutdownFlags shutdown;
  std::string system_bus;      ///< the address of the machine's D-Bus; "": the usual one
  std::string manifest_path;   ///< a folder, or a file, of static pods; "": none
};

void RegisterNodeFlags(cli::FlagSet& flags, NodeFlags& out);
/// What the flags say of the agent's options.
Ok ApplyNodeFlags(const NodeFlags& flags, node::AgentOptions& out);
/// Whether they make sense.
Ok CheckNodeFlags(const NodeFlags& flags);

}  // namespace knarr::main
