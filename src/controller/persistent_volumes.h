#pragma once

// Binds claims to volumes: each claim gets the volume it names, one that is meant for it, or the smallest that fits;
// where nothing fits it names who is to make one, and says so. A volume whose claim is gone is released, and its
// reclaim policy says what becomes of it. Both sides name each other; the volume is written first, so that a volume
// can't be taken twice, and whoever is interrupted finds half of it and finishes it.

#include <memory>

#include "controller/framework/controller.h"

namespace knarr::controller {

std::unique_ptr<Controller> MakePersistentVolumeController(Context context);

/// The scheduler is to look for another node for the claim.
Ok PlaceAnew(client::Client& client, const api::Object& claim);

}  // namespace knarr::controller
