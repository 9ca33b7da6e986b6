#pragma once

// `knarr server`'s flags, on the command line and in a config file (--config FILE, YAML: the flags' names as keys).
// What is given on the command line wins.

#include <string>
#include <vector>

#include "base/status.h"
#include "cli/invocation.h"
#include "main/server.h"

namespace knarr::main {

struct ServerFlags {
  ServerOptions options;
  bool help = false;
  std::string usage;
};

/// BadRequest names the flag, or the file, line and key.
Result<ServerFlags> ParseServerFlags(rt::Runtime& runtime, const std::vector<std::string>& args,
                                     const cli::Environment& env);

}  // namespace knarr::main
