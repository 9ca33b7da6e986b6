#pragma once

// Messages show a wrong struct as JSON of upstream's own Go type, which differs from the wire's JSON: fields have Go's
// names, and absent ones are there as null. Internal to api/validation.

#include <string>

#include "api/schema.h"
#include "doc/value.h"

namespace knarr::api::validation {

/// The message as such JSON. Members share the given tree's memory.
doc::Value GoForm(const Type& type, const doc::Value& value, doc::Arena& arena);

/// What differs between two messages: a unified diff of their forms, one member a line.
std::string GoDifference(const Type& type, const doc::Value& before, const doc::Value& after);

}  // namespace knarr::api::validation
