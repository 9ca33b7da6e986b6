#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "doc/json.h"
#include "scheduler/plugin.h"

namespace knarr::scheduler {
namespace {

api::ObjectPtr Object(std::string_view json) { return api::Object::FromDocument(MUST(doc::ParseJson(json))); }

struct NodeText {
  std::string name;
  std::string spec = "{}";
  std::string allocatable = R"({"cpu":"1","memory":"1Gi","pods":"2"})";
  std::string labels = "{}";
};

api::ObjectPtr Node(const NodeText& node) {
  return Object(R"({"apiVersion":"v1","kind":"Node","metadata":{"name":")" + node.name + R"(","labels":)" +
                node.labels + R"(},"spec":)" + node.spec + R"(,"status":{"allocatable":)" + node.allocatable + "}}");
}

PodInfo MakePod(std::string_view uid, const std::string& spec) {
  return PodInfo::Make(Object(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + std::string(uid) +
                              R"(","namespace":"default","uid":")" + std::string(uid) + R"("},"spec":)" + spec + "}"));
}

std::string Asks(std::string_view requests, std::string_view more = "") {
  return R"({"containers":[{"name":"c","resources":{"requests":)" + std::string(requests) + "}}]" + std::string(more) +
         "}";
}

struct Case {
  const char* what;
  std::vector<NodeText> nodes;
  std::string pod;
  std::string node;
  std::string message;
};

void Check(const std::vector<Case>& cases) {
  const Plugins plugins = DefaultPlugins();
  for (const Case& c : cases) {
    Snapshot snapshot;
    for (const NodeText& node : c.nodes) ASSERT_TRUE(snapshot.SetNode(Node(node)).ok()) << c.what;
    const Placement placement = Place(MakePod("p", c.pod), snapshot, plugins, 0);
    EXPECT_EQ(placement.node, c.node) << c.what;
    EXPECT_EQ(placement.message, c.message) << c.what;
  }
}

TEST(Place, FindsANodeOrSaysWhyNot) {
  const std::string cordoned = R"({"unschedulable":true})";
  const std::string tainted = R"({"taints":[{"key":"a","value":"b","effect":"NoSchedule"}]})";
  const std::string hostport = R"({"containers":[{"name":"c","ports":[{"containerPort":80,"hostPort":80}]}]})";
  const std::vector<Case> cases = {
      {"no nodes", {}, Asks("{}"), "", "no nodes available to schedule pods"},
      {"fits", {{"n1"}}, Asks(R"({"cpu":"1"})"), "n1", ""},
      {"too big", {{"n1"}}, Asks(R"({"cpu":"1001m"})"), "", "0/1 nodes are available: 1 Insufficient cpu."},
      {"two things short",
       {{"n1"}},
       Asks(R"({"cpu":"2","memory":"2Gi"})"),
       "",
       "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."},
      {"a reason each",
       {{"n1"}, {"n2", cordoned}, {"n3", cordoned}},
       Asks(R"({"cpu":"2"})"),
       "",
       "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable."},
      {"taint", {{"n1", tainted}}, Asks("{}"), "", "0/1 nodes are available: 1 node(s) had untolerated taint {a: b}."},
      {"tolerated", {{"n1", tainted}}, Asks("{}", R"(,"tolerations":[{"key":"a","operator":"Exists"}])"), "n1", ""},
      {"unknown resource",
       {{"n1"}},
       Asks(R"({"nvidia.com/gpu":"1"})"),
       "",
       "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."},
      {"no place for one more pod",
       {{"n1", "{}", R"({"cpu":"1","memory":"1Gi","pods":"0"})"}},
       Asks("{}"),
       "",
       "0/1 nodes are available: 1 Too many pods."},
      {"selector",
       {{"n1"}, {.name = "n2", .labels = R"({"disk":"ssd"})"}},
       Asks("{}", R"(,"nodeSelector":{"disk":"ssd"})"),
       "n2",
       ""},
      {"selector of no node",
       {{"n1"}},
       Asks("{}", R"(,"nodeSelector":{"disk":"ssd"})"),
       "",
       "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."},
      {"largest init container counts",
       {{"n1"}},
       Asks(R"({"cpu":"100m"})", R"(,"initContainers":[{"name":"i","resources":{"requests":{"cpu":"2"}}}])"),
       "",
       "0/1 nodes are available: 1 Insufficient cpu."},
      {"sidecars add up",
       {{"n1"}},
       Asks(R"({"cpu":"600m"})",
            R"(,"initContainers":[{"name":"i","restartPolicy":"Always","resources":{"requests":{"cpu":"500m"}}}])"),
       "",
       "0/1 nodes are available: 1 Insufficient cpu."},
      {"host port is free", {{"n1"}}, hostport, "n1", ""},
  };
  Check(cases);
}

TEST(Place, APodAsksForWhatTheApiSays) {
  Check({
      {"more than can be counted",
       {{"n1"}},
       R"({"containers":[{"name":"c","resources":{"requests":{"memory":"8Ei"}}},)"
       R"({"name":"d","resources":{"requests":{"memory":"8Ei"}}}]})",
       "",
       "0/1 nodes are available: 1 Insufficient memory."},
      {"the pod's own budget counts",
       {{"n1"}},
       Asks(R"({"cpu":"100m"})", R"(,"resources":{"requests":{"cpu":"2"}})"),
       "",
       "0/1 nodes are available: 1 Insufficient cpu."},
  });
}

TEST(Snapshot, HoldsTheNodesThatExist) {
  Snapshot snapshot;
  const auto names = [&] {
    std::vector<std::string_view> out;
    for (const NodeInfo* node : snapshot.nodes()) out.push_back(node->name);
    std::ranges::sort(out);
    return out;
  };
  using Names = std::vector<std::string_view>;
  for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(snapshot.SetNode(Node({name})).ok());
  snapshot.SetPod(MakePod("p", Asks("{}")), "a");
  snapshot.RemoveNode("a");
  EXPECT_EQ(names(), (Names{"b", "c"}));
  EXPECT_EQ(snapshot.Find("a"), nullptr);
  snapshot.RemoveNode("c");
  snapshot.RemoveNode("c");
  EXPECT_EQ(names(), (Names{"b"}));
  ASSERT_TRUE(snapshot.SetNode(Node({"a"})).ok());
  EXPECT_EQ(names(), (Names{"a", "b"}));
  EXPECT_EQ(snapshot.Find("a")->pods.size(), 1U);
  const uint64_t generation = snapshot.generation();
  EXPECT_FALSE(snapshot.SetNode(Node({.name = "b", .allocatable = R"({"cpu":"many"})"})).ok());
  EXPECT_EQ(names(), (Names{"a"}));
  EXPECT_GT(snapshot.generation(), generation);
}

TEST(PodInfo, AsksTheSame) {
  const std::string base = Asks(R"({"cpu":"600m"})");
  const PodInfo pod = MakePod("a", base);
  EXPECT_TRUE(pod.AsksTheSame(MakePod("b", base)));
  // A name that is drawn by lot for each pod makes no difference.
  EXPECT_TRUE(pod.AsksTheSame(MakePod("b", Asks(R"({"cpu":"600m"})", R"(,"volumes":[{"name":"kube-api-access-x"}])"))));
  for (const std::string& other :
       {Asks(R"({"cpu":"601m"})"), Asks(R"({"cpu":"600m"})", R"(,"nodeSelector":{"a":"b"})"),
        Asks(R"({"cpu":"600m"})", R"(,"tolerations":[{"operator":"Exists"}])"),
        Asks(R"({"cpu":"600m"})", R"(,"affinity":{"nodeAffinity":{}})"),
        Asks(R"({"cpu":"600m"})", R"(,"nodeName":"x")"),
        Asks(R"({"cpu":"600m"})", R"(,"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"c"}}])")}) {
    EXPECT_FALSE(pod.AsksTheSame(MakePod("b", other))) << other;
  }
}

