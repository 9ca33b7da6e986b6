#pragma once

// Whether a cluster that is left alone has come to rest where it should: what is asked for is there, exactly, and
// nothing else is left.

#include <string>
#include <vector>

#include "base/time.h"
#include "store/store.h"

namespace knarr::sim {

/// What is not as it should be yet; empty: converged.
std::vector<std::string> Unconverged(store::Store& store);

/// A node that nobody hears of.
struct Silence {
  std::string node;
  bool removed = false;  ///< its object is gone
  Duration lasts{};
};

/// What a control plane that nothing disturbs for `undisturbed` should have done about silent nodes by now, and is yet
/// to do. `settled`: nothing has changed for so long.
std::vector<std::string> Overdue(store::Store& store, const std::vector<Silence>& silent, Duration undisturbed,
                                 Duration settled, WallTime now);

}  // namespace knarr::sim
