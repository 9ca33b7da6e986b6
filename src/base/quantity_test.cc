#include "base/quantity.h"

#include <gtest/gtest.h>

namespace knarr {
namespace {

Quantity Q(std::string_view text) {
  const Result<Quantity> quantity = Quantity::Parse(text);
  EXPECT_TRUE(quantity.ok()) << text;
  return quantity.ok() ? *quantity : Quantity();
}

struct ParseCase {
  std::string_view text;
  std::string_view canonical;
  int64_t value;
  int64_t milli;
};

// Taken from apimachinery's own Quantity, run on the same texts.
constexpr ParseCase kCases[] = {
    {"0", "0", 0, 0},
    {"-0", "0", 0, 0},
    {"100m", "100m", 1, 100},
    {"0100m", "0100m", 1, 100},
    {"1.5", "1500m", 2, 1500},
    {"1.500", "1.500", 2, 1500},
    {"+1.5", "1500m", 2, 1500},
    {"0.5", "500m", 1, 500},
    {".5", "500m", 1, 500},
    {"5.", "5.", 5, 5000},
    {"-1.5", "-1500m", -2, -1500},
    {"1k", "1k", 1000, 1000000},
    {"1000", "1k", 1000, 1000000},
    {"1000k", "1M", 1000000, 1000000000},
    {"12e6", "12e6", 12000000, 12000000000},
    {"1e3", "1e3", 1000, 1000000},
    {"1E3", "1E3", 1000, 1000000},
    {"10e2", "1e3", 1000, 1000000},
    {"5Mi", "5Mi", 5242880, 5242880000},
    {"1024Mi", "1Gi", 1073741824, 1073741824000},
    {"1.5Gi", "1536Mi", 1610612736, 1610612736000},
    {"0.5Ki", "512", 512, 512000},
    {"0.1Ki", "102400m", 103, 102400},
    {"1Ei", "1Ei", 1152921504606846976, INT64_MAX},
    {"100Ei", "9223372036854775807", INT64_MAX, INT64_MAX},
    {"0.0000000001", "1n", 1, 1},
    {"-0.0000000001", "-1n", -1, -1},
    {"1.0000000001", "1000000001n", 2, 1001},
    {"123456789012345678901234567890", "123456789012345678901234567890", INT64_MAX, INT64_MAX},
    {"Ki", "0", 0, 0},
    {"1e400", "10e399", INT64_MAX, INT64_MAX},
};

TEST(QuantityTest, ParsesAndPrints) {
  for (const ParseCase& c : kCases) {
    const Quantity quantity = Q(c.text);
    EXPECT_EQ(quantity.ToString(), c.canonical) << c.text;
    EXPECT_EQ(quantity.Value(), c.value) << c.text;
    EXPECT_EQ(quantity.MilliValue(), c.milli) << c.text;
    // The canonical text means the same number.
    EXPECT_EQ(Q(quantity.ToString()), quantity) << c.text;
  }
}

TEST(QuantityTest, RefusesWithUpstreamsMessages) {
  const std::string format =
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
  const std::string suffix = "unable to parse quantity's suffix";
  const std::string number = "unable to parse numeric part of quantity";
  const std::pair<std::string, std::string> cases[] = {
      {"", format},
      {"1 ", format},
      {"1.1.1", format},
      {"1x", format},
      {"1mi", suffix},
      {"1e", suffix},
      {"1e1000000", suffix},
      {"1e-1001", suffix},
      {"Pi", number},
      {"-Ei", number},
      {std::string(1001, '1'), number},
      {"10e1000", number},
  };
  for (const auto& [text, message] : cases) {
    const Result<Quantity> quantity = Quantity::Parse(text);
    ASSERT_FALSE(quantity.ok()) << text;
    EXPECT_EQ(quantity.status().message(), message) << text;
    EXPECT_EQ(quantity.status().reason(), Reason::kBadRequest);
  }
}

TEST(QuantityTest, Arithmetic) {
  struct Case {
    std::string_view a;
    std::string_view b;
    std::string_view sum;
    std::string_view difference;
  };
  constexpr Case kSums[] = {
      {"1", "1", "2", "0"},
      {"1.5Gi", "512Mi", "2Gi", "1Gi"},
      {"0", "512Mi", "512Mi", "-512Mi"},  // zero takes the other's format
      {"100m", "1", "1100m", "-900m"},
      {"9223372036854775807", "1", "9223372036854775808", "9223372036854775806"},
      {"1n", "1E", "1000000000000000000000000001n", "-999999999999999999999999999n"},
      {"1Gi", "1", "1073741825", "1073741823"},
  };
  for (const Case& c : kSums) {
    EXPECT_EQ((Q(c.a) + Q(c.b)).ToString(), c.sum) << c.a << " + " << c.b;
    EXPECT_EQ((Q(c.a) - Q(c.b)).ToString(), c.difference) << c.a << " - " << c.b;
    EXPECT_EQ(Q(c.a) + Q(c.b) - Q(c.b), Q(c.a));
  }
  Quantity product = Q("1500m");
  product *= 4;
  EXPECT_EQ(product.ToString(), "6");
  EXPECT_EQ((-Q("2Ki")).ToString(), "-2Ki");
  EXPECT_EQ((-Quantity(INT64_MIN)).ToString(), "9223372036854775808");
}

TEST(QuantityTest, LargeProduct) {
  Quantity product(INT64_MAX);
  product *= INT64_MAX;
  EXPECT_EQ(product.ToString(), "85070591730234615847396907784232501249");
  product *= -1;
  EXPECT_EQ(product.ToString(), "-85070591730234615847396907784232501249");
  EXPECT_EQ(product.Sign(), -1);
  product *= 0;
  EXPECT_TRUE(product.IsZero());
  EXPECT_EQ(product.ToString(), "0");
}

TEST(QuantityTest, Compares) {
  EXPECT_EQ(Q("1Gi"), Quantity(1073741824));
  EXPECT_LT(Q("1G"), Q("1Gi"));
  EXPECT_LT(Q("-1"), Q("0"));
  EXPECT_LT(Q("999m"), Q("1"));
  EXPECT_EQ(Q("1000m"), Q("1"));
  EXPECT_GT(Q("1e1000"), Q("1E"));
  EXPECT_GT(Q("1n"), Q("1e-1000") - Q("1n"));
}

TEST(QuantityTest, Rounds) {
  EXPECT_EQ(Q("1001m").RoundedUp(0).ToString(), "2");
  EXPECT_EQ(Q("-1001m").RoundedUp(0).ToString(), "-2");
  EXPECT_EQ(Q("1").RoundedUp(-3).ToString(), "1");
  EXPECT_TRUE(Q("1Gi").IsInteger());
  EXPECT_FALSE(Q("1500m").IsInteger());
  EXPECT_EQ(Q("1234567").ScaledValue(3), 1235);
  EXPECT_DOUBLE_EQ(Q("1500m").ToDouble(), 1.5);
}

TEST(QuantityTest, SeesPlainCanonicalTexts) {
  for (const std::string_view text : {"1", "250m", "64Mi", "1500M", "1023Ki", "999999999Gi", "5k"}) {
    EXPECT_TRUE(Quantity::IsPlainCanonical(text)) << text;
  }
  for (const std::string_view text :
       {"", "0", "1000m", "1024Mi", "0100m", "-1", "1.5", "1e3", "1000000001", "1Ti", "m"}) {
    EXPECT_FALSE(Quantity::IsPlainCanonical(text)) << text;
  }
  for (const std::string_view suffix : {"", "m", "k", "M", "G", "Ki", "Mi", "Gi", "Ti", "u", "i", "K"}) {
    for (const int64_t number : {0, 1, 9, 10, 512, 1000, 1001, 1023, 1024, 2000, 2048, 123456, 999999999}) {
      const std::string text = std::to_string(number) + std::string(suffix);
      EXPECT_TRUE(!Quantity::IsPlainCanonical(text) || Q(text).ToString() == text) << text;
    }
  }
}

// What upstream prints as "1", dropping the unit.
TEST(QuantityTest, BeyondExaKeepsItsValue) { EXPECT_EQ(Q("1000E").ToString(), "1000E"); }

}  // namespace
}  // namespace knarr
