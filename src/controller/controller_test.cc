// The pure parts: which pod goes first, what is expected, where a Service's traffic goes. The controllers themselves
// are tested in the simulator (tests/sim/control_plane_test.cc), against the real API server.

#include <gtest/gtest.h>

#include <algorithm>

#include "controller/framework/expectations.h"
#include "controller/framework/pods.h"
#include "controller/node_taints.h"
#include "controller/service_backends.h"
#include "doc/json.h"

namespace knarr::controller {
namespace {

using api::core_v1::Pod;

api::ObjectPtr Object(const std::string& json) { return api::Object::FromDocument(MUST(doc::ParseJson(json))); }

struct PodText {
  std::string name;
  std::string node = "n1";
  std::string phase = "Running";
  std::string ready_since = "2024-01-01T00:00:00Z";  ///< "": not ready
  std::string metadata;                              ///< more members
  std::string spec;
  int restarts = 0;
  std::string ip = "10.0.0.1";
};

api::ObjectPtr MakePod(const PodText& pod) {
  std::string conditions;
  if (!pod.ready_since.empty()) {
    conditions = R"({"type":"Ready","status":"True","lastTransitionTime":")" + pod.ready_since + R"("})";
  }
  return Object(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + pod.name + R"(","uid":")" + pod.name +
                R"(","namespace":"default")" + pod.metadata + R"(},"spec":{"nodeName":")" + pod.node + R"(")" +
                pod.spec + R"(},"status":{"phase":")" + pod.phase + R"(","podIP":")" + pod.ip + R"(","conditions":[)" +
                conditions + R"(],"containerStatuses":[{"name":"c","restartCount":)" + std::to_string(pod.restarts) +
                "}]}}");
}

TEST(DeleteFirst, RanksAsUpstreamDoes) {
  struct Case {
    const char* what;
    PodText first;
    PodText second;
    int first_on_node = 1;
    int second_on_node = 1;
  };
  const std::vector<Case> cases = {
      {"unassigned before assigned", {.name = "a", .node = ""}, {.name = "b"}},
      {"pending before running", {.name = "a", .phase = "Pending"}, {.name = "b"}},
      {"unknown before running", {.name = "a", .phase = "Unknown"}, {.name = "b"}},
      {"pending before unknown", {.name = "a", .phase = "Pending"}, {.name = "b", .phase = "Unknown"}},
      {"not ready before ready", {.name = "a", .ready_since = ""}, {.name = "b"}},
      {"cheaper first",
       {.name = "a", .metadata = R"(,"annotations":{"controller.kubernetes.io/pod-deletion-cost":"-5"})"},
       {.name = "b"}},
      {"cost beats crowding",
       {.name = "a"},
       {.name = "b", .metadata = R"(,"annotations":{"controller.kubernetes.io/pod-deletion-cost":"5"})"},
       1,
       9},
      {"from the crowded node", {.name = "a"}, {.name = "b"}, 3, 1},
      {"ready for less long", {.name = "a", .ready_since = "2024-01-02T00:00:00Z"}, {.name = "b"}},
      {"more restarts", {.name = "a", .restarts = 4}, {.name = "b", .restarts = 1}},
      {"younger",
       {.name = "a", .metadata = R"(,"creationTimestamp":"2024-01-02T00:00:00Z")"},
       {.name = "b", .metadata = R"(,"creationTimestamp":"2024-01-01T00:00:00Z")"}},
  };
  for (const Case& c : cases) {
    const api::ObjectPtr first = MakePod(c.first);
    const api::ObjectPtr second = MakePod(c.second);
    const DeletionRank a{Pod(first->tree()), c.first_on_node};
    const DeletionRank b{Pod(second->tree()), c.second_on_node};
    EXPECT_TRUE(DeleteFirst(a, b)) << c.what;
    EXPECT_FALSE(DeleteFirst(b, a)) << c.what;
    EXPECT_FALSE(DeleteFirst(a, a)) << c.what;
  }
}

TEST(IsAvailable, AfterItWasReadyForLongEnough) {
  const api::ObjectPtr pod = MakePod({.name = "a"});
  const WallTime since = *ParseTime("2024-01-01T00:00:00Z");
  Duration left{};
  EXPECT_TRUE(IsAvailable(Pod(pod->tree()), Duration(0), since));
  EXPECT_FALSE(IsAvailable(Pod(pod->tree()), Duration(10s), since + 4s, &left));
  EXPECT_EQ(left, Duration(6s));
  EXPECT_TRUE(IsAvailable(Pod(pod->tree()), Duration(10s), since + 10s));
  const api::ObjectPtr unready = MakePod({.name = "b", .ready_since = ""});
  EXPECT_FALSE(IsAvailable(Pod(unready->tree()), Duration(0), since));
}

TEST(Expectations, HoldUntilSeenOrGivenUp) {
  const MonoTime now{1000s};
  Expectations expectations;
  EXPECT_TRUE(expectations.Satisfied("k", now));
  expectations.ExpectCreations("k", 2, now);
  EXPECT_FALSE(expectations.Satisfied("k", now));
  EXPECT_TRUE(expectations.Satisfied("other", now));
  expectations.CreationObserved("k");
  EXPECT_FALSE(expectations.Satisfied("k", now));
  expectations.CreationObserved("k");
  EXPECT_TRUE(expectations.Satisfied("k", now));
  expectations.CreationObserved("k");  // one too many is no credit for later
  expectations.ExpectCreations("k", 1, now);
  EXPECT_FALSE(expectations.Satisfied("k", now));
  EXPECT_FALSE(expectations.Satisfied("k", now + 5min));
  EXPECT_TRUE(expectations.Satisfied("k", now + 1min + expectations.UntilGivenUp("k", now + 1min)));
  EXPECT_TRUE(expectations.Satisfied("k", now + 5min + 1ns));
}

TEST(Expectations, DeletionsAreByUid) {
  const MonoTime now{1000s};
  Expectations expectations;
  expectations.ExpectDeletion("k", "a", now);
  expectations.ExpectDeletion("k", "b", now);
  expectations.DeletionObserved("k", "a");
  expectations.DeletionObserved("k", "a");
  EXPECT_FALSE(expectations.Satisfied("k", now));
  expectations.DeletionObserved("k", "b");
  EXPECT_TRUE(expectations.Satisfied("k", now));
  expectations.ExpectDeletion("k", "c", now);
  expectations.Forget("k");
  EXPECT_TRUE(expectations.Satisfied("k", now));
}

/// "port/protocol …: ip(+ready|-not)(*terminating) …; …"
std::string Show(const std::vector<BackendGroup>& groups) {
  std::string out;
  for (const BackendGroup& group : groups) {
    if (!out.empty()) out += "; ";
    for (const BackendPort& port : group.ports) out += port.name + "=" + std::to_string(port.port) + " ";
    out += ":";
    for (const Backend& backend : group.backends) {
      out += " " + backend.ip + (backend.ready ? "+" : "-") + (backend.terminating ? "*" : "");
    }
  }
  return out;
}

TEST(GroupBackends, ByPortsAndReadiness) {
  const std::string http = R"(,"containers":[{"name":"c","ports":[{"name":"http","containerPort":8080}]}])";
  const std::string other = R"(,"containers":[{"name":"c","ports":[{"name":"http","containerPort":9090}]}])";
  const std::string deleting = R"(,"deletionTimestamp":"2024-01-01T00:00:00Z")";
  const std::string number = R"("ports":[{"name":"web","port":80,"protocol":"TCP","targetPort":8080}])";
  const std::string name = R"("ports":[{"name":"web","port":80,"protocol":"TCP","targetPort":"http"}])";
  struct Case {
    const char* what;
    std::string service;
    std::vector<PodText> pods;
    std::string shown;
  };
  const std::vector<Case> cases = {
      {"none", number, {}, ""},
      {"ready and not",
       number,
       {{.name = "a", .ip = "10.0.0.2"}, {.name = "b", .ready_since = "", .ip = "10.0.0.1"}},
       "web=8080 : 10.0.0.1- 10.0.0.2+"},
      {"without an address or finished", number, {{.name = "a", .ip = ""}, {.name = "b", .phase = "Failed"}}, ""},
      {"terminating", number, {{.name = "a", .metadata = deleting}}, "web=8080 : 10.0.0.1-*"},
      {"published although not ready",
       number + R"(,"publishNotReadyAddresses":true)",
       {{.name = "a", .ready_since = ""}},
       "web=8080 : 10.0.0.1+"},
      {"a named port differs from pod to pod",
       name,
       {{.name = "a", .spec = http}, {.name = "b", .spec = other, .ip = "10.0.0.2"}},
       "web=8080 : 10.0.0.1+; web=9090 : 10.0.0.2+"},
      {"no port of that name", name, {{.name = "a"}}, ""},
      {"headless without ports", R"("clusterIP":"None")", {{.name = "a"}}, ": 10.0.0.1+"},
  };
  for (const Case& c : cases) {
    const api::ObjectPtr service =
        Object(R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{)" + c.service + "}}");
    std::vector<api::ObjectPtr> pods;
    for (const PodText& pod : c.pods) pods.push_back(MakePod(pod));
    EXPECT_EQ(Show(GroupBackends(api::core_v1::Service(service->tree()), pods)), c.shown) << c.what;
  }
}

