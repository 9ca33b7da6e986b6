#pragma once

#include <cstdint>
#include <string_view>

#include "store/store.h"

namespace knarr::store {

/// 64 bits over a record: against bit rot, not against an attacker. Part of the format on disk.
uint64_t RecordChecksum(int64_t row, Revision revision, Revision created, std::string_view key,
                        const std::string_view* value);
/// The same over bytes of any meaning.
uint64_t BytesChecksum(std::string_view bytes, uint64_t seed);

}  // namespace knarr::store
