#include "apiserver/authentication/token_file.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace knarr::apiserver {
namespace {

// Fields in brackets, a record a line; or the error. What Go's encoding/csv makes of them.
std::string Shown(std::string_view text) {
  const auto records = ParseCsv(text);
  if (!records.ok()) return records.status().message();
  std::string out;
  for (const auto& record : *records) {
    for (const std::string& field : record) out += "[" + field + "]";
    out += "\n";
  }
  return out;
}

TEST(Csv, IsGos) {
  struct Case {
    std::string_view text;
    std::string_view shown;
  };
  const Case cases[] = {
      {"", ""},
      {"a,b,c\n", "[a][b][c]\n"},
      {"a,b,c", "[a][b][c]\n"},
      {"a,,\n", "[a][][]\n"},
      {"\n\r\na\r\n\n", "[a]\n"},
      {"a\r", "[a]\n"},
      {"a\rb\n", "[a\rb]\n"},
      {" a , b\n", "[ a ][ b]\n"},
      {"\"a,b\",c\n", "[a,b][c]\n"},
      {"\"a\"\"b\"\n", "[a\"b]\n"},
      {"\"a\nb\",c\n", "[a\nb][c]\n"},
      {"\"a\r\nb\"\n", "[a\nb]\n"},
      {"\"\"\n", "[]\n"},
      {"x,\"\"", "[x][]\n"},
      {"a\"b\n", "parse error on line 1, column 2: bare \" in non-quoted-field"},
      {"x\na,b\"\n", "parse error on line 2, column 4: bare \" in non-quoted-field"},
      {"\"a", "parse error on line 1, column 3: extraneous or missing \" in quoted-field"},
      {"\"a\n", "parse error on line 1, column 4: extraneous or missing \" in quoted-field"},
      {"\"a\"b\n", "parse error on line 1, column 3: extraneous or missing \" in quoted-field"},
      {"\"a\nb\"c\n", "record on line 1; parse error on line 2, column 2: extraneous or missing \" in quoted-field"},
  };
  for (const Case& test : cases) EXPECT_EQ(Shown(test.text), test.shown) << GoQuote(test.text);
}

TEST(TokenFile, Records) {
  const auto tokens = ParseTokenFile("t1,ann,1\nt2,bob,2,\"a,b\"\n,nobody,3\nt1,ann2,4,\n", "f.csv");
  ASSERT_TRUE(tokens.ok());
  ASSERT_EQ(tokens->size(), 2u);
  EXPECT_EQ((*tokens)[0].first, "t2");
  EXPECT_EQ((*tokens)[0].second, (UserInfo{"bob", "2", {"a", "b"}}));
  EXPECT_EQ((*tokens)[1].second, (UserInfo{"ann2", "4", {""}}));
  const auto bad = ParseTokenFile("t1,ann\n", "f.csv");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.status().message(),
            "token file 'f.csv' must have at least 3 columns (token, user name, user uid), found 2");
}

}  // namespace
}  // namespace knarr::apiserver
