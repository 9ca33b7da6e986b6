#pragma once

// Writing tar archives: ustar, with a pax header before what does not fit into that.

#include <string>

#include "image/tar.h"

namespace knarr::cli {

/// The blocks that stand before an entry's data. Files, directories and symbolic links.
std::string TarHeader(const image::TarEntry& entry);
/// What fills the last block of so much data.
std::string TarPadding(int64_t size);
/// The end of an archive.
std::string TarEnd();

}  // namespace knarr::cli
