#pragma once

// The names of the IANA time zone database. What a zone's clocks show is not known here.

#include <string>
#include <string_view>

namespace knarr {

/// Whether Go's time.LoadLocation takes the name: those of the database, "UTC", "Local" and "".
bool IsTimeZone(std::string_view name);

/// What it says when it does not: "unknown time zone Mars/Base", "time: invalid location name".
std::string UnknownTimeZone(std::string_view name);

}  // namespace knarr
