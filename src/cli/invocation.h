#pragma once

// What a command line verb runs with.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/console.h"
#include "rt/runtime.h"

namespace knarr::cli {

using Environment = std::function<std::optional<std::string>(std::string_view name)>;

struct Invocation {
  rt::Runtime& runtime;
  Console& console;
  std::vector<std::string> args;  ///< behind the program's (and the group's) name
  Environment env;
};

/// `knarr kubectl …`; the exit code.
int RunKubectl(Invocation invocation);
/// `knarr docker …` on the image store of the server with this data directory; the exit code.
int RunDocker(Invocation invocation, const std::string& data_directory);
/// `knarr object …`; the exit code.
int RunObject(Invocation invocation);

}  // namespace knarr::cli
