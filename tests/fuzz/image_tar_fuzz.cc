// Layer archives: decompression and the tar reader.

#include <cstdint>
#include <string>
#include <string_view>

#include "image/tar.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr::image;
  auto source = Decompress(MemorySource({reinterpret_cast<const char*>(data), size}), {.least = 1 << 20, .ratio = 100});
  if (!source.ok()) return 0;
  TarReader tar(**source);
  std::string piece(4096, '\0');
  for (int count = 0; count < 10000; ++count) {
    const auto entry = tar.Next();
    if (!entry.ok() || !entry->has_value()) return 0;
    const auto got = tar.Read(piece.data(), piece.size());
    if (!got.ok()) return 0;
  }
  return 0;
}
