// The first byte chooses: request heads, response heads, or chunked bodies (decoded in steps of two sizes, which must
// give the same).

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "net/http1.h"

namespace {

using knarr::net::BodyKind;
using knarr::net::ChunkDecoder;

void Request(std::string_view text) {
  auto end = knarr::net::FindHeadEnd(text, 4096);
  if (!end.ok() || *end == 0) return;
  auto head = knarr::net::ParseRequestHead(text.substr(0, *end));
  if (!head.ok()) return;
  // What two readers could take differently must not have come through.
  CHECK(!(head->headers.Has("Content-Length") && head->headers.Has("Transfer-Encoding")));
  CHECK(head->headers.GetAll("Host").size() <= 1);
  CHECK(head->headers.GetAll("Content-Length").size() <= 1);
  CHECK(head->body.kind != BodyKind::kUntilClose);
  for (const auto& [name, value] : head->headers.all()) {
    CHECK(knarr::net::IsHeaderName(name));
    CHECK(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
  }
  (void)knarr::net::Url::Parse(head->target);
}

void Response(std::string_view text) {
  auto end = knarr::net::FindHeadEnd(text, 4096);
  if (end.ok() && *end > 0) (void)knarr::net::ParseResponseHead(text.substr(0, *end), true);
}

struct Decoded {
  std::string body;
  size_t used = 0;
  bool ok = true;
  bool done = false;
};

Decoded Decode(std::string_view text, size_t step, size_t room) {
  Decoded out;
  ChunkDecoder decoder;
  std::string buffer(room, '\0');
  while (out.used < text.size() && !decoder.done()) {
    auto result = decoder.Decode(text.substr(out.used, step), buffer.data(), buffer.size());
    if (!result.ok()) {
      out.ok = false;
      return out;
    }
    CHECK(result->consumed > 0 && result->produced <= room);
    out.body.append(buffer, 0, result->produced);
    out.used += result->consumed;
  }
  out.done = decoder.done();
  return out;
}

void Chunks(std::string_view text) {
  Decoded one = Decode(text, 1, 1);
  Decoded many = Decode(text, text.size(), 64);
  CHECK(one.ok == many.ok && one.done == many.done);
  if (one.ok) CHECK(one.body == many.body && one.used == many.used);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      Request(text);
      break;
    case 1:
      Response(text);
      break;
    default:
      Chunks(text);
  }
  return 0;
}
