#pragma once

// Joining what runs in a container: what `attach` does, and `run -i` at its end.

#include <string>

#include "cli/kubectl/pod_streams.h"

namespace knarr::cli {

struct AttachChoice {
  std::string container;  ///< "": as PickContainer finds it
  bool stdin_open = false;
  bool tty = false;
  bool quiet = false;
  std::string detach_keys = "ctrl-p,ctrl-q";
};
/// Until the container ends or the user leaves.
Result<int> AttachTo(Session& session, const api::Object& pod, AttachChoice choice);

}  // namespace knarr::cli
