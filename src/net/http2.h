#pragma once

// An HTTP/2 connection (nghttp2), as both sides need it. A reading fiber feeds nghttp2; a writing fiber takes frames
// from it in batches, copies body bytes once from where they lie, and writes. Everything else, in the fibers of
// requests, changes a stream's state and wakes the writer. nghttp2 is never called while one of its calls is under way
// (its callbacks only submit), and no callback waits. Internal to net/.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/status.h"
#include "net/http.h"
#include "net/stream.h"
#include "rt/sync.h"

struct nghttp2_session;

namespace knarr::net {

// RFC 9113's error codes that we send or look at.
inline constexpr uint32_t kHttp2NoError = 0;
inline constexpr uint32_t kHttp2Internal = 2;
inline constexpr uint32_t kHttp2Refused = 7;
inline constexpr uint32_t kHttp2Cancel = 8;
inline constexpr uint32_t kHttp2EnhanceYourCalm = 11;

using HeaderList = std::vector<std::pair<std::string, std::string>>;

/// One stream's state, shared by the connection and the fiber that works on it.
struct Http2Stream {
  explicit Http2Stream(rt::Runtime& runtime) : changed(runtime) {}
  virtual ~Http2Stream() = default;

  int32_t id = 0;
  bool closed = false;
  uint32_t error_code = kHttp2NoError;  ///< once closed

  // Incoming. What is not read yet is bounded by the stream's flow-control window.
  Headers headers;
  size_t header_bytes = 0;
  bool headers_done = false;
  std::string in;
  size_t in_start = 0;
  bool in_ended = false;

  // Outgoing: first our own bytes, then shared ones, then pieces of somebody else, who waits until they are gone.
  std::string out;
  size_t out_start = 0;
  std::vector<SharedPiece> shared;
  size_t shared_index = 0;  ///< the first that is not sent
  size_t shared_size = 0;   ///< bytes left in them
  std::vector<std::string_view> pieces;
  size_t piece_index = 0;
  size_t pieces_size = 0;  ///< bytes left in them
  bool out_ended = false;
  bool deferred = false;  ///< nghttp2 was told that there is nothing to send for now
  bool aborted = false;   ///< pieces were taken back

  rt::WaitQueue changed;

  size_t pending() const { return out.size() - out_start + shared_size + pieces_size; }
  /// Moves `size` bytes of what is pending to the end of `batch`. REQUIRES: size <= pending().
  void MoveTo(std::string& batch, size_t size);
};
using StreamPtr = std::shared_ptr<Http2Stream>;

class Http2Session {
 public:
  struct Options {
    bool server = false;
    uint32_t streams_max = 100;
    uint32_t stream_window = 256 << 10;
    uint32_t connection_window = 1 << 20;
    uint32_t header_list_max = 64 << 10;
    Duration write_timeout = std::chrono::minutes(3);
  };
  Http2Session(rt::Runtime& runtime, std::unique_ptr<Stream> stream, const Options& options);
  virtual ~Http2Session();
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  /// The bodies of the two fibers. Each ends when the connection does.
  void ReadLoop(std::string prefix);
  void WriteLoop();

  /// Copies small bytes (and waits while much is pending); waits until big ones are sent.
  Ok Write(const StreamPtr& stream, std::string_view bytes);
  /// As Write of small bytes, without the copy.
  Ok WriteShared(const StreamPtr& stream, std::vector<SharedPiece> pieces);
  /// All pieces and the end of the stream. Returns at once when they are small enough to copy.
  Ok WriteLast(const StreamPtr& stream, std::vector<std::string_view> pieces);
  void EndWrite(Http2Stream& stream);
  /// Up to `size` bytes, 0 at the end. Opens the peer's window by as much.
  Result<size_t> Read(const StreamPtr& stream, char* out, size_t size);
  void Reset(Http2Stream& stream, uint32_t code);

  /// Says GOAWAY: streams that run go on, new ones are refused.
  void GoAway(uint32_t code);
  /// Ends the connection at once, and all its streams.
  void Fail(std::string_view why);

  bool closed() const { return closed_; }
  /// Once closed.
  const std::string& why() const { return why_; }
  size_t stream_count() const { return streams_.size(); }
  Stream& stream() { return *stream_; }
  rt::Runtime& runtime() { return runtime_; }

 protected:
  /// Submits and wakes the writer. `stream` must be known to the session (server) or becomes so (client).
  Ok SubmitResponse(Http2Stream& stream, const HeaderList& headers, bool has_body);
  Ok SubmitInformational(Http2Stream& stream, int code);
  Ok SubmitRequest(const StreamPtr& stream, const HeaderList& headers, bool has_body);
  void SubmitPing();
  uint32_t peer_streams_max() const;
  bool accepts_requests() const;
  void Wake();
  StreamPtr Find(int32_t id) const;

  // What the sides do differently; all are called inside nghttp2, and must not wait.
  virtual StreamPtr NewStream() = 0;
  /// A whole block of headers is in.
  virtual void OnHeaders(const StreamPtr& stream) = 0;
  virtual void OnHeader(Http2Stream& stream, std::string_view name, std::string_view value) = 0;
  /// Of the block behind the body; few protocols have one.
  virtual void OnTrailer(Http2Stream&, std::string_view, std::string_view) {}
  virtual void OnClosed(const StreamPtr& stream) = 0;
  /// Any whole frame; `type` as on the wire.
  virtual void OnFrame(uint8_t type, int32_t stream_id, size_t length, bool end_stream) = 0;
  /// Waits for input, or decides that the connection has been idle too long (false).
  virtual Result<bool> WaitInput() = 0;

 private:
  friend struct Http2Callbacks;
  Ok WaitPieces(const StreamPtr& stream);
  void Resume(Http2Stream& stream);
  Status Broken(const Http2Stream& stream) const;
  bool Receive(std::string_view bytes);

  rt::Runtime& runtime_;
  std::unique_ptr<Stream> stream_;
  Options options_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<int32_t, StreamPtr> streams_;
  std::string batch_;
  bool closed_ = false;
  bool wake_ = false;
  std::string why_;
  rt::WaitQueue writer_;
  rt::WaitQueue drained_;
};

}  // namespace knarr::net
