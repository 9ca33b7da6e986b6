#pragma once

// Unpacks one layer's tar archive into a directory that overlayfs takes as a lowerdir: whiteouts become character
// devices 0/0, opaque markers the trusted.overlay.opaque attribute; owners, modes, times, hard links, devices and
// capabilities are kept.
//
// The archive is hostile. Nothing is opened by a path: parents are resolved below the directory's own descriptor
// (openat2 with RESOLVE_IN_ROOT), the last component is never followed, attributes are set on descriptors, and
// attributes that steer overlayfs (trusted.*) are dropped. Blocking; needs root.

#include <cstdint>
#include <string>

#include "base/status.h"
#include "image/byte_source.h"

namespace knarr::image {

struct UnpackLimits {
  int64_t entries = 4'000'000;
  int64_t bytes = int64_t{512} << 30;
};

struct UnpackResult {
  int64_t bytes = 0;  ///< of file data
  int64_t entries = 0;
};

/// REQUIRES: `directory` exists and is empty. On an error it holds what was unpacked so far.
Result<UnpackResult> UnpackLayer(ByteSource& tar, const std::string& directory, const UnpackLimits& limits = {});

}  // namespace knarr::image
