#pragma once

// Regular expressions in Go's syntax (RE2's): the time is linear in the text, whatever the pattern.

#include <memory>
#include <string_view>

#include "base/status.h"

namespace knarr {

/// A compiled expression; copies share it, any thread may use it.
class Regex {
 public:
  /// BadRequest in Go's words: "error parsing regexp: missing closing ]: `[a`".
  static Result<Regex> Compile(std::string_view pattern);
  /// Whether it matches somewhere in the text.
  bool Search(std::string_view text) const;

 private:
  struct Rep;
  explicit Regex(std::shared_ptr<const Rep> rep) : rep_(std::move(rep)) {}
  std::shared_ptr<const Rep> rep_;
};

}  // namespace knarr
