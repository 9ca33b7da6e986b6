#include "net/http1.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/strings.h"

namespace knarr::net {
namespace {

constexpr size_t kHeadersMax = 1000;
constexpr size_t kChunkOverheadMax = 64 << 10;
constexpr size_t kBufferSize = 16 << 10;
constexpr int kChunkDigitsMax = 15;  // a size that fits in 63 bits

Status Malformed(std::string_view what) { return BadRequest("malformed HTTP: " + std::string(what)); }

constexpr std::array<bool, 256> kTokenChars = [] {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<size_t>(c)] = true;
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<size_t>(c)] = true;
  return table;
}();

bool IsTokenChar(char c) { return kTokenChars[static_cast<unsigned char>(c)]; }

/// field-content of RFC 9110: visible characters, obs-text, space and tab.
bool IsValueChar(char c) {
  auto u = static_cast<unsigned char>(c);
  return u >= 0x20 ? u != 0x7f : c == '\t';
}

std::string_view TrimBlanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// The next line without its CRLF. REQUIRES: there is one.
std::string_view TakeLine(std::string_view& head) {
  size_t end = head.find("\r\n");
  std::string_view line = head.substr(0, end);
  head.remove_prefix(end + 2);
  return line;
}

Ok ParseHeaders(std::string_view head, Headers& headers) {
  size_t count = 0;
  while (true) {
    std::string_view line = TakeLine(head);
    if (line.empty()) return {};
    if (++count > kHeadersMax) return Malformed("too many headers").WithCode(431);
    size_t colon = line.find(':');
    if (colon == std::string_view::npos) return Malformed("header line without a colon");
    std::string_view name = line.substr(0, colon);
    if (!IsHeaderName(name)) return Malformed("invalid header name");
    std::string_view value = TrimBlanks(line.substr(colon + 1));
    if (!std::all_of(value.begin(), value.end(), IsValueChar)) return Malformed("invalid header value");
    headers.Add(std::string(name), std::string(value));
  }
}

/// Content-Length and Transfer-Encoding. kUntilClose stands for "neither".
Result<BodyFraming> ParseFraming(const Headers& headers, int minor) {
  auto lengths = headers.GetAll("Content-Length");
  auto encodings = headers.GetAll("Transfer-Encoding");
  if (!encodings.empty()) {
    if (!lengths.empty()) return Malformed("both Content-Length and Transfer-Encoding");
    if (minor == 0) return Malformed("Transfer-Encoding in HTTP/1.0");
    if (encodings.size() > 1) return Malformed("too many transfer encodings");
    if (!EqualIgnoreCase(encodings[0], "chunked")) return Malformed("unsupported transfer encoding").WithCode(501);
    return BodyFraming{BodyKind::kChunked, 0};
  }
  if (lengths.empty()) return BodyFraming{BodyKind::kUntilClose, 0};
  if (lengths.size() > 1) return Malformed("more than one Content-Length");
  std::string_view digits = lengths[0];
  if (digits.empty() || digits.size() > 18) return Malformed("bad Content-Length");
  uint64_t length = 0;
  for (char c : digits) {
    if (c < '0' || c > '9') return Malformed("bad Content-Length");
    length = length * 10 + static_cast<uint64_t>(c - '0');
  }
  return BodyFraming{length == 0 ? BodyKind::kNone : BodyKind::kLength, length};
}

bool KeepAlive(const Headers& headers, int minor) {
  if (HasToken(headers, "Connection", "close")) return false;
  return minor >= 1 || HasToken(headers, "Connection", "keep-alive");
}

/// "HTTP/1.1" → 1. Code 505 for other versions of HTTP.
Result<int> ParseVersion(std::string_view text) {
  if (text == "HTTP/1.1") return 1;
  if (text == "HTTP/1.0") return 0;
  if (text.size() == 8 && text.starts_with("HTTP/")) return Malformed("unsupported protocol version").WithCode(505);
  return Malformed("malformed HTTP version");
}

Ok CheckHost(const RequestHead& head) {
  auto hosts = head.headers.GetAll("Host");
  if (hosts.size() > 1) return Malformed("too many Host headers");
  if (hosts.empty()) return head.minor == 0 ? Ok() : BadRequest("missing required Host header");
  for (char c : hosts[0]) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '/' || c == '?' || c == '#' || c == '@' || c == ',') {
      return BadRequest("malformed Host header");
    }
  }
  return {};
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

class PrefixedStream : public Stream {
 public:
  PrefixedStream(std::unique_ptr<Stream> inner, std::string_view prefix) : inner_(std::move(inner)), prefix_(prefix) {}
  Result<size_t> Read(char* out, size_t size) override {
    if (start_ == prefix_.size()) return inner_->Read(out, size);
    size_t count = std::min(size, prefix_.size() - start_);
    std::memcpy(out, prefix_.data() + start_, count);
    start_ += count;
    if (start_ == prefix_.size()) {
      prefix_ = {};
      start_ = 0;
    }
    return count;
  }
  Ok WaitReadable() override { return start_ == prefix_.size() ? inner_->WaitReadable() : Ok(); }
  Ok Write(std::string_view bytes) override { return inner_->Write(bytes); }
  Ok CloseWrite() override { return inner_->CloseWrite(); }
  void Close() override { inner_->Close(); }
  std::string peer() const override { return inner_->peer(); }

