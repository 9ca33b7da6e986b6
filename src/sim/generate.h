#pragma once

// Random scenarios: what users and machines do to a cluster, drawn from a seed. Which kinds of step and of fault there
// are at all is drawn first (a swarm): a bug that hides behind one of them shows where that one is missing. The result
// is text, so that a seed that fails can be read, changed, and made smaller.

#include <cstdint>
#include <string>

namespace knarr::sim {

/// Up to ten and `steps_most` steps.
std::string GenerateScenario(uint64_t seed, int steps_most);

}  // namespace knarr::sim
