// A first line as a patch, the rest as the document it is applied to.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "doc/json.h"
#include "doc/json_patch.h"
#include "doc/json_pointer.h"
#include "doc/merge_patch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr::doc;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t line = text.find('\n');
  if (line == std::string_view::npos) return 0;
  auto patch = ParseJson(text.substr(0, line));
  auto target = ParseJson(text.substr(line + 1));
  if (!patch.ok() || !target.ok()) return 0;

  Document merged = Document::Copy(target->root);
  ApplyMergePatch(patch->root, merged.root, merged.arena);
  CHECK(merged.root.FitsDepth(kDepthMax));
  Arena arena;
  const Value difference = CreateMergePatch(target->root, merged.root, arena);
  CHECK(difference.FitsDepth(kDepthMax));

  Document patched = Document::Copy(target->root);
  if (ApplyJsonPatch(patch->root, patched.root, patched.arena).ok()) {
    CHECK(patched.root.FitsDepth(kDepthMax));
    CHECK(ParseJson(ToJson(patched.root)).ok());
  }
  for (const Value& operation : patch->root.items()) {
    FindPointer(patched.root, operation.Get("path").AsString());
  }
  return 0;
}
