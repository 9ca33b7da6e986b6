#pragma once

// HTTP/1.1 on the wire, for both sides: heads, body framing, and the reading of bodies. Strict where being lenient
// would let two readers of the same bytes see different messages (request smuggling): lines end in CRLF, names are
// tokens followed at once by a colon, no folded lines, one Content-Length of digits, Transfer-Encoding only "chunked"
// and never together with Content-Length.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "net/http.h"
#include "net/stream.h"

namespace knarr::net {

enum class BodyKind : uint8_t { kNone, kLength, kChunked, kUntilClose };

struct BodyFraming {
  BodyKind kind = BodyKind::kNone;
  uint64_t length = 0;  ///< for kLength
};

struct RequestHead {
  std::string method;
  std::string target;
  int minor = 1;  ///< HTTP/1.0 or 1.1
  Headers headers;
  BodyFraming body;
  bool keep_alive = true;
  bool expect_continue = false;
};

struct ResponseHead {
  int code = 0;
  Headers headers;
  BodyFraming body;
  bool keep_alive = true;
};

/// The length of the head with its blank line, 0 while it is incomplete. Code 431 beyond `limit`.
Result<size_t> FindHeadEnd(std::string_view bytes, size_t limit);
/// REQUIRES: `head` is what FindHeadEnd delimits. BadRequest, with the HTTP code to answer with (400, 417, 501, 505).
Result<RequestHead> ParseRequestHead(std::string_view head);
/// `has_body` is false for answers to HEAD.
Result<ResponseHead> ParseResponseHead(std::string_view head, bool has_body);
/// True when the comma-separated values of the header have this token.
bool HasToken(const Headers& headers, std::string_view name, std::string_view token);
/// "Name: value\r\n"; line breaks in the value become spaces.
void AppendHeader(std::string& out, std::string_view name, std::string_view value);
bool IsHeaderName(std::string_view text);

/// Takes the chunk framing away.
class ChunkDecoder {
 public:
  struct Step {
    size_t consumed = 0;  ///< of the input
    size_t produced = 0;  ///< body bytes in `out`
  };
  Result<Step> Decode(std::string_view in, char* out, size_t size);
  bool done() const { return state_ == State::kDone; }

 private:
  enum class State : uint8_t {
    kSize,
    kSizeBlank,
    kExtension,
    kSizeLineFeed,
    kData,
    kDataReturn,
    kDataLineFeed,
    kTrailerStart,
    kTrailer,
    kTrailerLineFeed,
    kEndLineFeed,
    kDone,
  };
  Ok Next(char c);
  Ok NextOfSize(char c);

  State state_ = State::kSize;
  uint64_t left_ = 0;
  int digits_ = 0;
  size_t overhead_ = 0;  // bytes of extensions and trailers, which are dropped
};

/// What was read from a stream and not used yet. Holds no memory while it waits with nothing in it.
class InputBuffer {
 public:
  explicit InputBuffer(Stream* stream) : stream_(stream) {}
  std::string_view bytes() const { return {data_.get() + start_, end_ - start_}; }
  void Consume(size_t count) { start_ += count; }
  /// Reads more behind what is there; false at the stream's end.
  Result<bool> Fill();
  /// Puts bytes that were read elsewhere in front of an empty buffer.
  void Prime(std::string_view bytes);
  Stream& stream() { return *stream_; }

 private:
  void MakeRoom();
  Stream* stream_;
  std::unique_ptr<char[]> data_;
  size_t capacity_ = 0;
  size_t start_ = 0;
  size_t end_ = 0;
};

/// The body of one message.
class BodyReader {
 public:
  BodyReader(InputBuffer* input, BodyFraming framing);
  /// Up to `size` bytes, 0 at the end. Unavailable when the stream ends inside the body.
  Result<size_t> Read(char* out, size_t size);
  bool done() const { return done_; }
  const BodyFraming& framing() const { return framing_; }

 private:
  Result<size_t> ReadPlain(char* out, size_t size);
  Result<size_t> ReadChunked(char* out, size_t size);
  InputBuffer* input_;
  BodyFraming framing_;
  uint64_t left_;
  ChunkDecoder chunks_;
  bool done_;
};

/// A stream with bytes of it that were read already: they come first.
std::unique_ptr<Stream> WithPrefix(std::unique_ptr<Stream> stream, std::string_view prefix);

}  // namespace knarr::net
