#include "cli/object_convert.h"

#include <gtest/gtest.h>

#include <vector>

namespace knarr::cli {
namespace {

VerbOutput Object(const std::vector<std::string>& arguments, std::string_view input) {
  return RunObject(arguments, [&]() -> Result<std::string> { return std::string(input); });
}

TEST(ObjectConvertTest, ConvertsStandardInput) {
  const std::string yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  b: \"1\"\n";
  const VerbOutput json = Object({"convert", "-i", "yaml", "-o", "json"}, yaml);
  EXPECT_EQ(json.exit_code, 0);
  EXPECT_EQ(json.out, R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"b":"1"}})"
                      "\n");
  EXPECT_EQ(json.err, "");
  const VerbOutput protobuf = Object({"convert", "-ijson", "--output=protobuf"}, json.out);
  ASSERT_EQ(protobuf.exit_code, 0);
  EXPECT_EQ(protobuf.out.substr(0, 4), std::string("k8s\0", 4));
  const VerbOutput back = Object({"convert", "--input", "protobuf", "-o=yaml"}, protobuf.out);
  EXPECT_EQ(back.out, "apiVersion: v1\ndata:\n  b: \"1\"\nkind: ConfigMap\nmetadata:\n  name: a\n");
}

TEST(ObjectConvertTest, WarnsOfFieldsThatAreDropped) {
  const VerbOutput done =
      Object({"convert", "-i", "json", "-o", "json"}, R"({"apiVersion":"v1","kind":"Secret","x":1})");
  EXPECT_EQ(done.exit_code, 0);
  EXPECT_EQ(done.err, "warning: line 1, column 36: unknown field \"x\"\n");
}

TEST(ObjectConvertTest, FailuresSayWhatAndWhere) {
  struct Case {
    std::vector<std::string> arguments;
    const char* input;
    int exit_code;
    const char* error;
  };
  for (const Case& c : {
           Case{{"convert", "-i", "json", "-o", "yaml"},
                "{\"a\":",
                1,
                "error: line 1, column 6: unexpected end of JSON input\n"},
           Case{{"convert", "-i", "xml", "-o", "yaml"},
                "",
                2,
                "error: unknown form \"xml\": it is json, yaml or protobuf\n"},
           Case{{"convert", "-i", "json"}, "", 2, "error: both -i and -o are needed\n"},
           Case{{"convert", "-i"}, "", 2, "error: flag needs an argument: -i\n"},
           Case{{"convert", "x"}, "", 2, "error: unknown argument \"x\"\n"},
           Case{{"turn"}, "", 2, "error: unknown command \"turn\" for \"knarr object\"\n"},
       }) {
    const VerbOutput done = Object(c.arguments, c.input);
    EXPECT_EQ(done.exit_code, c.exit_code) << c.error;
    EXPECT_EQ(done.err.substr(0, done.err.find('\n') + 1), c.error);
    EXPECT_EQ(done.out, "");
  }
}

}  // namespace
}  // namespace knarr::cli
