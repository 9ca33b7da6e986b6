// What objects use of quotas, as Kubernetes 1.36.3's own evaluators say it (tests/golden/admission/quota.jsonl).

#include "api/quota.h"

#include <gtest/gtest.h>

#include <fstream>

#include "doc/json.h"

namespace knarr::api {
namespace {

using doc::Value;

std::string ScopesText(const std::vector<std::string>& scopes) {
  std::string out;
  for (const std::string& scope : scopes) out += scope + ";";
  return out;
}

void CheckCase(const Value& each) {
  const auto evaluator = MakeQuotaEvaluator("", each.At("kind").AsString());
  const Value& object = each.At("object");
  const Value& want = each.At("want");
  EXPECT_EQ(ResourcesText(evaluator->Usage(object, MUST(ParseTime("2026-01-02T03:04:05Z")))),
            want.At("usage").AsString());
  std::vector<std::string> scopes;
  Value selector = Value::Object();
  doc::Arena arena;
  selector.AddMember(arena, "matchExpressions", each.At("scopes"));
  for (const QuotaScope& scope : ScopesOf(Value::Null(), selector)) {
    if (evaluator->InScope(scope, object)) scopes.push_back(std::string(scope.name) + "/" + std::string(scope.op));
  }
  std::vector<std::string> wanted;
  for (const Value& scope : want.At("scopes").items()) wanted.emplace_back(scope.AsString());
  EXPECT_EQ(ScopesText(scopes), ScopesText(wanted));
  if (want.At("counted").is_null()) return;
  ResourceNames hard;
  for (const Value& name : each.At("hard").items()) hard.emplace(name.AsString());
  const ResourceNames counted = evaluator->Counted(hard);
  ResourceNames wanted_names;
  for (const Value& name : want.At("counted").items()) wanted_names.emplace(name.AsString());
  EXPECT_EQ(counted, wanted_names);
  EXPECT_EQ(evaluator->Missing(counted, object), want.At("missing").AsString());
}

TEST(Quota, AsKubernetesCounts) {
  std::ifstream in(KNARR_SOURCE_DIR "/tests/golden/admission/quota.jsonl");
  std::string line;
  int cases = 0;
  while (std::getline(in, line)) {
    SCOPED_TRACE(line);
    CheckCase(MUST(doc::ParseJson(line)).root);
    ++cases;
  }
  EXPECT_GT(cases, 200);
}

TEST(Quota, CountsOfOtherKinds) {
  const auto deployments = MakeQuotaEvaluator("apps", "deployments");
  EXPECT_TRUE(deployments->Counts("count/deployments.apps"));
  EXPECT_FALSE(deployments->Counts("deployments"));
  const auto secrets = MakeQuotaEvaluator("", "secrets");
  EXPECT_EQ(ResourcesText(secrets->Usage(Value::Object(), WallTime())), "count/secrets=1,secrets=1");
  EXPECT_TRUE(secrets->Handles({"", nullptr, nullptr}));
  const auto claims = MakeQuotaEvaluator("resource.k8s.io", "resourceclaims");
  const doc::Document claim = MUST(doc::ParseJson(
      R"({"spec":{"devices":{"requests":[{"exactly":{"deviceClassName":"gpu","allocationMode":"ExactCount",)"
      R"("count":2}},)"
      R"({"firstAvailable":[{"deviceClassName":"gpu","allocationMode":"ExactCount","count":1},)"
      R"({"deviceClassName":"nic","allocationMode":"All"}]}]}}})"));
  EXPECT_EQ(ResourcesText(claims->Usage(claim.root, WallTime())),
            "count/resourceclaims.resource.k8s.io=1,gpu.deviceclass.resource.k8s.io/devices=3,"
            "nic.deviceclass.resource.k8s.io/devices=32");
}

}  // namespace
}  // namespace knarr::api
