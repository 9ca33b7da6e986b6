// Any bytes as JSON: what is accepted must be written and read back the same.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/check.h"
#include "doc/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr::doc;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t path_bytes = 0;
  auto parsed = ParseJson(text, {.on_duplicate = [&](std::string_view path) { path_bytes += path.size(); }});
  if (!parsed.ok()) {
    CHECK(parsed.status().message().starts_with("line "));
    return 0;
  }
  CHECK(parsed->root.FitsDepth(kDepthMax));
  const std::string written = ToJson(parsed->root);
  auto again = ParseJson(written);
  CHECK(again.ok());
  CHECK(again->root.Equals(parsed->root));
  auto pretty = ParseJson(ToPrettyJson(parsed->root));
  CHECK(pretty.ok() && pretty->root.Equals(parsed->root));
  knarr::doc::Document copy = Document::Copy(parsed->root);
  CHECK(ToJson(copy.root) == written);
  copy.root.SortMembers();
  CHECK(copy.root.Equals(parsed->root));
  return 0;
}
