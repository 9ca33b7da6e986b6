#pragma once

// Whether a request fits the path it names, before anything is read of it: upstream has a route for each method of each
// path, and answers what fits none in these words.

#include "apiserver/http_face.h"
#include "base/status.h"

namespace knarr::apiserver {

/// NotFound for a resource path that is none, MethodNotAllowed, NotAcceptable for an Accept header that names no form
/// this path has, UnsupportedMediaType for a patch of an unknown type. REQUIRES: a resource request with a resource.
Ok CheckRoute(const Call& call);

}  // namespace knarr::apiserver
