// Sets of fields from outside, and whole apply patches on a live Pod: the first byte tells which. What comes out must
// be canonical: reading it again changes nothing.

#include <string_view>

#include "api/codec.h"
#include "api/managed/field_manager.h"
#include "base/check.h"
#include "doc/json.h"
#include "doc/yaml.h"

namespace {

using namespace knarr;  // a fuzz target is a program of its own

void Sets(std::string_view text) {
  doc::Arena arena;
  const Result<doc::Value> json = doc::ParseJsonBorrowing(text, arena);
  if (!json.ok()) return;
  const Result<doc::Value> set = api::managed::ParseFieldSet(*json, arena);
  if (!set.ok()) return;
  const std::string written = doc::ToJson(*set);
  const doc::Value again = MUST(doc::ParseJsonBorrowing(arena.Copy(written), arena));
  CHECK(doc::ToJson(MUST(api::managed::ParseFieldSet(again, arena))) == written);
  CHECK(doc::ToJson(api::managed::Union(*set, *set, arena)) == written);
  CHECK(doc::ToJson(api::managed::Intersection(*set, *set, arena)) == written);
  CHECK(api::managed::Difference(*set, *set, arena).empty());
  size_t paths = 0;
  api::managed::ForEachPath(*set, [&](api::managed::PathElements path) {
    CHECK(api::managed::Contains(*set, path));
    (void)api::managed::PathText(path);
    ++paths;
  });
  CHECK((paths == 0) == set->empty());
}

const api::managed::FieldManager& PodFields() {
  static const api::managed::FieldManager kFields(*api::FindKind("v1", "Pod"), "", {R"({"f:status":{}})"});
  return kFields;
}

// The live pod is what the first document makes when somebody else applies it; the second document is applied to it.
void Applies(std::string_view text) {
  const auto documents = doc::ParseYamlStream(text);
  if (!documents.ok() || documents->empty()) return;
  const auto applied = PodFields().Apply(doc::Value::Null(), documents->front().root(), {"one", false, WallTime()});
  if (!applied.ok()) return;
  const doc::Value& next = documents->back().root();
  for (const bool force : {false, true}) {
    const auto merged = PodFields().Apply(applied->root, next, {"two", force, WallTime()});
    if (!merged.ok()) continue;
    doc::Document update = doc::Document::Copy(merged->root);
    (void)PodFields().Update(applied->root, update, "three", WallTime());
    doc::Document forged = doc::Document::Copy(next);
    if (!forged.root.At("metadata").is_object()) continue;
    if (api::Canonicalize(*PodFields().kind().type, forged.root, forged.arena).ok()) {
      (void)PodFields().Update(applied->root, forged, "four", WallTime());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  data[0] % 2 == 0 ? Sets(text) : Applies(text);
  return 0;
}
