#pragma once

// `knarr store`: looking after the files of a server's store. A store that is in use is reached through its server,
// with the kubeconfig that lies in the data folder; one that is stopped is opened here.

#include "cli/invocation.h"

namespace knarr::main {

/// The exit code: 0 done, 1 it could not be done, 2 damage was found.
int RunStore(cli::Invocation invocation);

}  // namespace knarr::main
