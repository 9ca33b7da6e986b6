#pragma once

// What a plain YAML scalar means: the rules of go-yaml v2, which are YAML 1.1's without base 60.

#include <cstdint>
#include <string_view>

namespace knarr::doc {

struct YamlScalar {
  enum class Kind : uint8_t { kNull, kBool, kInt, kUint, kFloat, kTimestamp, kString };
  Kind kind = Kind::kString;
  bool boolean = false;
  int64_t integer = 0;
  uint64_t natural = 0;  ///< for kUint: what does not fit an int64_t
  double number = 0;     ///< for kFloat
};

/// `timestamps` says whether dates and times are told apart from strings.
YamlScalar ResolveYamlScalar(std::string_view text, bool timestamps = true);

/// A YAML 1.1 sexagesimal number such as 12:30: a string to us, but not to every reader.
bool LooksLikeBase60(std::string_view text);

}  // namespace knarr::doc
