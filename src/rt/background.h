#pragma once

// Work of the blocking pool that nobody waits for.

#include "rt/runtime.h"

namespace knarr::rt {

/// While it lives, the calling thread of the blocking pool lets others of its weight have the processor as soon as they
/// want it: it does not take it from them when it wakes, and they may take it from the middle of its turn. It gets its
/// share all the same. A hint: where the kernel does not know of such turns (Linux before 6.12), the first half of it.
/// On the runtime's own thread, where a simulated one runs such work: nothing.
class Background {
 public:
  explicit Background(const Runtime& runtime);
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

 private:
  const bool lowered_;
};

}  // namespace knarr::rt