 private:
  std::unique_ptr<Stream> inner_;
  std::string prefix_;
  size_t start_ = 0;
};

}  // namespace

bool IsHeaderName(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar); }

Result<size_t> FindHeadEnd(std::string_view bytes, size_t limit) {
  size_t end = bytes.substr(0, limit).find("\r\n\r\n");
  if (end != std::string_view::npos) return end + 4;
  if (bytes.size() >= limit) return BadRequest("request header too large").WithCode(431);
  return size_t{0};
}

bool HasToken(const Headers& headers, std::string_view name, std::string_view token) {
  for (std::string_view value : headers.GetAll(name)) {
    while (!value.empty()) {
      size_t comma = std::min(value.find(','), value.size());
      if (EqualIgnoreCase(TrimBlanks(value.substr(0, comma)), token)) return true;
      value.remove_prefix(std::min(comma + 1, value.size()));
    }
  }
  return false;
}

void AppendHeader(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  for (char c : value) out += c == '\r' || c == '\n' ? ' ' : c;
  out += "\r\n";
}

Result<RequestHead> ParseRequestHead(std::string_view bytes) {
  RequestHead head;
  std::string_view line = TakeLine(bytes);
  size_t first = line.find(' ');
  size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return Malformed("malformed request line");
  head.method = line.substr(0, first);
  head.target = line.substr(first + 1, last - first - 1);
  if (!IsHeaderName(head.method)) return Malformed("invalid method");
  for (char c : head.target) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) return Malformed("invalid request target");
  }
  if (head.target.empty()) return Malformed("malformed request line");
  head.minor = TRY(ParseVersion(line.substr(last + 1)));
  TRY(ParseHeaders(bytes, head.headers));
  TRY(CheckHost(head));
  head.body = TRY(ParseFraming(head.headers, head.minor));
  if (head.body.kind == BodyKind::kUntilClose) head.body.kind = BodyKind::kNone;  // a request without either has none
  head.keep_alive = KeepAlive(head.headers, head.minor);
  if (std::string_view expect = head.headers.Get("Expect"); !expect.empty() && head.minor >= 1) {
    if (!EqualIgnoreCase(expect, "100-continue")) return BadRequest("unknown expectation").WithCode(417);
    head.expect_continue = true;
  }
  return head;
}

Result<ResponseHead> ParseResponseHead(std::string_view bytes, bool has_body) {
  ResponseHead head;
  std::string_view line = TakeLine(bytes);
  if (line.size() < 12 || line[8] != ' ' || (line.size() > 12 && line[12] != ' ')) {
    return Malformed("malformed status line");
  }
  int minor = TRY(ParseVersion(line.substr(0, 8)));
  for (char c : line.substr(9, 3)) {
    if (c < '0' || c > '9') return Malformed("malformed status code");
    head.code = head.code * 10 + (c - '0');
  }
  if (head.code < 100) return Malformed("malformed status code");
  TRY(ParseHeaders(bytes, head.headers));
  head.body = TRY(ParseFraming(head.headers, minor));
  if (!has_body || head.code < 200 || head.code == 204 || head.code == 304) head.body = {};
  head.keep_alive = KeepAlive(head.headers, minor) && head.body.kind != BodyKind::kUntilClose;
  return head;
}

Ok ChunkDecoder::NextOfSize(char c) {
  if (int digit = HexDigit(c); digit >= 0) {
    if (++digits_ > kChunkDigitsMax) return Malformed("chunk size too large");
    left_ = left_ << 4 | static_cast<uint64_t>(digit);
    return {};
  }
  if (digits_ == 0) return Malformed("chunk without a size");
  if (c == '\r') {
    state_ = State::kSizeLineFeed;
  } else if (c == ';') {
    state_ = State::kExtension;
  } else if (c == ' ' || c == '\t') {
    state_ = State::kSizeBlank;
  } else {
    return Malformed("invalid chunk size");
  }
  return {};
}

