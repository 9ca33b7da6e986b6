#include "apiserver/warnings.h"

#include <gtest/gtest.h>

namespace knarr::apiserver {
namespace {

std::vector<std::string> Written(const Warnings& warnings) {
  net::Headers headers;
  warnings.WriteTo(headers);
  std::vector<std::string> out;
  for (const std::string_view header : headers.GetAll("Warning")) out.emplace_back(header);
  return out;
}

TEST(WarningsTest, EachOnceAndQuoted) {
  Warnings warnings;
  warnings.AddAll({"a \"b\"\n", "", "c", "a \"b\"\n"});
  EXPECT_EQ(Written(warnings), (std::vector<std::string>{R"(299 - "a \"b\" ")", R"(299 - "c")"}));
  warnings.Resize(1);
  warnings.Add("c");
  EXPECT_EQ(warnings.size(), 2u);
}

// As Kubernetes: 4,096 characters as they are; beyond that 256 of each, until those are 4,096.
TEST(WarningsTest, AreCutOffWhenTheyAreMany) {
  Warnings warnings;
  const std::string e = "\u00e9";
  std::string longest;
  for (int i = 0; i < 4000; ++i) longest += e;
  warnings.Add(longest);
  EXPECT_EQ(Written(warnings)[0].size(), 8000 + std::string("299 - \"\"").size());
  warnings.Add(std::string(97, 'x'));
  ASSERT_EQ(Written(warnings).size(), 2u);
  EXPECT_EQ(Written(warnings)[0].size(), 512 + std::string("299 - \"\"").size());
  for (int i = 0; i < 100'000; ++i) warnings.Add("number " + std::to_string(i));
  EXPECT_GT(Written(warnings).size(), 300u);
  EXPECT_LT(Written(warnings).size(), 400u);
}

}  // namespace
}  // namespace knarr::apiserver
