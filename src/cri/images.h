#pragma once

// The images of a container runtime of another process: image/store.h over CRI's ImageService. What the runtime has no
// call for (loading, tagging) is refused: its own tools do that.

#include <memory>
#include <string>

#include "cri/channel.h"
#include "image/store.h"

namespace knarr::cri {

/// The channel must outlive it.
std::unique_ptr<image::Store> MakeImages(Channel& channel);

/// The folder that the images lie in: how full its disk is decides which of them stay. "" where the runtime does not
/// say.
Result<std::string> ImageFolder(Channel& channel);

}  // namespace knarr::cri