TEST(Place, WhatIsThereCounts) {
  const Plugins plugins = DefaultPlugins();
  Snapshot snapshot;
  ASSERT_TRUE(snapshot.SetNode(Node({"n1"})).ok());
  const PodInfo half = MakePod("a", Asks(R"({"cpu":"600m"})"));
  snapshot.SetPod(half, "n1");
  EXPECT_EQ(Place(MakePod("b", Asks(R"({"cpu":"600m"})")), snapshot, plugins, 0).message,
            "0/1 nodes are available: 1 Insufficient cpu.");
  snapshot.SetPod(half, "n1");  // the same pod again takes nothing more
  EXPECT_EQ(Place(MakePod("b", Asks(R"({"cpu":"400m"})")), snapshot, plugins, 0).node, "n1");
  EXPECT_EQ(snapshot.RemovePod("a"), "n1");
  EXPECT_EQ(snapshot.RemovePod("a"), "");
  EXPECT_EQ(Place(MakePod("b", Asks(R"({"cpu":"1"})")), snapshot, plugins, 0).node, "n1");
  snapshot.RemoveNode("n1");
  EXPECT_EQ(Place(MakePod("b", Asks("{}")), snapshot, plugins, 0).message, "no nodes available to schedule pods");
}

TEST(Place, PortsOfSidecarsAreTaken) {
  const Plugins plugins = DefaultPlugins();
  Snapshot snapshot;
  ASSERT_TRUE(snapshot.SetNode(Node({"n1"})).ok());
  const std::string port = R"("ports":[{"containerPort":80,"hostPort":80}])";
  snapshot.SetPod(MakePod("a", Asks("{}", R"(,"initContainers":[{"name":"i","restartPolicy":"Always",)" + port + "}]")),
                  "n1");
  EXPECT_EQ(Place(MakePod("b", R"({"containers":[{"name":"c",)" + port + "}]}"), snapshot, plugins, 0).message,
            "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.");
}

