#pragma once

// The client's side of gRPC: calls of one message each way and calls that stream both ways, over an HTTP/2 connection
// of our own. Messages are bytes: what is in them is the caller's to know (doc/proto.h).
//
// One GrpcConnection is one connection to one server. It is asked whether it is still there when it says nothing while
// calls wait for it; when it is not, every call ends with Unavailable and the owner connects anew.
//
// gRPC's status codes become reasons: UNAVAILABLE is ServiceUnavailable, DEADLINE_EXCEEDED Timeout, UNAUTHENTICATED
// Unauthorized, PERMISSION_DENIED Forbidden, INVALID_ARGUMENT BadRequest, OUT_OF_RANGE Expired, RESOURCE_EXHAUSTED
// TooManyRequests, UNIMPLEMENTED MethodNotAllowed; the message is the server's.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "net/stream.h"
#include "net/tls.h"
#include "rt/runtime.h"

namespace knarr::net {

class GrpcSession;
struct GrpcStream;

struct GrpcOptions {
  Endpoint endpoint;                      ///< also a Unix socket
  std::shared_ptr<TlsClientContext> tls;  ///< null: in the clear
  Duration dial_timeout = std::chrono::seconds(5);
  /// A server that says nothing for this long while a call waits is asked whether it is still there…
  Duration silence_max = std::chrono::seconds(6);
  /// …and has this long to say so.
  Duration pong_max = std::chrono::seconds(4);
  /// The largest message that is taken.
  size_t message_max = 64 << 20;
};

struct GrpcRequest {
  std::string method;                                         ///< "/etcdserverpb.KV/Range"
  std::vector<std::pair<std::string, std::string>> metadata;  ///< names in lower case
  Duration timeout{};                                         ///< for the whole call, told to the server; 0: none
};

/// A call under way. Of the connection's runtime; one fiber sends, one receives. Destroying it early cancels it.
class GrpcCall {
 public:
  GrpcCall(std::shared_ptr<GrpcSession> session, std::shared_ptr<GrpcStream> stream, size_t message_max);
  ~GrpcCall();
  GrpcCall(const GrpcCall&) = delete;
  GrpcCall& operator=(const GrpcCall&) = delete;

  Ok Send(std::string_view message);
  void EndSend();
  /// The next message; nullopt when the server ended the call well.
  Result<std::optional<std::string>> Receive();

 private:
  const std::shared_ptr<GrpcSession> session_;
  const std::shared_ptr<GrpcStream> stream_;
  const size_t message_max_;
  std::string buffer_;  ///< of messages, from `at_` on
  size_t at_ = 0;
};

class GrpcConnection {
 public:
  /// Connects. The connection's fibers run in `fibers` and end with the connection, or when the group is stopped.
  static Result<std::unique_ptr<GrpcConnection>> Connect(rt::Runtime& runtime, rt::TaskGroup& fibers,
                                                         const GrpcOptions& options);
  /// The same over a stream that is there; for tests.
  static std::unique_ptr<GrpcConnection> Over(rt::Runtime& runtime, rt::TaskGroup& fibers, const GrpcOptions& options,
                                              std::unique_ptr<Stream> stream);
  /// Calls that still run end with Unavailable.
  ~GrpcConnection();
  GrpcConnection(const GrpcConnection&) = delete;
  GrpcConnection& operator=(const GrpcConnection&) = delete;

  /// One message there, one back. `sent` says whether the server may have acted on it, whatever came back.
  Result<std::string> Unary(const GrpcRequest& request, std::string_view message, bool& sent);
  /// A call that streams both ways.
  Result<std::unique_ptr<GrpcCall>> Open(const GrpcRequest& request);

  /// No call can begin any more.
  bool closed() const;
  /// Until it has ended, by whichever side.
  Ok WaitEnd();
  /// Ends it now.
  void Close(std::string_view why);
  /// Why it ended.
  const std::string& why() const;
  std::string peer() const;

 private:
  GrpcConnection(std::shared_ptr<GrpcSession> session, const GrpcOptions& options);

  const std::shared_ptr<GrpcSession> session_;
  const GrpcOptions options_;
};

/// The first whole message of the bytes from `at` on, which is moved behind it; nullopt: not all of it is there.
/// InternalError for a compressed one, RequestEntityTooLarge beyond `message_max`. For a stream of length-prefixed
/// messages.
Result<std::optional<std::string_view>> NextGrpcMessage(std::string_view bytes, size_t& at, size_t message_max);
/// The five bytes in front of a message, and the message.
std::string GrpcFrame(std::string_view message);
/// gRPC's status codes as errors; REQUIRES: code != 0.
Status StatusOfGrpc(int code, std::string message);
/// "grpc-message" with its %XX undone.
std::string DecodeGrpcMessage(std::string_view text);

}  // namespace knarr::net
