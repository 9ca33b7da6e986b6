#include "base/strings.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "base/random_name.h"
#include "base/unicode.h"
#include "base/uuid.h"

namespace knarr {
namespace {

using Views = std::vector<std::string_view>;

TEST(StringsTest, Splits) {
  EXPECT_EQ(Split("a,b,,c", ','), (Views{"a", "b", "", "c"}));
  EXPECT_EQ(Split("", ','), (Views{""}));
  EXPECT_EQ(Split("a::b", "::"), (Views{"a", "b"}));
  EXPECT_EQ(Fields("  a \t b\n"), (Views{"a", "b"}));
  EXPECT_EQ(Lines("a\r\n\nb\n"), (Views{"a", "", "b"}));
  EXPECT_EQ(Lines(""), Views{});
  EXPECT_EQ(Cut("a=b=c", "=")->second, "b=c");
  EXPECT_EQ(CutLast("a=b=c", "=")->first, "a=b");
  EXPECT_FALSE(Cut("abc", "="));
  EXPECT_EQ(Join(std::vector<std::string>{"a", "b"}, ", "), "a, b");
}

TEST(StringsTest, TrimsAndCases) {
  EXPECT_EQ(TrimSpace(" \ta b\n"), "a b");
  EXPECT_EQ(TrimRight("a/b//", "/"), "a/b");
  EXPECT_EQ(TrimLeft("//a/", "/"), "a/");
  EXPECT_EQ(TrimLeft("//", "/"), "");
  std::string_view text = "prefix-name";
  EXPECT_TRUE(ConsumePrefix(text, "prefix-"));
  EXPECT_FALSE(ConsumeSuffix(text, "x"));
  EXPECT_EQ(text, "name");
  EXPECT_EQ(ToLower("AbC-1"), "abc-1");
  EXPECT_EQ(ToUpper("AbC-1"), "ABC-1");
  EXPECT_TRUE(EqualIgnoreCase("Content-Type", "content-type"));
  EXPECT_EQ(ReplaceAll("a.b.c", ".", "::"), "a::b::c");
}

TEST(StringsTest, Base64) {
  EXPECT_EQ(Base64Encode("hello"), "aGVsbG8=");
  EXPECT_EQ(Base64UrlEncode("\xff\xfe?"), "__4_");
  EXPECT_EQ(*Base64Decode("aGVs\nbG8="), "hello");
  EXPECT_EQ(*Base64UrlDecode("aGVsbG8"), "hello");
  EXPECT_EQ(*Base64Decode(""), "");
  const std::pair<std::string_view, size_t> bad[] = {{"a", 0},     {"aGVsbG8", 4}, {"aGV*", 3},
                                                     {"aG==x", 4}, {"====", 0},    {"aG=", 3}};
  for (const auto& [text, at] : bad) {
    EXPECT_EQ(Base64Decode(text).status().message(), "illegal base64 data at input byte " + std::to_string(at)) << text;
  }
  EXPECT_FALSE(Base64UrlDecode("aGVsbG8=").ok());
}

TEST(StringsTest, Hex) {
  EXPECT_EQ(HexEncode("\x01\xab"), "01ab");
  EXPECT_EQ(*HexDecode("01aB"), "\x01\xab");
  EXPECT_EQ(HexDecode("0x").status().message(), "encoding/hex: invalid byte: U+0078 'x'");
  EXPECT_EQ(HexDecode("012").status().message(), "encoding/hex: odd length hex string");
}

TEST(StringsTest, Quotes) {
  EXPECT_EQ(GoQuote("a\"b\\\n\x01\x7f"), R"("a\"b\\\n\x01\x7f")");
  EXPECT_EQ(GoQuote("é€😀"), "\"é€😀\"");
  EXPECT_EQ(GoQuote("\xff\u00ad\u2028\U000e0001"), R"("\xff\u00ad\u2028\U000e0001")");
}

TEST(StringsTest, Url) {
  EXPECT_EQ(*UrlDecode("a%20b+c", true), "a b c");
  EXPECT_EQ(*UrlDecode("a%2Fb+c", false), "a/b+c");
  EXPECT_EQ(UrlDecode("a%2", true).status().message(), "invalid URL escape \"%2\"");
  EXPECT_EQ(UrlEncode("a b/c~é"), "a%20b%2Fc~%C3%A9");
}

TEST(StringsTest, Numbers) {
  EXPECT_EQ(*ParseInt64("+12"), 12);
  EXPECT_EQ(*ParseInt64("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(ParseInt64("1x").status().message(), "strconv.ParseInt: parsing \"1x\": invalid syntax");
  EXPECT_EQ(ParseInt64("9223372036854775808").status().message(),
            "strconv.ParseInt: parsing \"9223372036854775808\": value out of range");
  for (const std::string_view text : {"", "+", "-", "+-1", " 1", "1 ", "0x1"}) EXPECT_FALSE(ParseInt64(text).ok());
  EXPECT_EQ(*ParseInt<uint16_t>("65535"), 65535);
  EXPECT_EQ(ParseInt<uint16_t>("65536").status().message(), "strconv.ParseInt: parsing \"65536\": value out of range");
  EXPECT_FALSE(ParseInt<uint16_t>("-1").ok());
  EXPECT_EQ(ParseAtoi("a").status().message(), "strconv.Atoi: parsing \"a\": invalid syntax");
  EXPECT_EQ(*ParseUint64("18446744073709551615"), UINT64_MAX);
  EXPECT_FALSE(ParseUint64("+1").ok());
  EXPECT_EQ(*ParseDouble("-1.5e3"), -1500);
  EXPECT_FALSE(ParseDouble("inf").ok());
  EXPECT_FALSE(ParseDouble("1e999").ok());
  EXPECT_EQ(*ParseOctal("0644", 07777), 0644U);
  EXPECT_FALSE(ParseOctal("8", 07777).ok());
  EXPECT_FALSE(ParseOctal("10000", 07777).ok());
  EXPECT_TRUE(*ParseBool("True"));
  EXPECT_FALSE(ParseBool("yes").ok());
}

TEST(StringsTest, Utf8) {
  EXPECT_TRUE(IsValidUtf8("aé€😀"));
  for (const std::string_view bad : {"\x80", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xff"}) {
    EXPECT_FALSE(IsValidUtf8(bad));
    EXPECT_EQ(DecodeRune(bad).length, 1U);
  }
  EXPECT_EQ(RuneCount("aé€😀"), 4U);
  std::string out;
  for (const char32_t rune : {U'a', U'é', U'€', U'😀', char32_t{0xd800}, char32_t{0x110000}}) AppendRune(out, rune);
  EXPECT_EQ(out, "aé€😀\ufffd\ufffd");
}

TEST(StringsTest, LogLines) {
  EXPECT_EQ(FormatLogLine(LogLevel::kInfo, "pod started", {{"pod", "default/a"}, {"count", 3}, {"empty", ""}}),
            R"(level=info msg="pod started" pod=default/a count=3 empty="")");
  EXPECT_EQ(FormatLogLine(LogLevel::kError, "x", {{"err", "a\n\"b\""}}), R"(level=error msg=x err="a\n\"b\"")");
}

TEST(StringsTest, NamesMadeFromRandomness) {
  EXPECT_EQ(RandomSuffix(0), "bbbbb");
  EXPECT_EQ(RandomSuffix(UINT64_MAX).size(), 5U);
  EXPECT_EQ(GenerateName("web-", 26), "web-9bbbb");
  EXPECT_EQ(GenerateName(std::string(80, 'a'), 1), std::string(58, 'a') + "cbbbb");
  EXPECT_EQ(SafeEncode("1a"), "5v");
  const std::string uuid = MakeUuid({0xff, 1, 2, 3, 4, 5, 0xff, 7, 0xff, 9, 10, 11, 12, 13, 14, 15});
  EXPECT_EQ(uuid, "ff010203-0405-4f07-bf09-0a0b0c0d0e0f");
  EXPECT_TRUE(IsUuid(uuid));
  EXPECT_FALSE(IsUuid("ff010203-0405-4f07-bf09-0a0b0c0d0e0"));
  EXPECT_FALSE(IsUuid("ff010203x0405-4f07-bf09-0a0b0c0d0e0f"));
}

}  // namespace
}  // namespace knarr
