#pragma once

#include <string>
#include <string_view>

namespace knarr::doc {

/// The text with U+FFFD for every byte that is not UTF-8, as Go turns such strings into JSON.
std::string RepairUtf8(std::string_view text);

}  // namespace knarr::doc
