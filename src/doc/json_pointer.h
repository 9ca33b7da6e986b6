#pragma once

// JSON Pointer (RFC 6901): "/spec/containers/0/name".

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "doc/value.h"

namespace knarr::doc {

/// The reference tokens, decoded (~1 is /, ~0 is ~). BadRequest when the pointer is neither empty nor begins with "/".
Result<std::vector<std::string>> ParsePointer(std::string_view pointer);
/// A token as it stands in a pointer.
std::string EscapePointerToken(std::string_view token);
std::string UnescapePointerToken(std::string_view token);

/// What the pointer names in the tree; nullptr when there is no such value or the pointer is malformed.
const Value* FindPointer(const Value& root, std::string_view pointer);
Value* FindPointer(Value& root, std::string_view pointer);

}  // namespace knarr::doc