TEST(Place, SpreadsThePodsOfOneOwner) {
  const Plugins plugins = DefaultPlugins();
  Snapshot snapshot;
  const std::string large = R"({"cpu":"8","memory":"8Gi","pods":"100"})";
  for (const char* name : {"n1", "n2", "n3"}) ASSERT_TRUE(snapshot.SetNode(Node({name, "{}", large})).ok());
  std::map<std::string, int> counts;
  for (int i = 0; i < 9; ++i) {
    PodInfo pod = MakePod("p" + std::to_string(i), Asks(R"({"cpu":"100m"})"));
    pod.owner = 1;
    const Placement placement = Place(pod, snapshot, plugins, static_cast<uint64_t>(i));
    EXPECT_EQ(placement.feasible, 3U);
    counts[placement.node]++;
    snapshot.SetPod(std::move(pod), placement.node);
  }
  for (const auto& [node, count] : counts) EXPECT_EQ(count, 3) << node;
}

TEST(Place, LooksAtAPartOfALargeCluster) {
  const Plugins plugins = DefaultPlugins();
  Snapshot snapshot;
  // Upstream's numbers: all of up to 100, half of a few hundred, a tenth of 5,000.
  const std::pair<int, size_t> sizes[] = {{50, 50}, {100, 100}, {150, 100}, {1000, 420}, {5000, 500}};
  int made = 0;
  for (const auto& [nodes, looked] : sizes) {
    for (; made < nodes; ++made) ASSERT_TRUE(snapshot.SetNode(Node({fmt::format("n{:05}", made)})).ok());
    EXPECT_EQ(Place(MakePod("p", Asks("{}")), snapshot, plugins, 4999).feasible, looked) << nodes;
  }
  // The one node that fits is found wherever it is.
  ASSERT_TRUE(snapshot.SetNode(Node({"n02500", "{}", R"({"cpu":"64","memory":"1Gi","pods":"2"})"})).ok());
  for (uint64_t begin : {0, 2500, 2501, 4999}) {
    EXPECT_EQ(Place(MakePod("p", Asks(R"({"cpu":"32"})")), snapshot, plugins, begin).node, "n02500") << begin;
  }
  EXPECT_EQ(Place(MakePod("p", Asks(R"({"cpu":"65"})")), snapshot, plugins, 7).message,
            "0/5000 nodes are available: 5000 Insufficient cpu.");
}

TEST(Place, HostPortsClash) {
  struct PortCase {
    HostPort a, b;
    bool clash;
  };
  const std::vector<PortCase> cases = {
      {{"TCP", "", 80}, {"TCP", "", 80}, true},
      {{"TCP", "", 80}, {"UDP", "", 80}, false},
      {{"TCP", "", 80}, {"TCP", "", 81}, false},
      {{"TCP", "0.0.0.0", 80}, {"TCP", "10.0.0.1", 80}, true},
      {{"TCP", "10.0.0.2", 80}, {"TCP", "10.0.0.1", 80}, false},
  };
  for (const PortCase& c : cases) {
    EXPECT_EQ(c.a.Clashes(c.b), c.clash);
    EXPECT_EQ(c.b.Clashes(c.a), c.clash);
  }
}

}  // namespace
}  // namespace knarr::scheduler
