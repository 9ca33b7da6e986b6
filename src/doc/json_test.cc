#include "doc/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace knarr::doc {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

std::string Again(std::string_view text) {
  auto document = ParseJson(text);
  return document.ok() ? ToJson(document->root) : "error: " + document.status().message();
}

TEST(Json, ReadsAndWrites) {
  struct Case {
    std::string_view in;
    std::string_view out;  // empty: the same
  };
  const Case cases[] = {
      {"null", ""},
      {"true", ""},
      {" false ", "false"},
      {"{}", ""},
      {"[]", ""},
      {"[ ]", "[]"},
      {"\t{\r\n}", "{}"},
      {R"({"b":1,"a":[1,2,{"x":null}],"c":{}})", ""},
      {R"({"a" : [ [ ] , { } , [ 1 ] ] })", R"({"a":[[],{},[1]]})"},
      {R"("A longer string, past sixteen bytes, with \"quotes\" and \\ in it")", ""},
      {R"("\b\f\n\r\t\/\u0041\u00e9\u0000")", R"("\b\f\n\r\t/Aé\u0000")"},
      {R"("\ud83d\ude00")", "\"\U0001F600\""},
      {R"("\ud83d")", "\"\ufffd\""},
      {R"("\ude00\ud83d")", "\"\ufffd\ufffd\""},
      {R"("\ud83d\u0041")", "\"\ufffdA\""},
      {R"("\ud83d\ud83d\ude00")", "\"\ufffd\U0001F600\""},
      {R"("\ud83dx")", "\"\ufffdx\""},
      {"\"a\xff\xfe z\"", "\"a\ufffd\ufffd z\""},
      {"\"\xe2\x82\"", "\"\ufffd\ufffd\""},
      {"\"\xed\xa0\x80 surrogate in UTF-8\"", "\"\ufffd\ufffd\ufffd surrogate in UTF-8\""},
      {"\"한국어 16바이트 넘는 글\"", ""},
      {R"("<a href='x'>&amp;</a>")", R"("\u003ca href='x'\u003e\u0026amp;\u003c/a\u003e")"},
      {"\"\u2028\u2029\u2027\"", "\"\\u2028\\u2029\u2027\""},
      {"\"\x7f\"", ""},
  };
  for (const Case& c : cases) EXPECT_EQ(Again(c.in), c.out.empty() ? c.in : c.out) << c.in;
}

TEST(Json, Numbers) {
  struct Case {
    std::string_view in;
    std::string_view out;
    Kind kind;
  };
  const Case cases[] = {
      {"0", "0", Kind::kInt},
      {"-0", "0", Kind::kInt},
      {"-1", "-1", Kind::kInt},
      {"999999999999999999", "999999999999999999", Kind::kInt},
      {"9223372036854775807", "9223372036854775807", Kind::kInt},
      {"-9223372036854775808", "-9223372036854775808", Kind::kInt},
      {"9223372036854775808", "9223372036854776000", Kind::kDouble},
      {"-9223372036854775809", "-9223372036854776000", Kind::kDouble},
      {"1.0", "1", Kind::kDouble},
      {"-0.0", "-0", Kind::kDouble},
      {"1e3", "1000", Kind::kDouble},
      {"1E+2", "100", Kind::kDouble},
      {"0.1", "0.1", Kind::kDouble},
      {"0.000001", "0.000001", Kind::kDouble},
      {"0.0000001", "1e-7", Kind::kDouble},
      {"1.5e-10", "1.5e-10", Kind::kDouble},
      {"123456789.125", "123456789.125", Kind::kDouble},
      {"1e20", "100000000000000000000", Kind::kDouble},
      {"123456789012345680000", "123456789012345680000", Kind::kDouble},
      {"1e21", "1e+21", Kind::kDouble},
      {"1.7976931348623157e308", "1.7976931348623157e+308", Kind::kDouble},
      {"5e-324", "5e-324", Kind::kDouble},
      {"1e-400", "0", Kind::kDouble},
      {"-2.5e-3", "-0.0025", Kind::kDouble},
  };
  for (const Case& c : cases) {
    auto document = ParseJson(c.in);
    ASSERT_TRUE(document.ok()) << c.in << ": " << document.status().message();
    EXPECT_EQ(document->root.kind(), c.kind) << c.in;
    EXPECT_EQ(ToJson(document->root), c.out) << c.in;
  }
  EXPECT_EQ(ToJson(Value::Double(std::numeric_limits<double>::infinity())), "null");
  EXPECT_EQ(ToJson(Value::Double(std::nan(""))), "null");
}

