#pragma once

// `knarr object convert -i json|yaml|protobuf -o json|yaml|protobuf`: one object from standard input to standard output
// in another form.

#include <span>
#include <string>
#include <string_view>

namespace knarr::cli {

/// What a verb leaves behind.
struct VerbOutput {
  int exit_code = 0;
  std::string out;
  std::string err;
};

/// `arguments`: what follows `knarr object`. Exit code 1 when the object can't be converted, 2 on wrong usage.
VerbOutput RunObject(std::span<const std::string> arguments, std::string_view input);

}  // namespace knarr::cli
