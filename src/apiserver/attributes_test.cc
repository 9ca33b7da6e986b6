#include "apiserver/attributes.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "doc/json.h"

namespace knarr::apiserver {
namespace {

class AttributesTest : public testing::Test {
 protected:
  ResourceTable resources_{StrategyOptions{}};
  const Resource& pods_ = *resources_.Find("", "v1", "pods");

  static std::string Pod(std::string_view labels, std::string_view node, std::string_view phase) {
    return fmt::format(
        R"({{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"a","namespace":"default","labels":{{{}}}}},)"
        R"("spec":{{"nodeName":"{}","hostNetwork":true}},"status":{{"phase":"{}"}}}})",
        labels, node, phase);
  }

  std::unique_ptr<const ObjectAttributes> Of(const std::string& json) const {
    return ObjectAttributes::Of(*pods_.kind, std::make_shared<const std::string>(json));
  }
};

TEST_F(AttributesTest, LabelsAndFields) {
  const auto attributes = Of(Pod(R"("app":"web","empty":"")", "n1", "Running"));
  EXPECT_EQ(attributes->Label("app"), "web");
  EXPECT_EQ(attributes->Label("empty"), "");
  EXPECT_EQ(attributes->Label("web"), std::nullopt);
  EXPECT_EQ(attributes->Label("spec.nodeName"), std::nullopt);
  EXPECT_EQ(attributes->Field("spec.nodeName"), "n1");
  EXPECT_EQ(attributes->Field("spec.hostNetwork"), "true");
  EXPECT_EQ(attributes->Field("status.podIP"), "");
  EXPECT_EQ(attributes->Field("app"), "");
  EXPECT_TRUE(Of("{}")->digest().known());
}

struct Case {
  std::string labels;
  std::string fields;
  bool matches;
};

TEST_F(AttributesTest, DigestsNeverChangeTheAnswer) {
  const std::string key = pods_.Key({"default", "a"});
  const auto attributes = Of(Pod(R"("app":"web","n":"5")", "n1", "Running"));
  const Case cases[] = {
      {"app=web", "", true},
      {"app==web,n=5", "", true},
      {"app=other", "", false},
      {"app!=web", "", false},
      {"app!=other", "", true},
      {"absent!=other", "", true},
      {"app in (a,web)", "", true},
      {"app in (a,b)", "", false},
      {"app notin (a,b)", "", true},
      {"app notin (a,web)", "", false},
      {"app", "", true},
      {"absent", "", false},
      {"!app", "", false},
      {"!absent", "", true},
      {"n>4", "", true},
      {"n>5", "", false},
      {"n<6", "", true},
      {"absent>1", "", false},
      {"", "spec.nodeName=n1", true},
      {"", "spec.nodeName=n2", false},
      {"", "spec.nodeName!=n1", false},
      {"", "spec.nodeName!=", true},
      {"", "status.podIP=", true},
      {"", "status.phase!=Failed,status.phase!=Succeeded", true},
      {"", "metadata.name=a", true},
      {"", "metadata.name=b", false},
      {"", "metadata.namespace!=default", false},
      {"app=web", "metadata.namespace=default,status.phase=Running", true},
      {"app=web", "metadata.namespace=other,status.phase=Running", false},
  };
  for (const Case& test : cases) {
    const Selection selection = MUST(Selection::Parse(*pods_.kind, test.labels, test.fields));
    const SelectionFilter filter(pods_, selection);
    size_t asked = 0;
    const auto ask = [&]() -> const ObjectAttributes& {
      ++asked;
      return *attributes;
    };
    EXPECT_EQ(filter.Matches(key, attributes->digest(), ask), test.matches) << test.labels << ";" << test.fields;
    EXPECT_EQ(filter.Matches(key, store::Digest{}, ask), test.matches) << test.labels << ";" << test.fields;
  }
}

TEST_F(AttributesTest, MostObjectsAreLeftOutByTheirDigest) {
  const Selection selection = MUST(Selection::Parse(*pods_.kind, "app=none", ""));
  const SelectionFilter filter(pods_, selection);
  size_t asked = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto attributes =
        Of(Pod(fmt::format(R"("app":"web-{}","tier":"t","track":"stable","hash":"{:x}")", i, i * 7919),
               fmt::format("node-{}", i % 50), i % 3 == 0 ? "Pending" : "Running"));
    EXPECT_FALSE(filter.Matches("", attributes->digest(), [&]() -> const ObjectAttributes& {
      ++asked;
      return *attributes;
    }));
  }
  EXPECT_LT(asked, 20U);
}

}  // namespace
}  // namespace knarr::apiserver