TEST(StaysFor, AsLongAsItTolerates) {
  struct Case {
    const char* what;
    std::string tolerations;
    std::string taint;
    std::optional<Duration> stays;
  };
  const std::string unreachable = R"({"key":"node.kubernetes.io/unreachable","effect":"NoExecute"})";
  const std::string other = R"({"key":"a","effect":"NoExecute"})";
  const auto seconds = [](const std::string& key, const std::string& count) {
    return R"({"key":")" + key + R"(","operator":"Exists","effect":"NoExecute","tolerationSeconds":)" + count + "}";
  };
  const std::vector<Case> cases = {
      {"not at all", "", other, Duration(0)},
      {"the default", "", unreachable, Duration(300s)},
      {"for ever", R"({"operator":"Exists"})", other, std::nullopt},
      {"the shortest", seconds("a", "30") + "," + seconds("a", "10"), other, Duration(10s)},
      {"less than nothing", seconds("a", "-5"), other, Duration(0)},
      {"longer than nanoseconds count", seconds("a", "9223372036854775807"), other, Duration(24h * 365 * 100)},
  };
  for (const Case& c : cases) {
    const api::ObjectPtr pod = MakePod({.name = "a", .spec = R"(,"tolerations":[)" + c.tolerations + "]"});
    const doc::Document taint = MUST(doc::ParseJson(c.taint));
    EXPECT_EQ(StaysFor(Pod(pod->tree()), api::core_v1::Taint(taint.root)), c.stays) << c.what;
  }
}

