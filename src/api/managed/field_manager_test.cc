#include "api/managed/field_manager.h"

#include <gtest/gtest.h>

#include "api/codec.h"
#include "api/managed/scale_fields.h"
#include "doc/json.h"

// What the scenarios of tests/golden/managed_fields (replayed in apiserver/managed_fields_test.cc) do not reach.

namespace knarr::api::managed {
namespace {

const WallTime kNow = WallTime(std::chrono::hours(24 * 365 * 50));

doc::Document Json(std::string_view text) { return MUST(doc::ParseJson(text)); }
doc::Document Object(std::string_view text) { return std::move(MUST(DecodeJson(text)).document); }

std::string Managed(const doc::Value& object) { return doc::ToJson(object.Get("metadata", "managedFields")); }
doc::Value FieldsOf(const doc::Value& object, size_t entry) {
  return object.Get("metadata", "managedFields").items()[entry].At("fieldsV1");
}

TEST(FieldManager, OtherVersionsLoseWhatChanges) {
  const FieldManager v1(*FindKind("autoscaling/v1", "HorizontalPodAutoscaler"), "", {R"({"f:status":{}})"});
  const FieldManager v2(*FindKind("autoscaling/v2", "HorizontalPodAutoscaler"), "", {R"({"f:status":{}})"});
  doc::Document first = Object(R"({"kind":"HorizontalPodAutoscaler","apiVersion":"autoscaling/v1",
      "metadata":{"name":"h"},"spec":{"scaleTargetRef":{"kind":"Deployment","name":"d"},"minReplicas":1,"maxReplicas":3,
      "targetCPUUtilizationPercentage":80}})");
  ASSERT_TRUE(v1.Update(doc::Value::Null(), first, "old", kNow).ok());
  doc::Document live = Object(R"({"kind":"HorizontalPodAutoscaler","apiVersion":"autoscaling/v2",
      "metadata":{"name":"h"},"spec":{"scaleTargetRef":{"kind":"Deployment","name":"d"},"minReplicas":1,
      "maxReplicas":3,"metrics":[{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization",
      "averageUtilization":80}}}]}})");
  live.root.Find("metadata")->Set(live.arena, "managedFields", first.root.Get("metadata", "managedFields"));
  doc::Document next = doc::Document::Copy(live.root);
  next.root.Find("spec")->Set(next.arena, "maxReplicas", doc::Value::Int(9));
  ASSERT_TRUE(v2.Update(live.root, next, "new", kNow).ok());
  ASSERT_EQ(next.root.Get("metadata", "managedFields").size(), 2U) << Managed(next.root);
  EXPECT_EQ(doc::ToJson(FieldsOf(next.root, 0)), R"({"f:spec":{"f:maxReplicas":{}}})");
  EXPECT_EQ(doc::ToJson(FieldsOf(next.root, 1)),
            R"({"f:spec":{"f:minReplicas":{},"f:scaleTargetRef":{},"f:targetCPUUtilizationPercentage":{}}})");

  const doc::Document wish = Json(R"({"kind":"HorizontalPodAutoscaler","apiVersion":"autoscaling/v2",
      "metadata":{"name":"h"},"spec":{"minReplicas":2}})");
  const auto refused = v2.Apply(next.root, wish.root, {"third", false, kNow});
  ASSERT_TRUE(refused.Failed(Reason::kConflict));
  EXPECT_EQ(refused.status().message(),
            "Apply failed with 1 conflict: conflict with \"old\" using autoscaling/v1: .spec.minReplicas");
}

