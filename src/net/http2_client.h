#pragma once

// The client's side of one HTTP/2 connection. Internal to net/.

#include <memory>

#include "net/http2.h"
#include "net/http_client.h"

namespace knarr::net {

class Http2Client : public Http2Session, public std::enable_shared_from_this<Http2Client> {
 public:
  Http2Client(rt::Runtime& runtime, std::unique_ptr<Stream> stream, Duration idle_timeout);

  /// Whether one more request can begin now.
  bool HasRoom() const;
  /// Sends, and waits for the response's head. `refused` is set when the server certainly did nothing with it.
  Result<std::unique_ptr<ClientResponse>> Send(const ClientRequest& request, bool& refused);
  /// Whether any request got an answer: a connection that never did was not closed for being idle.
  bool proven() const { return proven_; }

 protected:
  StreamPtr NewStream() override { return nullptr; }  // the server opens none: push is off
  void OnHeaders(const StreamPtr& stream) override;
  void OnHeader(Http2Stream& stream, std::string_view name, std::string_view value) override;
  void OnClosed(const StreamPtr& stream) override;
  void OnFrame(uint8_t type, int32_t stream_id, size_t length, bool end_stream) override;
  Result<bool> WaitInput() override;

 private:
  Duration idle_timeout_;
  MonoTime idle_since_;
  bool awaits_pong_ = false;
  bool proven_ = false;
};

/// The name and value pairs of a request's head, checked: BadRequest for what can't be in one.
Result<HeaderList> CheckedHeaders(const ClientRequest& request);
/// "host" or "host:port", without the scheme's own port.
std::string HostHeader(const Url& url);

}  // namespace knarr::net
