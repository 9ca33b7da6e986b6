#include "base/regex.h"

#include <re2/re2.h>

#include <string>
#include <utility>

namespace knarr {
namespace {

// What a pattern's program may take of memory; larger ones are refused.
constexpr int64_t kMemoryMax = 4 << 20;

std::string_view Problem(RE2::ErrorCode code) {
  switch (code) {
    case RE2::ErrorBadEscape:
      return "invalid escape sequence";
    case RE2::ErrorBadCharClass:
      return "invalid character class";
    case RE2::ErrorBadCharRange:
      return "invalid character class range";
    case RE2::ErrorMissingBracket:
      return "missing closing ]";
    case RE2::ErrorMissingParen:
      return "missing closing )";
    case RE2::ErrorUnexpectedParen:
      return "unexpected )";
    case RE2::ErrorTrailingBackslash:
      return "trailing backslash at end of expression";
    case RE2::ErrorRepeatArgument:
      return "missing argument to repetition operator";
    case RE2::ErrorRepeatSize:
      return "invalid repeat count";
    case RE2::ErrorRepeatOp:
      return "invalid nested repetition operator";
    case RE2::ErrorBadPerlOp:
      return "invalid or unsupported Perl syntax";
    case RE2::ErrorBadUTF8:
      return "invalid UTF-8";
    case RE2::ErrorBadNamedCapture:
      return "invalid named capture";
    case RE2::ErrorPatternTooLarge:
      return "expression too large";
    default:
      return "regexp/syntax: internal error";
  }
}

RE2::Options OwnOptions() {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMemoryMax);
  return options;
}

}  // namespace

struct Regex::Rep {
  explicit Rep(std::string_view pattern) : compiled(re2::StringPiece(pattern.data(), pattern.size()), OwnOptions()) {}
  RE2 compiled;
};

Result<Regex> Regex::Compile(std::string_view pattern) {
  auto rep = std::make_shared<const Rep>(pattern);
  const RE2& compiled = rep->compiled;
  if (compiled.ok()) return Regex(std::move(rep));
  return BadRequest("error parsing regexp: " + std::string(Problem(compiled.error_code())) + ": `" +
                    compiled.error_arg() + "`");
}

bool Regex::Search(std::string_view text) const {
  return RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), rep_->compiled);
}

}  // namespace knarr