TEST(MarkUnknown, WhatTheAgentSaysAndNothingElse) {
  doc::Document node = MUST(doc::ParseJson(
      R"({"metadata":{"name":"n","creationTimestamp":"2024-01-01T00:00:00Z"},"status":{"conditions":[
          {"type":"NetworkUnavailable","status":"False"},
          {"type":"Ready","status":"True","lastTransitionTime":"2024-01-01T00:00:01Z"},
          {"type":"DiskPressure","status":"Unknown","reason":"Asked"}]}})"));
  const WallTime now = *ParseTime("2024-01-02T00:00:00Z");
  EXPECT_TRUE(MarkUnknown(api::core_v1::NodeEdit(node), now));
  std::string shown;
  for (const doc::Value& condition : node.root.Get("status", "conditions").items()) {
    shown += std::string(condition.At("type").AsString()) + "=" + std::string(condition.At("status").AsString()) + " " +
             std::string(condition.At("reason").AsString()) + ";";
  }
  EXPECT_EQ(shown,
            "NetworkUnavailable=False ;Ready=Unknown NodeStatusUnknown;DiskPressure=Unknown Asked;"
            "MemoryPressure=Unknown NodeStatusNeverUpdated;PIDPressure=Unknown NodeStatusNeverUpdated;");
  EXPECT_FALSE(MarkUnknown(api::core_v1::NodeEdit(node), now + 1s));
}

}  // namespace
}  // namespace knarr::controller
