#include "controller/cluster_role_aggregation.h"

#include <gtest/gtest.h>

#include "doc/json.h"

namespace knarr::controller {
namespace {

api::ObjectPtr Role(std::string_view json) { return api::Object::FromDocument(MUST(doc::ParseJson(json))); }

TEST(ClusterRoleAggregation, Rules) {
  const std::vector<api::ObjectPtr> roles = {
      Role(R"({"metadata":{"name":"a","labels":{"x":"1"}},"rules":[{"verbs":["get"],"resources":["pods"]},
          {"verbs":["list"],"resources":["pods"]}]})"),
      Role(R"({"metadata":{"name":"b","labels":{"x":"1","y":"1"}},"rules":[{"verbs":["get"],"resources":["pods"]},
          {"verbs":["get"],"nonResourceURLs":["/z"]}]})"),
      Role(R"({"metadata":{"name":"c","labels":{"y":"1"}},"rules":[{"verbs":["watch"],"resources":["nodes"]}]})"),
      Role(R"({"metadata":{"name":"self","labels":{"x":"1"}},"rules":[{"verbs":["*"],"resources":["*"]}]})"),
  };
  struct Case {
    std::string selectors;
    std::string rules;
  };
  const Case cases[] = {
      {R"({"matchLabels":{"x":"1"}})",
       R"([{"verbs":["get"],"resources":["pods"]},{"verbs":["list"],"resources":["pods"]},)"
       R"({"verbs":["get"],"nonResourceURLs":["/z"]}])"},
      {R"({"matchLabels":{"y":"1"}},{"matchLabels":{"x":"1"}})",
       R"([{"verbs":["get"],"resources":["pods"]},{"verbs":["get"],"nonResourceURLs":["/z"]},)"
       R"({"verbs":["watch"],"resources":["nodes"]},{"verbs":["list"],"resources":["pods"]}])"},
      {R"({"matchExpressions":[{"key":"y","operator":"Exists"},{"key":"x","operator":"DoesNotExist"}]})",
       R"([{"verbs":["watch"],"resources":["nodes"]}])"},
      {R"({"matchLabels":{"none":"1"}})", "[]"},
      {"", "[]"},
  };
  for (const Case& test : cases) {
    const auto role =
        Role(R"({"metadata":{"name":"self"},"aggregationRule":{"clusterRoleSelectors":[)" + test.selectors + "]}}");
    doc::Arena arena;
    const auto rules = AggregatedRules(*role, roles, arena);
    ASSERT_TRUE(rules.ok());
    EXPECT_EQ(doc::ToJson(*rules), test.rules) << test.selectors;
  }
  doc::Arena arena;
  const auto bad = Role(R"({"metadata":{"name":"self"},"aggregationRule":{"clusterRoleSelectors":[
      {"matchExpressions":[{"key":"y","operator":"Like"}]}]}})");
  EXPECT_TRUE(AggregatedRules(*bad, roles, arena).Failed(Reason::kBadRequest));
}

}  // namespace
}  // namespace knarr::controller
