#pragma once

// The formats that strings of custom resources may have, as Kubernetes checks them.

#include <string_view>

namespace knarr::api {

/// Whether strings of the format are checked at all; hyphens in its name do not count.
bool IsKnownFormat(std::string_view format);
/// REQUIRES: a known format.
bool HasFormat(std::string_view format, std::string_view text);

}  // namespace knarr::api
