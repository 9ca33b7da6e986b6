#pragma once

// The readiness of one socket, told by edges: it is registered with the kernel once, not at every wait.

#include "rt/runtime.h"

namespace knarr::rt {

class RealLoop;

/// For descriptors that are always read and written until they would block: an edge is told once. Belongs to a
/// RealRuntime; the descriptor must stay open as long as this lives. Made, used and destroyed on its thread.
class Edges {
 public:
  Edges(Runtime& runtime, int fd);
  ~Edges();
  Edges(const Edges&) = delete;
  Edges& operator=(const Edges&) = delete;

  /// Returns once there was an edge since the last Wait for this direction; at once after the peer hung up. One fiber
  /// a direction. `parked`: the fiber had to wait, so the edge is news; otherwise what it told may be used up already.
  Ok Wait(FdEvent event, bool& parked);

 private:
  RealLoop& loop_;
  const int fd_;
  Ok registered_;
};

}  // namespace knarr::rt
