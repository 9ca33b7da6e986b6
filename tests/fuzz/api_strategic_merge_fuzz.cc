// A first line as a strategic merge patch, the rest as the Deployment it is applied to; and the patches between the
// two.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/schema.h"
#include "api/strategic_merge.h"
#include "base/check.h"
#include "doc/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t line = text.find('\n');
  if (line == std::string_view::npos) return 0;
  const auto patch = doc::ParseJson(text.substr(0, line));
  const auto object = doc::ParseJson(text.substr(line + 1));
  if (!patch.ok() || !object.ok() || !patch->root.is_object() || !object->root.is_object()) return 0;
  const api::Type* type = api::FindRootType("apps/v1", "Deployment");
  doc::Arena arena;
  const auto merged = api::StrategicMerge(*type, object->root, patch->root, arena);
  if (merged.ok()) CHECK(doc::ParseJson(doc::ToJson(*merged)).ok());
  const auto two_way = api::CreateTwoWayMergePatch(*type, object->root, patch->root, arena);
  if (two_way.ok()) CHECK(two_way->is_object());
  const auto three_way = api::CreateThreeWayMergePatch(*type, object->root, patch->root, object->root, arena);
  if (three_way.ok()) CHECK(three_way->is_object());
  return 0;
}
