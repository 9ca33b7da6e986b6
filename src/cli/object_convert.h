#pragma once

// `knarr object convert -i json|yaml|protobuf -o json|yaml|protobuf`: one object from standard input to standard output
// in another form.

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace knarr::cli {

/// What a verb leaves behind.
struct VerbOutput {
  int exit_code = 0;
  std::string out;
  std::string err;
};

/// `arguments`: what follows `knarr object`. `read_input` is called once the arguments are known to be good. Exit code
/// 1 when the object can't be converted, 2 on wrong usage.
VerbOutput RunObject(std::span<const std::string> arguments, const std::function<Result<std::string>()>& read_input);

}  // namespace knarr::cli
