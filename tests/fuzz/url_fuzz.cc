// A URL that parses must read back the same from its own text.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "net/http.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto url = knarr::net::Url::Parse({reinterpret_cast<const char*>(data), size});
  if (!url.ok()) return 0;
  std::string text = url->ToString();
  auto again = knarr::net::Url::Parse(text);
  CHECK(again.ok());
  CHECK(again->scheme == url->scheme && again->host == url->host && again->port == url->port);
  CHECK(again->path == (url->path.empty() ? "/" : url->path));
  CHECK(again->query == url->query);
  CHECK(again->ToString() == text);
  return 0;
}
