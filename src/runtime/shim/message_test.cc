#include "runtime/shim/message.h"

#include <gtest/gtest.h>

#include <string>

namespace knarr::shim {
namespace {

TEST(ShimMessage, Parses) {
  const std::string good("7\0start\0abc\0\0", 13);
  Fields fields;
  ASSERT_TRUE(ParseMessage(good.data(), good.size(), fields));
  ASSERT_EQ(fields.count, 4U);
  EXPECT_STREQ(fields.at[0], "7");
  EXPECT_STREQ(fields.at[1], "start");
  EXPECT_STREQ(fields.at[2], "abc");
  EXPECT_STREQ(fields.at[3], "");
}

TEST(ShimMessage, RefusesWhatIsMalformed) {
  Fields fields;
  EXPECT_FALSE(ParseMessage("", 0, fields));
  EXPECT_FALSE(ParseMessage("abc", 3, fields));
  const std::string many(kFieldsMax + 1, '\0');
  EXPECT_FALSE(ParseMessage(many.data(), many.size(), fields));
  EXPECT_TRUE(ParseMessage(many.data(), kFieldsMax, fields));
  const std::string big(kMessageMax + 1, '\0');
  EXPECT_FALSE(ParseMessage(big.data(), big.size(), fields));
}

TEST(ShimMessage, Numbers) {
  struct Case {
    const char* text;
    bool ok;
    int64_t value;
  };
  const Case cases[] = {
      {"0", true, 0},
      {"42", true, 42},
      {"-7", true, -7},
      {"9223372036854775807", true, INT64_MAX},
      {"-9223372036854775808", true, INT64_MIN},
      {"9223372036854775808", false, 0},
      {"-9223372036854775809", false, 0},
      {"99999999999999999999", false, 0},
      {"", false, 0},
      {"-", false, 0},
      {"1a", false, 0},
      {" 1", false, 0},
      {"+1", false, 0},
  };
  for (const Case& c : cases) {
    int64_t value = 0;
    EXPECT_EQ(ParseNumber(c.text, value), c.ok) << c.text;
    if (c.ok) {
      EXPECT_EQ(value, c.value) << c.text;
    }
  }
}

TEST(ShimMessage, Ids) {
  EXPECT_TRUE(ValidId("a"));
  EXPECT_TRUE(ValidId(std::string(64, 'f').c_str()));
  for (const char* bad : {"", "..", "a/b", "A", "-a", "a b", "a.b"}) EXPECT_FALSE(ValidId(bad)) << bad;
  EXPECT_FALSE(ValidId(std::string(65, 'f').c_str()));
}

TEST(ShimMessage, BuildsWhatItParses) {
  MessageBuilder message;
  message.Add("12").Add("exit").AddNumber(INT64_MIN).AddNumber(INT64_MAX).AddNumber(0);
  ASSERT_TRUE(message.ok());
  Fields fields;
  ASSERT_TRUE(ParseMessage(message.data(), message.size(), fields));
  EXPECT_STREQ(fields.at[2], "-9223372036854775808");
  EXPECT_STREQ(fields.at[3], "9223372036854775807");
  EXPECT_STREQ(fields.at[4], "0");
  MessageBuilder full;
  full.Add(std::string(kMessageMax, 'x').c_str());
  EXPECT_FALSE(full.ok());
}

}  // namespace
}  // namespace knarr::shim
