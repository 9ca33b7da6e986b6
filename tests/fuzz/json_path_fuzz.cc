// A first line as a template, the rest as its data.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "doc/json.h"
#include "doc/json_path.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr::doc;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t line = std::min(text.find('\n'), text.size());
  auto path = JsonPath::Parse(text.substr(0, line));
  if (!path.ok()) return 0;
  auto document = ParseJson(text.substr(line));
  const Value root = document.ok() ? document->root : Value();
  const bool strict = path->Print(root, JsonPath::MissingKeys::kError).ok();
  const bool lenient = path->Print(root, JsonPath::MissingKeys::kIgnore).ok();
  (void)strict;
  (void)lenient;
  return 0;
}