TEST(FieldManager, VersionsThatNobodyServesAreForgotten) {
  const FieldManager fields(*FindKind("v1", "ConfigMap"), "", {});
  const doc::Document live = Object(R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c","managedFields":[
      {"manager":"m","operation":"Update","apiVersion":"v1alpha1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{}}},
      {"manager":"n","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{"f:a":{}}}}]},
      "data":{"a":"1"}})");
  doc::Document next = doc::Document::Copy(live.root);
  ASSERT_TRUE(fields.Update(live.root, next, "x", kNow).ok());
  EXPECT_EQ(Managed(next.root),
            R"([{"manager":"n","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1",)"
            R"("fieldsV1":{"f:data":{"f:a":{}}}}])");
}

TEST(FieldManager, WhatBecameAtomicIsManagedAsOne) {
  const Type& type = *FindKind("apps/v1", "Deployment")->type;
  doc::Arena arena;
  const doc::Document set = Json(R"({"f:spec":{"f:replicas":{},"f:selector":{"f:matchLabels":{"f:app":{}}},"f:template":
      {"f:spec":{"f:tolerations":{"i:0":{}},"f:nodeSelector":{".":{},"f:a":{}},"f:containers":{"k:{\"name\":\"c\"}":
      {"f:command":{"v:\"x\"":{}},"f:env":{"k:{\"name\":\"E\"}":{"f:value":{}}}}}}}},"f:unknown":{"f:x":{}}})");
  EXPECT_EQ(doc::ToJson(FollowSchema(set.root, type, arena)),
            R"({"f:spec":{"f:replicas":{},"f:selector":{},"f:template":{"f:spec":{"f:tolerations":{},)"
            R"("f:nodeSelector":{},"f:containers":{"k:{\"name\":\"c\"}":{"f:command":{},)"
            R"("f:env":{"k:{\"name\":\"E\"}":{"f:value":{}}}}}}}},"f:unknown":{"f:x":{}}})");
}

TEST(FieldManager, OnlyWhatAPatternKeepsIsTracked) {
  const FieldManager fields(*FindKind("v1", "Pod"), "ephemeralcontainers",
                            {"{}", R"({"f:spec":{"f:ephemeralContainers":{}}})"});
  doc::Document live = Object(R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},"spec":{"containers":[
      {"name":"c","image":"i"}]}})");
  const FieldManager whole(*FindKind("v1", "Pod"), "", {R"({"f:status":{}})"});
  ASSERT_TRUE(whole.Update(doc::Value::Null(), live, "maker", kNow).ok());
  doc::Document next = Object(R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","labels":{"a":"b"}},"spec":{
      "containers":[{"name":"c","image":"other"}],"ephemeralContainers":[{"name":"e","image":"i"}]}})");
  ASSERT_TRUE(fields.Update(live.root, next, "debug", kNow).ok());
  ASSERT_EQ(next.root.Get("metadata", "managedFields").size(), 2U) << Managed(next.root);
  EXPECT_EQ(doc::ToJson(FieldsOf(next.root, 0)),
            R"({"f:spec":{"f:ephemeralContainers":{".":{},"k:{\"name\":\"e\"}":{".":{},"f:image":{},"f:name":{},)"
            R"("f:resources":{}}}}})");
}

TEST(FieldManager, ListsWithoutKeysAreNotTracked) {
  const FieldManager fields(*FindKind("v1", "Pod"), "", {});
  doc::Document pod = Object(R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","finalizers":["a"]}})");
  pod.root.Find("metadata")->Find("finalizers")->Append(pod.arena, doc::Value::Object());
  EXPECT_FALSE(fields.Update(doc::Value::Null(), pod, "m", kNow).ok());
  EXPECT_TRUE(pod.root.Get("metadata", "managedFields").is_null());
}

TEST(Managers, OldUpdatersAreFoldedByVersion) {
  doc::Arena arena;
  Managers managers;
  constexpr size_t kMost = 3;
  const std::string_view times[] = {"2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z", "2020-01-03T00:00:00Z",
                                    "2020-01-04T00:00:00Z", "2020-01-05T00:00:00Z"};
  const std::string_view names[] = {"a", "b", "c", "d", "e"};
  for (size_t i = 0; i < 5; ++i) {
    Manager manager;
    manager.name = names[i];
    manager.api_version = i == 1 ? "v2" : "v1";
    manager.time = times[i];
    const std::string_view path[] = {arena.Copy("f:" + std::string(names[i]))};
    manager.fields = SetOf(path, arena);
    managers.Put(manager);
  }
  managers.LimitUpdaters(kMost, arena);
  std::vector<std::string> found;
  const doc::Value list = managers.ToList(arena);
  for (const doc::Value& entry : list.items()) {
    found.push_back(std::string(entry.At("manager").AsString()) + " " + std::string(entry.At("apiVersion").AsString()) +
                    " " + doc::ToJson(entry.At("fieldsV1")));
  }
  EXPECT_EQ(found, (std::vector<std::string>{R"(b v2 {"f:b":{}})",
                                             R"(ancient-changes v1 {"f:a":{},"f:c":{},"f:d":{}})",
                                             R"(e v1 {"f:e":{}})"}));
}

}  // namespace
}  // namespace knarr::api::managed
