#pragma once

// get --sort-by.

#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/status.h"

namespace knarr::cli {

/// By what is found at the JSONPath: numbers and quantities by their value, other texts so that "web-2" is before
/// "web-10"; objects that have nothing there come first. BadRequest when none of them has.
Ok SortObjects(std::string_view path, std::vector<api::ObjectPtr>& objects);
/// Digits are compared as numbers, and are less than all else.
bool NaturalLess(std::string_view a, std::string_view b);

}  // namespace knarr::cli
