#pragma once

// JSON Merge Patch (RFC 7386): an object whose members replace the target's, null removing them.

#include "doc/value.h"

namespace knarr::doc {

/// Applies the patch to `target` in place; what it adds is copied into `arena`. A patch that is no object replaces the
/// target.
void ApplyMergePatch(const Value& patch, Value& target, Arena& arena);

/// The smallest merge patch that turns `from` into `to`; an empty object when they are equal. It borrows from both.
Value CreateMergePatch(const Value& from, const Value& to, Arena& arena);

}  // namespace knarr::doc
