#pragma once

// Paths with slashes, as texts: what Go's package path does with them. Nothing is looked up.

#include <string>
#include <string_view>

namespace knarr {

/// Without empty parts, "." and what ".." takes back; "." for nothing.
std::string CleanPath(std::string_view path);
/// Both joined and cleaned; "" when both are empty.
std::string JoinPaths(std::string_view one, std::string_view other);
/// All but the last part, cleaned: "/a" of "/a/b", "." of "a".
std::string DirName(std::string_view path);
/// The last part, without slashes at its end: "b" of "/a/b/", "/" of "/", "." of "".
std::string BaseName(std::string_view path);

}  // namespace knarr
