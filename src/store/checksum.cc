#include "store/checksum.h"

#include <bit>
#include <cstring>

namespace knarr::store {

static_assert(std::endian::native == std::endian::little, "the checksum reads words as they lie");

namespace {

__extension__ using Wide = unsigned __int128;

constexpr uint64_t kA = 0x9e3779b97f4a7c15;
constexpr uint64_t kB = 0xd6e8feb86659fd93;

uint64_t Word(const char* at, size_t size) {
  uint64_t word = 0;
  if (size > 0) std::memcpy(&word, at, size);
  return word;
}

/// Both halves of the product together: each bit of either factor reaches the whole result.
uint64_t Fold(uint64_t a, uint64_t b) {
  Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t Mix(uint64_t sum, std::string_view bytes) {
  const char* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 16; at += 16, left -= 16) sum = Fold(Word(at, 8) ^ kA, Word(at + 8, 8) ^ sum ^ kB) + kA;
  uint64_t low = Word(at, left < 8 ? left : 8);
  uint64_t high = left > 8 ? Word(at + 8, left - 8) : 0;
  sum = Fold(low ^ kA, high ^ sum ^ kB) + kA;
  return Fold(sum ^ bytes.size() ^ kB, kA);
}

}  // namespace

uint64_t RecordChecksum(int64_t row, Revision revision, Revision created, std::string_view key,
                        const std::string_view* value) {
  uint64_t sum = Fold(static_cast<uint64_t>(row) ^ kA, static_cast<uint64_t>(revision) ^ kB);
  sum = Fold(sum ^ static_cast<uint64_t>(created), kB) + (value == nullptr ? 1 : 2);
  sum = Mix(sum, key);
  return value == nullptr ? sum : Mix(sum, *value);
}

uint64_t BytesChecksum(std::string_view bytes, uint64_t seed) { return Mix(Fold(seed ^ kA, kB), bytes); }

}  // namespace knarr::store
