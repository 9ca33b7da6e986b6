#pragma once

// The images of a container runtime of another process: image/store.h over CRI's ImageService. What the runtime has no
// call for (loading, tagging) is refused: its own tools do that.

#include <memory>

#include "cri/channel.h"
#include "image/store.h"

namespace knarr::cri {

/// The channel must outlive it.
std::unique_ptr<image::Store> MakeImages(Channel& channel);

}  // namespace knarr::cri
