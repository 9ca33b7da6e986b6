#include "net/spdy_frame.h"

#include <zlib.h>

#include <map>

#include "base/check.h"
#include "base/strings.h"
#include "net/http1.h"

namespace knarr::net {
namespace {

constexpr uint16_t kVersion = 3;
constexpr uint32_t kControlBit = 0x80000000;
constexpr uint32_t kLengthMax = 0xffffff;
constexpr size_t kHeadersCountMax = 256;
/// Blocks are short: a small window, and little memory for each connection.
constexpr int kWindowBits = 11;
constexpr int kMemoryLevel = 1;

/// The dictionary both ends begin with: these words, each behind its length, and then the text.
constexpr std::string_view kDictionaryWords[] = {
    "options", "head", "post", "put", "delete", "trace", "accept", "accept-charset", "accept-encoding",
    "accept-language", "accept-ranges", "age", "allow", "authorization", "cache-control", "connection", "content-base",
    "content-encoding", "content-language", "content-length", "content-location", "content-md5", "content-range",
    "content-type", "date", "etag", "expect", "expires", "from", "host", "if-match", "if-modified-since",
    "if-none-match", "if-range", "if-unmodified-since", "last-modified", "location", "max-forwards", "pragma",
    "proxy-authenticate", "proxy-authorization", "range", "referer", "retry-after", "server", "te", "trailer",
    "transfer-encoding", "upgrade", "user-agent", "vary", "via", "warning", "www-authenticate", "method", "get",
    "status", "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"};
constexpr std::string_view kDictionaryText =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

const std::string& Dictionary() {
  static const std::string kDictionary = [] {
    std::string out;
    for (const std::string_view word : kDictionaryWords) {
      AppendU32(out, static_cast<uint32_t>(word.size()));
      out += word;
    }
    return out.append(kDictionaryText);
  }();
  return kDictionary;
}

const Bytef* Bytes(std::string_view text) { return reinterpret_cast<const Bytef*>(text.data()); }

/// Reads a block's texts, each behind its length.
class BlockReader {
 public:
  explicit BlockReader(std::string_view block) : rest_(block) {}
  Result<uint32_t> Number() {
    if (rest_.size() < 4) return BadRequest("SPDY: a block of headers ends in a number");
    const uint32_t out = ReadU32(rest_);
    rest_.remove_prefix(4);
    return out;
  }
  Result<std::string_view> Text() {
    const uint32_t size = TRY(Number());
    if (size > rest_.size()) return BadRequest("SPDY: a block of headers ends in a text");
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

Result<Headers> ParseBlock(std::string_view block) {
  Headers out;
  BlockReader reader(block);
  const uint32_t count = TRY(reader.Number());
  if (count > kHeadersCountMax) return BadRequest("SPDY: too many headers");
  for (uint32_t i = 0; i < count; ++i) {
    const std::string_view name = TRY(reader.Text());
    const std::string_view values = TRY(reader.Text());
    if (!IsHeaderName(name.starts_with(':') ? name.substr(1) : name)) {
      return BadRequest("SPDY: a malformed header name");
    }
    for (const std::string_view value : Split(values, '\0')) out.Add(std::string(name), std::string(value));
  }
  if (!reader.empty()) return BadRequest("SPDY: bytes behind a block of headers");
  return out;
}

}  // namespace

void AppendU32(std::string& out, uint32_t value) {
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(value >> shift & 0xff);
}

uint32_t ReadU32(std::string_view bytes, size_t at) {
  uint32_t out = 0;
  for (size_t i = 0; i < 4; ++i) out = out << 8 | static_cast<uint8_t>(bytes[at + i]);
  return out;
}

Result<SpdyHead> ParseSpdyHead(std::string_view bytes) {
  SpdyHead head;
  const uint32_t first = ReadU32(bytes);
  const uint32_t second = ReadU32(bytes, 4);
  head.flags = static_cast<uint8_t>(second >> 24);
  head.length = second & kLengthMax;
  if ((first & kControlBit) == 0) {
    head.stream = first;
    if (head.stream == 0) return BadRequest("SPDY: data of no stream");
    return head;
  }
  if ((first & ~kControlBit) >> 16 != kVersion) return BadRequest("SPDY: a frame that is not of version 3");
  head.type = static_cast<SpdyType>(first & 0xffff);
  if (head.type == SpdyType::kData) return BadRequest("SPDY: a control frame without a type");
  if (head.length > kSpdyControlMax) return BadRequest("SPDY: a control frame that is too long");
  return head;
}

void AppendSpdyHead(std::string& out, const SpdyHead& head) {
  const bool control = head.type != SpdyType::kData;
  AppendU32(out, control ? kControlBit | uint32_t{kVersion} << 16 | static_cast<uint32_t>(head.type) : head.stream);
  AppendU32(out, uint32_t{head.flags} << 24 | head.length);
}

struct SpdyInflater::State {
  z_stream stream{};
  // Fails only for want of memory.
  State() { CHECK(inflateInit(&stream) == Z_OK); }
  ~State() { inflateEnd(&stream); }
};

SpdyInflater::SpdyInflater() : state_(std::make_unique<State>()) {}
SpdyInflater::~SpdyInflater() = default;

Result<Headers> SpdyInflater::Inflate(std::string_view block) {
  z_stream& stream = state_->stream;
  std::string text(kSpdyHeadersMax, '\0');
  stream.next_in = const_cast<Bytef*>(Bytes(block));
  stream.avail_in = static_cast<uInt>(block.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  int code = inflate(&stream, Z_SYNC_FLUSH);
  if (code == Z_NEED_DICT) {
    const std::string& dictionary = Dictionary();
    if (inflateSetDictionary(&stream, Bytes(dictionary), static_cast<uInt>(dictionary.size())) != Z_OK) {
      return BadRequest("SPDY: headers packed with another dictionary");
    }
    code = inflate(&stream, Z_SYNC_FLUSH);
  }
  if (code != Z_OK && code != Z_BUF_ERROR) return BadRequest("SPDY: a block of headers can't be unpacked");
  if (stream.avail_in > 0 || stream.avail_out == 0) return BadRequest("SPDY: a block of headers is too long");
  return ParseBlock(std::string_view(text).substr(0, text.size() - stream.avail_out));
}

struct SpdyDeflater::State {
  z_stream stream{};
  State() {
    // Fails only for want of memory, or for arguments that are no arguments.
    CHECK(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kWindowBits, kMemoryLevel, Z_DEFAULT_STRATEGY) == Z_OK);
    const std::string& dictionary = Dictionary();
    CHECK(deflateSetDictionary(&stream, Bytes(dictionary), static_cast<uInt>(dictionary.size())) == Z_OK);
  }
  ~State() { deflateEnd(&stream); }
};

SpdyDeflater::SpdyDeflater() : state_(std::make_unique<State>()) {}
SpdyDeflater::~SpdyDeflater() = default;

std::string SpdyDeflater::Deflate(const Headers& headers) {
  // Several values of one name stand together, a NUL between them.
  std::map<std::string, std::string> values;
  for (const auto& [name, value] : headers.all()) {
    const auto [at, added] = values.try_emplace(ToLower(name), value);
    if (!added) at->second.append(1, '\0').append(value);
  }
  std::string block;
  AppendU32(block, static_cast<uint32_t>(values.size()));
  for (const auto& [name, value] : values) {
    for (const std::string& text : {name, value}) {
      AppendU32(block, static_cast<uint32_t>(text.size()));
      block += text;
    }
  }
  z_stream& stream = state_->stream;
  std::string out;
  stream.next_in = const_cast<Bytef*>(Bytes(block));
  stream.avail_in = static_cast<uInt>(block.size());
  do {
    constexpr size_t kRoom = 4 << 10;
    const size_t before = out.size();
    out.resize(before + kRoom);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    stream.avail_out = kRoom;
    deflate(&stream, Z_SYNC_FLUSH);
    out.resize(before + kRoom - stream.avail_out);
  } while (stream.avail_out == 0);
  return out;
}

}  // namespace knarr::net
