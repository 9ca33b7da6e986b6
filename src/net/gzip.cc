#include "net/gzip.h"

#include <zlib.h>

#include "base/check.h"

namespace knarr::net {
namespace {

constexpr int kGzipWindow = 15 + 16;  // the largest window, with gzip's header
constexpr int kMemoryLevel = 8;
constexpr size_t kRoom = 32 << 10;

}  // namespace

struct Gzip::State {
  z_stream stream{};
  State() {
    // Fails only for want of memory, or for arguments that are no arguments.
    CHECK(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, kMemoryLevel, Z_DEFAULT_STRATEGY) == Z_OK);
  }
  ~State() { deflateEnd(&stream); }

  void Run(std::string_view text, int flush, std::string& out) {
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    do {
      const size_t before = out.size();
      out.resize(before + kRoom);
      stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
      stream.avail_out = kRoom;
      deflate(&stream, flush);
      out.resize(before + kRoom - stream.avail_out);
    } while (stream.avail_out == 0);
  }
};

Gzip::Gzip() : state_(std::make_unique<State>()) {}
Gzip::~Gzip() = default;
Gzip::Gzip(Gzip&&) noexcept = default;
Gzip& Gzip::operator=(Gzip&&) noexcept = default;

void Gzip::Add(std::string_view text, std::string& out) {
  constexpr size_t kMost = size_t{1} << 30;
  for (; text.size() > kMost; text.remove_prefix(kMost)) state_->Run(text.substr(0, kMost), Z_NO_FLUSH, out);
  state_->Run(text, Z_NO_FLUSH, out);
}

void Gzip::Finish(std::string& out) { state_->Run({}, Z_FINISH, out); }

namespace {

/// `window` says which of zlib's forms it is.
std::optional<std::string> Inflate(std::string_view packed, size_t limit, int window) {
  z_stream stream{};
  CHECK(inflateInit2(&stream, window) == Z_OK);  // as above
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string out;
  int code = Z_OK;
  while (code == Z_OK && out.size() <= limit) {
    const size_t before = out.size();
    out.resize(before + kRoom);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    stream.avail_out = kRoom;
    code = inflate(&stream, Z_NO_FLUSH);
    out.resize(before + kRoom - stream.avail_out);
  }
  inflateEnd(&stream);
  if (code != Z_STREAM_END || out.size() > limit) return std::nullopt;
  return out;
}

}  // namespace

std::optional<std::string> Unpack(std::string_view packed, size_t limit) {
  constexpr int kAnyHeader = 15 + 32;
  constexpr int kNoHeader = -15;
  auto out = Inflate(packed, limit, kAnyHeader);
  return out.has_value() ? out : Inflate(packed, limit, kNoHeader);
}

}  // namespace knarr::net
