#include "api/json_schema.h"

#include <gtest/gtest.h>

#include <string>

#include "api/string_formats.h"
#include "doc/json.h"

namespace knarr::api {
namespace {

std::string Check(std::string_view schema, std::string_view value) {
  const doc::Document parsed_schema = MUST(doc::ParseJson(schema));
  const doc::Document parsed_value = MUST(doc::ParseJson(value));
  std::string out;
  for (const FieldError& error : CheckAgainstSchema(parsed_schema.root, parsed_value.root, "x")) {
    out += (out.empty() ? "" : "; ") + error.field + ": " + error.body;
  }
  return out;
}

// More of them are in the golden files (defaults of definitions).
TEST(JsonSchemaTest, SaysWhatKubernetesSays) {
  struct Case {
    const char* schema;
    const char* value;
    const char* errors;
  };
  for (const Case& c : {
           Case{R"({"type":"integer"})", "1.0", ""},
           Case{R"({"type":"integer"})", "\"a\"",
                R"(x: Invalid value: "string":  in body must be of type integer: "string")"},
           Case{R"({"type":"object","required":["a"],"properties":{"b":{"type":"string"}}})", R"({"b":1})",
                R"(x.b: Invalid value: "integer": b in body must be of type string: "integer"; x.a: Required value)"},
           Case{R"({"type":"string","nullable":true,"enum":["a"]})", "null",
                R"(x: Unsupported value: null: supported values: "a")"},
           Case{R"({"type":"array","maxItems":1,"items":{"type":"string","maxLength":1}})", R"(["ab","c"])",
                "x.[0]: Too long: may not be more than 1 byte; x: Too many: 2: must have at most 1 item"},
           Case{R"({"type":"string","format":"date"})", R"("2020-02-30")",
                R"(x: Invalid value: "2020-02-30":  in body must be of type date: "2020-02-30")"},
           Case{
               R"({"oneOf":[{"required":["a"]},{"required":["b"]}]})", R"({"a":1,"b":1})",
               R"(x: Invalid value: "": "" must validate one and only one schema (oneOf). Found 2 valid alternatives)"},
       }) {
    EXPECT_EQ(Check(c.schema, c.value), c.errors) << c.schema << " " << c.value;
  }
}

TEST(StringFormatsTest, AreKnownByTheirNames) {
  EXPECT_TRUE(IsKnownFormat("date-time"));
  EXPECT_TRUE(IsKnownFormat("datetime"));
  EXPECT_FALSE(IsKnownFormat("int32"));
  EXPECT_TRUE(HasFormat("email", "Ann <a@b.c>"));
  EXPECT_FALSE(HasFormat("email", "a@"));
  EXPECT_TRUE(HasFormat("cidr", "010.0.0.0/8"));
  EXPECT_TRUE(HasFormat("duration", "2 weeks and a bit"));
}

}  // namespace
}  // namespace knarr::api