TEST(Json, ErrorsSayWhereAndWhat) {
  struct Case {
    std::string_view in;
    std::string_view error;
  };
  const Case cases[] = {
      {"", "line 1, column 1: unexpected end of JSON input"},
      {"  ", "line 1, column 3: unexpected end of JSON input"},
      {"{", "line 1, column 2: unexpected end of JSON input"},
      {"x", "line 1, column 1: invalid character 'x' looking for beginning of value"},
      {"{\n  \"a\": }", "line 2, column 8: invalid character '}' looking for beginning of value"},
      {"{a:1}", "line 1, column 2: invalid character 'a' looking for beginning of object key string"},
      {"{\"a\":1,}", "line 1, column 8: invalid character '}' looking for beginning of object key string"},
      {"{\"a\" 1}", "line 1, column 6: invalid character '1' after object key"},
      {"{\"a\":1 \"b\"}", "line 1, column 8: invalid character '\"' after object key:value pair"},
      {"{\"한\":1]", "line 1, column 7: invalid character ']' after object key:value pair"},
      {"[1 2]", "line 1, column 4: invalid character '2' after array element"},
      {"[1,]", "line 1, column 4: invalid character ']' looking for beginning of value"},
      {"[1}", "line 1, column 3: invalid character '}' after array element"},
      {"1 2", "line 1, column 3: invalid character '2' after top-level value"},
      {"{}\n\n'", "line 3, column 1: invalid character '\\'' after top-level value"},
      {"tru", "line 1, column 4: unexpected end of JSON input"},
      {"trux", "line 1, column 4: invalid character 'x' in literal true (expecting 'e')"},
      {"nul\xff", "line 1, column 4: invalid character 'ÿ' in literal null (expecting 'l')"},
      {"\"a\nb\"", "line 1, column 3: invalid character '\\n' in string literal"},
      {"\"a\\tb\x01\"", "line 1, column 6: invalid character '\\x01' in string literal"},
      {"\"\\x\"", "line 1, column 3: invalid character 'x' in string escape code"},
      {"\"\\u12g4\"", "line 1, column 6: invalid character 'g' in \\u hexadecimal character escape"},
      {"\"\\u12", "line 1, column 6: unexpected end of JSON input"},
      {"\"\\ud800\\u12", "line 1, column 12: unexpected end of JSON input"},
      {"\"abc", "line 1, column 5: unexpected end of JSON input"},
      {"\"abc\\", "line 1, column 6: unexpected end of JSON input"},
      {"-", "line 1, column 2: unexpected end of JSON input"},
      {"-a", "line 1, column 2: invalid character 'a' in numeric literal"},
      {"01", "line 1, column 2: invalid character '1' after top-level value"},
      {"1.", "line 1, column 3: unexpected end of JSON input"},
      {"1.x", "line 1, column 3: invalid character 'x' after decimal point in numeric literal"},
      {"1ex", "line 1, column 3: invalid character 'x' in exponent of numeric literal"},
      {"[1e999]", "line 1, column 2: number 1e999 is out of range"},
      {"\xef\xbb\xbf{}", "line 1, column 1: invalid character 'ï' looking for beginning of value"},
  };
  for (const Case& c : cases) {
    auto document = ParseJson(c.in);
    ASSERT_FALSE(document.ok()) << c.in;
    EXPECT_EQ(document.status().message(), c.error) << c.in;
    EXPECT_TRUE(document.status().Is(Reason::kBadRequest));
  }
}

