#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace knarr {

/// "3f2c9b1e-6a0d-4c5e-9f7b-0d1e2f3a4b5c": a version 4 UUID made of sixteen random bytes (rt::Runtime::RandomBytes
/// gives them).
std::string MakeUuid(const std::array<uint8_t, 16>& random);
/// Whether the text has the form of a UUID, in either case.
bool IsUuid(std::string_view text);

}  // namespace knarr
