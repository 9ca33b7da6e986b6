#pragma once

// A stream that belongs to another runtime (the node's), used from a fiber of this one.

#include <memory>

#include "net/stream.h"
#include "rt/runtime.h"

namespace knarr::apiserver {

/// The stream itself when both are the same runtime. Destroyed on a fiber of `here`.
std::unique_ptr<net::Stream> BringHere(rt::Runtime& here, rt::Runtime& there, std::unique_ptr<net::Stream> stream);

}  // namespace knarr::apiserver