Ok ChunkDecoder::Next(char c) {
  auto expect = [&](char wanted, State next) -> Ok {
    if (c != wanted) return Malformed("malformed chunked encoding");
    state_ = next;
    return {};
  };
  switch (state_) {
    case State::kSize:
      return NextOfSize(c);
    case State::kSizeBlank:
      if (++overhead_ > kChunkOverheadMax || HexDigit(c) >= 0) return Malformed("invalid chunk size");
      return NextOfSize(c);
    case State::kExtension:
    case State::kTrailer:
      if (++overhead_ > kChunkOverheadMax) return Malformed("chunk extensions or trailers too large");
      if (c == '\r') {
        state_ = state_ == State::kExtension ? State::kSizeLineFeed : State::kTrailerLineFeed;
      } else if (!IsValueChar(c)) {
        return Malformed("invalid character in a chunk extension or trailer");
      }
      return {};
    case State::kSizeLineFeed:
      return expect('\n', left_ == 0 ? State::kTrailerStart : State::kData);
    case State::kDataReturn:
      return expect('\r', State::kDataLineFeed);
    case State::kDataLineFeed:
      digits_ = 0;
      return expect('\n', State::kSize);
    case State::kTrailerStart:
      if (c == '\r') {
        state_ = State::kEndLineFeed;
        return {};
      }
      if (!IsTokenChar(c)) return Malformed("malformed trailer");
      state_ = State::kTrailer;
      return {};
    case State::kTrailerLineFeed:
      return expect('\n', State::kTrailerStart);
    case State::kEndLineFeed:
      return expect('\n', State::kDone);
    case State::kData:
    case State::kDone:
      break;
  }
  return {};
}

Result<ChunkDecoder::Step> ChunkDecoder::Decode(std::string_view in, char* out, size_t size) {
  Step step;
  while (step.consumed < in.size() && !done()) {
    if (state_ != State::kData) {
      TRY(Next(in[step.consumed]));
      ++step.consumed;
      continue;
    }
    size_t count = std::min<uint64_t>({left_, in.size() - step.consumed, size - step.produced});
    if (count == 0) break;
    std::memcpy(out + step.produced, in.data() + step.consumed, count);
    step.consumed += count;
    step.produced += count;
    left_ -= count;
    if (left_ == 0) state_ = State::kDataReturn;
  }
  return step;
}

void InputBuffer::MakeRoom() {
  if (end_ < capacity_) return;
  size_t used = end_ - start_;
  if (used <= capacity_ / 2 && capacity_ > 0) {
    std::memmove(data_.get(), data_.get() + start_, used);
  } else {
    size_t bigger = std::max(kBufferSize, capacity_ * 2);
    auto data = std::make_unique_for_overwrite<char[]>(bigger);
    if (used > 0) std::memcpy(data.get(), data_.get() + start_, used);
    data_ = std::move(data);
    capacity_ = bigger;
  }
  start_ = 0;
  end_ = used;
}

Result<bool> InputBuffer::Fill() {
  if (start_ == end_) {
    data_.reset();
    capacity_ = start_ = end_ = 0;
    TRY(stream_->WaitReadable());
  }
  MakeRoom();
  size_t count = TRY(stream_->Read(data_.get() + end_, capacity_ - end_));
  end_ += count;
  return count > 0;
}

void InputBuffer::Prime(std::string_view bytes) {
  capacity_ = std::max(kBufferSize, bytes.size());
  data_ = std::make_unique_for_overwrite<char[]>(capacity_);
  std::memcpy(data_.get(), bytes.data(), bytes.size());
  start_ = 0;
  end_ = bytes.size();
}

BodyReader::BodyReader(InputBuffer* input, BodyFraming framing)
    : input_(input), framing_(framing), left_(framing.length), done_(framing.kind == BodyKind::kNone) {}

Result<size_t> BodyReader::Read(char* out, size_t size) {
  if (done_ || size == 0) return size_t{0};
  return framing_.kind == BodyKind::kChunked ? ReadChunked(out, size) : ReadPlain(out, size);
}

Result<size_t> BodyReader::ReadPlain(char* out, size_t size) {
  bool counted = framing_.kind == BodyKind::kLength;
  if (counted) size = std::min<uint64_t>(size, left_);
  size_t count = std::min(size, input_->bytes().size());
  if (count > 0) {
    std::memcpy(out, input_->bytes().data(), count);
    input_->Consume(count);
  } else {
    TRY(input_->stream().WaitReadable());
    count = TRY(input_->stream().Read(out, size));
    if (count == 0 && counted) return Unavailable("unexpected EOF in the body");
    if (count == 0) done_ = true;
  }
  if (counted) left_ -= count;
  if (counted && left_ == 0) done_ = true;
  return count;
}

Result<size_t> BodyReader::ReadChunked(char* out, size_t size) {
  while (true) {
    ChunkDecoder::Step step = TRY(chunks_.Decode(input_->bytes(), out, size));
    input_->Consume(step.consumed);
    if (chunks_.done()) done_ = true;
    if (step.produced > 0 || done_) return step.produced;
    if (!TRY(input_->Fill())) return Unavailable("unexpected EOF in the body");
  }
}

std::unique_ptr<Stream> WithPrefix(std::unique_ptr<Stream> stream, std::string_view prefix) {
  if (prefix.empty()) return stream;
  return std::make_unique<PrefixedStream>(std::move(stream), prefix);
}

}  // namespace knarr::net
