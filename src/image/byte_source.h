#pragma once

// Bytes read in order from a file, through a decompressor when the file begins like one's output. Blocking: for use
// inside Runtime::Blocking only.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"

namespace knarr::image {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Up to `size` bytes, at least one; 0 at the end. BadRequest for a damaged stream.
  virtual Result<size_t> Read(char* out, size_t size) = 0;
};

/// What a compressed file may grow to: `ratio` times the bytes read so far, with `least` free of that rule. No layer of
/// real software comes near; a bomb passes it at once.
struct ExpansionLimit {
  int64_t least = int64_t{256} << 20;
  int64_t ratio = 1100;  ///< deflate's own bound is 1032:1
};

/// Opens a file for reading.
Result<std::unique_ptr<ByteSource>> OpenFileSource(const std::string& path);
/// Over a descriptor that the source then owns.
std::unique_ptr<ByteSource> FileSource(int fd);
/// The bytes themselves; `bytes` must outlive the source.
std::unique_ptr<ByteSource> MemorySource(std::string_view bytes);
/// Recognises gzip and zstd by their first bytes and unpacks them; anything else passes as it is.
Result<std::unique_ptr<ByteSource>> Decompress(std::unique_ptr<ByteSource> source, ExpansionLimit limit = {});

}  // namespace knarr::image
