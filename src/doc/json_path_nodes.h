#pragma once

// The syntax tree of a JSONPath template: between its parser and its evaluation.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace knarr::doc {

struct JsonPathNode {
  enum class Kind : uint8_t {
    kList,        ///< children one after the other, each on what the one before found
    kText,        ///< text
    kIdentifier,  ///< text: "range", "end"
    kField,       ///< text: the member's name
    kArray,       ///< slice
    kFilter,      ///< children[0] compared by `text` ("==", …, "exists") with children[1]
    kInt,
    kFloat,
    kBool,
    kWildcard,
    kRecursive,
    kUnion,  ///< children, each a list
  };
  struct Bound {
    int value = 0;
    bool known = false;
    bool derived = false;  ///< an index [i] is the slice [i:i+1]
  };

  Kind kind = Kind::kList;
  std::string text = {};
  int64_t integer = 0;  ///< of kInt and kBool
  double number = 0;
  std::array<Bound, 3> slice = {};
  std::vector<JsonPathNode> children = {};
};

/// The template's root list.
Result<JsonPathNode> ParseJsonPath(std::string_view text);

}  // namespace knarr::doc
