#pragma once

// The streams of a command or of what is attached to: what CRI's runtimes serve at a URL of their own, as the kubelet
// asks for it (SPDY/3.1, v4.channel.k8s.io). SPDY and not WebSocket: the end of the input can be said there.

#include <memory>
#include <string>

#include "base/status.h"
#include "rt/runtime.h"
#include "runtime/runtime.h"

namespace knarr::cri {

struct StreamsWanted {
  bool stdin_open = false;
  bool stdout_open = true;
  bool stderr_open = true;
  bool tty = false;
};

/// `url` is plain HTTP, as runtimes serve it on this machine.
Result<std::unique_ptr<runtime::ExecSession>> OpenStreams(rt::Runtime& runtime, const std::string& url,
                                                          const StreamsWanted& wanted);

}  // namespace knarr::cri
