// Files that are given as backups of a store: whatever they are, and in whatever pieces they come.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "store/backup.h"
#include "store/format.h"

using namespace knarr::store;  // a fuzz target is a program of its own

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  // Whole, and in pieces of this size: both see the same.
  const size_t piece = data[0] + size_t{1};
  BackupReader whole;
  uint64_t seen = 0;
  const bool good = whole
                        .Read(bytes,
                              [&](const Record& record) {
                                if (record.key.empty() || record.is_delete) std::abort();
                                seen++;
                                return knarr::Ok();
                              })
                        .ok() &&
                    whole.End().ok();
  BackupReader pieces;
  bool also = true;
  uint64_t again = 0;
  for (size_t at = 0; also && at < bytes.size(); at += piece) {
    also = pieces
               .Read(bytes.substr(at, piece),
                     [&](const Record&) {
                       again++;
                       return knarr::Ok();
                     })
               .ok();
  }
  also = also && pieces.End().ok();
  if (good != also || (good && seen != again)) std::abort();
  return 0;
}
