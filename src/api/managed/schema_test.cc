#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "api/codec.h"
#include "api/managed/typed.h"
#include "base/strings.h"
#include "doc/json.h"

// What Kubernetes' own code makes of the golden objects, in which every field is set: so every list and struct of the
// schema is looked at.

namespace knarr::api::managed {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(ManagedSchema, FieldsOfGoldenObjects) {
  const std::string folder = KNARR_SOURCE_DIR "/tests/golden/";
  const std::string lines = ReadFile(folder + "managed_fields/schema.jsonl");
  size_t objects = 0;
  for (const std::string_view line : Lines(lines)) {
    const doc::Document expected = MUST(doc::ParseJson(line));
    const std::string name(expected.root.At("object").AsString());
    Decoded decoded = MUST(DecodeJson(ReadFile(folder + "api/" + name + ".json")));
    doc::Arena arena;
    doc::Value empty = doc::Value::Object();
    MUST(Canonicalize(*decoded.type, empty, arena));
    const doc::Value identity[] = {decoded.document.root.At("kind"), decoded.document.root.At("apiVersion")};
    empty.Set(arena, "kind", identity[0]);
    empty.Set(arena, "apiVersion", identity[1]);
    const Comparison comparison = MUST(Compare(*decoded.type, empty, decoded.document.root, arena));
    EXPECT_EQ(doc::ToJson(comparison.changed), doc::ToJson(expected.root.At("created"))) << name;
    const doc::Value& fields = expected.root.At("fields");
    if (fields.is_object()) {
      const doc::Value set = ToFieldSet(*decoded.type, decoded.document.root, arena);
      EXPECT_EQ(doc::ToJson(set), doc::ToJson(fields)) << name;
    }
    EXPECT_EQ(CheckTyped(*decoded.type, decoded.document.root), "") << name;
    ++objects;
  }
  EXPECT_GT(objects, 40U);
}

}  // namespace
}  // namespace knarr::api::managed
