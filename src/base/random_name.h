#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace knarr {

/// The five characters that generateName appends: from upstream's alphabet without vowels and look-alikes.
std::string RandomSuffix(uint64_t random);
/// metadata.name from metadata.generateName: cut so that the whole is at most 63 characters, then RandomSuffix.
std::string GenerateName(std::string_view base, uint64_t random);
/// Upstream's SafeEncodeString: maps each byte into the same alphabet (pod-template-hash).
std::string SafeEncode(std::string_view text);

}  // namespace knarr
