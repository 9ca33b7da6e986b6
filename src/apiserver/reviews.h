#pragma once

#include "api/schema.h"

namespace knarr::apiserver {

/// Whether the kind is a question that is answered when it is created, and never stored.
bool IsReview(const api::KindInfo& kind);

}  // namespace knarr::apiserver
