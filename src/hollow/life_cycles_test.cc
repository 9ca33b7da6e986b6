#include "hollow/life_cycles.h"

#include <gtest/gtest.h>

#include "doc/json.h"
#include "rt/sim.h"

namespace knarr::hollow {
namespace {

constexpr std::string_view kWhole = R"(
heartbeat: 20s
podRange: 10.64.0.0/10
nodeRange: 172.20.0.0/16
nodes:
- name: big
  weight: 1
  capacity: {cpu: 64, memory: 256Gi, pods: 250}
  labels: {zone: a}
  taints: [{key: dedicated, value: batch, effect: NoSchedule}]
- name: small
  weight: 3
  capacity: {cpu: "4"}
  lives: 1h..2h
  gone: 5m
pods:
- name: flaky
  namespace: jobs
  selector: app=flaky
  start: 100ms..2s
  init: 1s
  ready: 0s..5s
  stop: 1s
  restart: 3s
  outcomes:
  - weight: 9
  - {after: 10s..1m, exitCode: 3, reason: OOMKilled, message: too much}
  - {waiting: ImagePullBackOff}
- name: rest
)";

TEST(LifeCycles, AreRead) {
  const LifeCycles cycles = MUST(LifeCycles::Parse(kWhole));
  EXPECT_EQ(cycles.heartbeat, 20s);
  EXPECT_EQ(cycles.pod_range.ToString(), "10.64.0.0/10");
  ASSERT_EQ(cycles.nodes.size(), 2U);
  EXPECT_EQ(cycles.nodes[0].pods(), 250);
  EXPECT_EQ(cycles.nodes[0].taints.at(0).key, "dedicated");
  EXPECT_EQ(cycles.nodes[1].pods(), 110);
  EXPECT_EQ(cycles.nodes[1].lives, (Span{1h, 2h}));
  ASSERT_EQ(cycles.pods.size(), 2U);
  EXPECT_EQ(cycles.pods[0].start, (Span{100ms, 2s}));
  EXPECT_EQ(cycles.pods[0].restart, (Span{3s, 3s}));
  ASSERT_EQ(cycles.pods[0].outcomes.size(), 3U);
  EXPECT_EQ(cycles.pods[0].outcomes[1].exit_code, 3);
  EXPECT_EQ(cycles.pods[0].outcomes[2].waiting, "ImagePullBackOff");
  EXPECT_EQ(cycles.PodPrefix(), 24);
}

TEST(LifeCycles, ShapesHaveTheirShares) {
  const LifeCycles cycles = MUST(LifeCycles::Parse(kWhole));
  int big = 0;
  for (int i = 0; i < 400; ++i) big += cycles.ShapeOf(i).name == "big" ? 1 : 0;
  EXPECT_EQ(big, 100);
}

TEST(LifeCycles, TheFirstThatFitsCounts) {
  const LifeCycles cycles = MUST(LifeCycles::Parse(kWhole));
  const auto cycle_of = [&](const std::string& json) {
    const doc::Document pod = MUST(doc::ParseJson(json));
    return cycles.For(api::core_v1::Pod(pod.root)).name;
  };
  EXPECT_EQ(cycle_of(R"({"metadata":{"namespace":"jobs","labels":{"app":"flaky"}}})"), "flaky");
  EXPECT_EQ(cycle_of(R"({"metadata":{"namespace":"other","labels":{"app":"flaky"}}})"), "rest");
  EXPECT_EQ(cycle_of(R"({"metadata":{"namespace":"jobs"}})"), "rest");
}

TEST(LifeCycles, RoomForNodesIsChecked) {
  const LifeCycles small = MUST(LifeCycles::Parse("podRange: 10.0.0.0/20\nnodeRange: 10.1.0.0/28"));
  EXPECT_TRUE(small.CheckCount(14).ok());
  EXPECT_FALSE(small.CheckCount(15).ok());
  EXPECT_FALSE(small.CheckCount(17).ok());
  EXPECT_TRUE(LifeCycles().CheckCount(20000).ok());
}

struct Wrong {
  std::string_view text;
  std::string_view message;
};

TEST(LifeCycles, SayWhereTheyAreWrong) {
  static constexpr Wrong kWrong[] = {
      {"nodes: 3", "line 1, column 1: nodes: want a list"},
      {"nodes: []", "line 1, column 1: nodes: want at least one"},
      {"pods:\n- start: soon", "line 2, column 3: pods[0].start: time: invalid duration \"soon\""},
      {"pods:\n- start: 5s..1s", "line 2, column 3: pods[0].start: 5s..1s: the first is longer than the second"},
      {"pods:\n- stat: 1s", "line 2, column 3: pods[0].stat: not known here; want one of: name, namespace, selector, "
                            "start, init, ready, stop, restart, outcomes"},
      {"pods:\n- outcomes:\n  - exitCode: 1", "line 3, column 5: pods[0].outcomes[0]: after: Required value: when it "
                                              "ends"},
      {"pods:\n- outcomes:\n  - weight: 0", "line 3, column 5: pods[0].outcomes[0].weight: want a whole number from 1 "
                                            "to 10000"},
      {"heartbeat: 45s", "line 1, column 1: heartbeat: want 1s to 30s: a node that is silent for 50s is lost"},
      {"nodes:\n- capacity: {pods: many}", "line 2, column 14: nodes[0].capacity.pods: quantities must match the "
                                           "regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"},
      {"heartbeat: 5", "line 1, column 1: heartbeat: want a string"},
      {"nodes:\n- name: Big_one",
       "line 2, column 3: nodes[0].name: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
       "characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
       "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"},
      {"nodes:\n- gone: 5m", "line 2, column 3: nodes[0].gone: what never dies (lives) does not come back"},
      {"nodes:\n- taints: [{key: a, effect: NoWay}]",
       "line 2, column 12: nodes[0].taints[0]: effect: want one of: NoSchedule, PreferNoSchedule, NoExecute"},
      {"pods:\n- outcomes:\n  - {after: 1s, failsPod: 'yes'}",
       "line 3, column 17: pods[0].outcomes[0].failsPod: want true or false"},
      {"pods:\n- outcomes:\n  - reason: Evicted",
       "line 3, column 5: pods[0].outcomes[0]: after: Required value: what runs on says nothing of its end"},
      {"podRange: 'fd00::/64'", "line 1, column 1: podRange: want an IPv4 network"},
  };
  for (const Wrong& wrong : kWrong) {
    const auto read = LifeCycles::Parse(wrong.text);
    ASSERT_FALSE(read.ok()) << wrong.text;
    EXPECT_EQ(read.status().message(), wrong.message) << wrong.text;
  }
}

TEST(Spans, AreDrawnBetweenTheirBounds) {
  const auto runtime = rt::SimRuntime::Create({.seed = 1});
  const Span span = MUST(Span::Parse("100ms..1s"));
  bool early = false;
  bool late = false;
  for (int i = 0; i < 1000; ++i) {
    const Duration drawn = span.Draw(*runtime);
    ASSERT_GE(drawn, 100ms);
    ASSERT_LE(drawn, 1s);
    early |= drawn < 200ms;
    late |= drawn > 900ms;
  }
  EXPECT_TRUE(early && late);
}

}  // namespace
}  // namespace knarr::hollow
