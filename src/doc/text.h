#pragma once

// Texts as Go's libraries make them, for messages that clients know.

#include <string>
#include <string_view>

#include "doc/value.h"

namespace knarr::doc {

/// The text with U+FFFD for every byte that is not UTF-8, as Go turns such strings into JSON.
std::string RepairUtf8(std::string_view text);

/// A tree as Go's %v prints it: "map[spec:map[replicas:2]]".
std::string GoText(const Value& value);

/// What encoding/json calls a value: "null", "bool", "number", "string", "array", "object".
std::string_view GoKind(const Value& value);

/// ParseJson's error without the place it begins with, which Go does not tell.
std::string_view GoJsonError(std::string_view error);
/// ParseYaml's error in the same way: "yaml: line 4: mapping values are not allowed in this context".
std::string GoYamlError(std::string_view error);

}  // namespace knarr::doc
