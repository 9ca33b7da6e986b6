#pragma once

// Flags about the node itself, with the kubelet's names.

#include "base/status.h"
#include "cli/flags.h"
#include "node/eviction.h"

namespace knarr::main {

struct NodeFlags {
  node::EvictionFlags eviction;
};

void RegisterNodeFlags(cli::FlagSet& flags, NodeFlags& out);
/// Whether they make sense.
Ok CheckNodeFlags(const NodeFlags& flags);

}  // namespace knarr::main
