#include <gtest/gtest.h>

#include "api/core_v1.h"
#include "api/field_selectors.h"
#include "api/label_selector.h"
#include "doc/json.h"

namespace knarr::api {
namespace {

TEST(FieldSelectorsTest, ReadWhatUpstreamReads) {
  const doc::Document pod =
      *doc::ParseJson(R"({"metadata":{"name":"a","namespace":"n"},"spec":{"nodeName":"x","hostNetwork":true},)"
                      R"("status":{"phase":"Running"}})");
  struct Case {
    const char* selector;
    bool matches;
  };
  for (const Case& c :
       {Case{"spec.nodeName=x", true}, Case{"spec.nodeName!=x", false}, Case{"status.phase=Running", true},
        Case{"spec.hostNetwork=true", true}, Case{"metadata.name=a,metadata.namespace=n", true},
        Case{"status.podIP=", true}, Case{"status.nominatedNodeName=z", false}}) {
    const Result<FieldSelector> selector = FieldSelector::Parse(c.selector);
    ASSERT_TRUE(selector.ok());
    EXPECT_TRUE(CheckFieldSelector(core_v1::PodInfo(), *selector).ok()) << c.selector;
    EXPECT_EQ(MatchesFields(core_v1::PodInfo(), *selector, pod.root), c.matches) << c.selector;
  }
}

TEST(FieldSelectorsTest, UnknownFieldsAreRefused) {
  const FieldSelector selector = *FieldSelector::Parse("spec.foo=x");
  EXPECT_EQ(CheckFieldSelector(core_v1::PodInfo(), selector).status().message(), "field label not supported: spec.foo");
  EXPECT_EQ(CheckFieldSelector(core_v1::ConfigMapInfo(), selector).status().message(),
            "\"spec.foo\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
}

TEST(LabelSelectorTest, MatchesAndPrints) {
  const doc::Document tree = *doc::ParseJson(
      R"({"matchLabels":{"app":"web"},"matchExpressions":[{"key":"tier","operator":"NotIn","values":["b","a"]},)"
      R"({"key":"x","operator":"Exists"}]})");
  const meta_v1::LabelSelector selector(tree.root);
  const Result<LabelSelector> matcher = ToLabelSelector(selector);
  ASSERT_TRUE(matcher.ok());
  const doc::Document yes = *doc::ParseJson(R"({"app":"web","x":"1"})");
  const doc::Document no = *doc::ParseJson(R"({"app":"web","x":"1","tier":"a"})");
  EXPECT_TRUE(Matches(*matcher, StringMap(yes.root)));
  EXPECT_FALSE(Matches(*matcher, StringMap(no.root)));
  EXPECT_EQ(FormatLabelSelector(selector), "app=web,tier notin (a,b),x");
  EXPECT_EQ(FormatLabels(StringMap(yes.root)), "app=web,x=1");
  EXPECT_EQ(FormatLabels(StringMap(doc::Value())), "<none>");
  // No selector matches nothing, an empty one everything.
  const doc::Document empty = *doc::ParseJson("{}");
  EXPECT_FALSE(Matches(*ToLabelSelector(meta_v1::LabelSelector()), StringMap(yes.root)));
  EXPECT_TRUE(Matches(*ToLabelSelector(meta_v1::LabelSelector(empty.root)), StringMap(yes.root)));
}

}  // namespace
}  // namespace knarr::api
