#pragma once

// Whether a cluster that is left alone has come to rest where it should: what is asked for is there, exactly, and
// nothing else is left.

#include <string>
#include <vector>

#include "store/store.h"

namespace knarr::sim {

/// What is not as it should be yet; empty: converged.
std::vector<std::string> Unconverged(store::Store& store);

}  // namespace knarr::sim
