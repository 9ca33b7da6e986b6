#pragma once

// Calls to a container runtime's socket: gRPC over a connection that is made when it is needed, and anew when the
// runtime was started again.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "cri/message.h"
#include "net/stream.h"
#include "rt/runtime.h"

namespace knarr::cri {

/// The kubelet's --runtime-request-timeout: for calls that take no time of their own.
inline constexpr Duration kCallTimeout = std::chrono::minutes(2);
/// As the kubelet's: what a runtime says is not larger.
inline constexpr size_t kAnswerMax = 16 << 20;

/// What a call answers that goes on telling. Destroying it ends the call.
class Telling {
 public:
  virtual ~Telling() = default;
  /// The next message; nullopt when the runtime ended the call well.
  virtual Result<std::optional<std::string>> Next() = 0;
};

class Channel {
 public:
  virtual ~Channel() = default;
  /// One message there, one back. ServiceUnavailable when nobody answers, MethodNotAllowed when the runtime does not
  /// know the method, or the runtime's own error.
  virtual Result<std::string> Call(const std::string& method, std::string_view message, Duration timeout) = 0;
  virtual Result<std::unique_ptr<Telling>> Listen(const std::string& method, std::string_view message) = 0;
};

/// Fibers of `runtime`, which must outlive it; destroyed when no call runs any more.
std::unique_ptr<Channel> MakeChannel(rt::Runtime& runtime, const net::Endpoint& endpoint);

/// The endpoint of a flag: "unix:///run/containerd/containerd.sock", or a path. BadRequest for what is neither.
Result<net::Endpoint> ParseEndpoint(std::string_view text);

/// A call of structs, described by their tables. InternalError when the answer can't be read.
Ok AskInto(Channel& channel, const std::string& method, const Message& request_table, const void* request,
           const Message& response_table, void* response, Duration timeout);
/// What the answer lacks has its default.
template <typename Response, typename Request>
Result<Response> Ask(Channel& channel, const std::string& method, const Request& request,
                     Duration timeout = kCallTimeout) {
  Response out;
  const Ok asked = AskInto(channel, method, Request::kMessage, &request, Response::kMessage, &out, timeout);
  if (!asked.ok()) return asked.status();
  return out;
}

}  // namespace knarr::cri