TEST(Json, DepthIsBounded) {
  const auto nested = [](int depth, std::string_view open, std::string_view close) {
    std::string text;
    for (int i = 0; i < depth; ++i) text += open;
    text += "1";
    for (int i = 0; i < depth; ++i) text += close;
    return text;
  };
  EXPECT_TRUE(ParseJson(nested(kDepthMax, "[", "]")).ok());
  EXPECT_TRUE(ParseJson(nested(kDepthMax, "{\"a\":", "}")).ok());
  EXPECT_EQ(ParseJson(nested(kDepthMax + 1, "[", "]")).status().message(),
            "line 1, column 161: exceeded max depth of 160");
  EXPECT_FALSE(ParseJson(nested(1'000'000, "{\"a\":[", "]}")).ok());
}

TEST(Json, DuplicatesAreToldWithTheirPathAndTheLastOneWins) {
  std::vector<std::string> seen;
  const JsonOptions options{.on_duplicate = [&](std::string_view path) { seen.emplace_back(path); }};
  auto document = ParseJson(
      R"({"spec":{"replicas":1,"containers":[{"name":"a"},{"name":"b","n\u0061me":"c","x":{"y":1,"y":2}}],"replicas":2},
          "z":[[{},{"k":1,"k":[],"k":3}]],"spec":5,"Spec":6})",
      options);
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(seen, (std::vector<std::string>{"spec.containers[1].name", "spec.containers[1].x.y", "spec.replicas",
                                            "z[0][1].k", "z[0][1].k", "spec"}));
  EXPECT_EQ(ToJson(document->root), R"({"spec":5,"z":[[{},{"k":3}]],"Spec":6})");
}

TEST(Json, DuplicatesAmongManyKeys) {
  std::string text = "{";
  for (int i = 0; i < 5000; ++i) text += "\"k" + std::to_string(i % 2500) + "\":" + std::to_string(i) + ",";
  text += "\"last\":0}";
  int count = 0;
  auto document = ParseJson(text, {.on_duplicate = [&](std::string_view) { ++count; }});
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(count, 2500);
  EXPECT_EQ(document->root.size(), 2501u);
  EXPECT_EQ(document->root.Get("k0").AsInt(), 2500);
  EXPECT_EQ(document->root.Get("k2499").AsInt(), 4999);
}

TEST(Json, BorrowingReadsInPlace) {
  const std::string text = R"({"name":"plain","other":"esc\taped"})";
  Arena arena;
  auto value = ParseJsonBorrowing(text, arena);
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value->Get("name").AsString().data(), text.data() + text.find("plain"));
  EXPECT_EQ(value->Get("other").AsString(), "esc\taped");
}

TEST(Json, Pretty) {
  auto document = ParseJson(R"({"a":{},"b":[],"c":[1,{"x":"<"}],"d":{"e":null}})");
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(ToPrettyJson(document->root), R"({
    "a": {},
    "b": [],
    "c": [
        1,
        {
            "x": "\u003c"
        }
    ],
    "d": {
        "e": null
    }
})");
  EXPECT_EQ(ToPrettyJson(Value::Int(1)), "1");
  EXPECT_EQ(ToPrettyJson((*ParseJson("[1]")).root, 2), "[\n  1\n]");
}

TEST(Json, WritesBytesThatAreNoUtf8AsReplacements) {
  std::string out = "x";
  WriteJsonString("a\xff long enough for a vector \xe2\x80"sv, out);
  EXPECT_EQ(out, R"(x"a\ufffd long enough for a vector \ufffd\ufffd")");
  out.clear();
  WriteJsonString("\0\x1f\v"sv, out);
  EXPECT_EQ(out, R"("\u0000\u001f\u000b")");
}

TEST(Json, EveryLengthAndPlaceOfASpecialByteIsSeen) {
  for (size_t length = 1; length < 70; ++length) {
    for (size_t at = 0; at < length; ++at) {
      for (const std::string& special : {"\""s, "\\"s, "<"s, "\n"s, "é"s, "\u2028"s}) {
        std::string text(length, 'a');
        text.replace(at, 1, special);
        std::string json;
        WriteJsonString(text, json);
        auto document = ParseJson(json);
        ASSERT_TRUE(document.ok()) << json;
        ASSERT_EQ(document->root.AsString(), text);
      }
    }
  }
}

}  // namespace
}  // namespace knarr::doc
