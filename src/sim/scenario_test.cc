#include "sim/scenario.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "sim/generate.h"
#include "sim/run.h"

namespace knarr::sim {
namespace {

TEST(Scenarios, AreRead) {
  const Scenario scenario = MUST(Scenario::Parse(R"(# A comment.
nodes 2 cpu=500m zone=a
create in=default
  kind: Pod

  metadata:
    name: p
try delete pod/default/p grace=0   # why not
error NotFound not found
expect pod/p .status.conditions[?(@.type=="Ready")].status != "a b" within 30s for 1s
expect pods label=app=web count >= 3
)",
                                                 "file"));
  ASSERT_EQ(scenario.statements.size(), 5U);
  const Statement& nodes = scenario.statements[0];
  EXPECT_EQ(nodes.line, 2);
  EXPECT_EQ(nodes.words, std::vector<std::string>{"2"});
  EXPECT_EQ(nodes.Option("cpu"), "500m");
  EXPECT_EQ(nodes.Option("memory", "4Gi"), "4Gi");
  EXPECT_EQ(scenario.statements[1].body, "kind: Pod\n\nmetadata:\n  name: p\n");
  const Statement& gone = scenario.statements[2];
  EXPECT_TRUE(gone.tries);
  EXPECT_EQ(gone.error, "NotFound");
  EXPECT_EQ(gone.error_text, "not found");
  const Statement& expect = scenario.statements[3];
  EXPECT_EQ(expect.words, (std::vector<std::string>{"pod/p", R"(.status.conditions[?(@.type=="Ready")].status)", "!=",
                                                    "a b"}));
  EXPECT_EQ(expect.within, 30s);
  EXPECT_EQ(expect.lasting, 1s);
  EXPECT_EQ(scenario.statements[4].Option("label"), "app=web");
  // What is written is read as the same.
  EXPECT_EQ(MUST(Scenario::Parse(scenario.ToText(), "again")).ToText(), scenario.ToText());
}

TEST(Scenarios, SayWhereTheyAreWrong) {
  static constexpr std::pair<std::string_view, std::string_view> kWrong[] = {
      {"jump", "f:1: no statement is called \"jump\""},
      {"\n  deep", "f:2: an indented line that belongs to nothing"},
      {"scale pod/x", "f:1: usage: scale KIND/NAME REPLICAS"},
      {"scale replicaset/x many", "f:1: strconv.ParseUint: parsing \"many\": invalid syntax"},
      {"delete pod", "f:1: want KIND/NAME"},
      {"advance soon", "f:1: time: invalid duration \"soon\""},
      {"error NotFound", "f:1: nothing before it that could fail"},
      {"expect pod/x present\nerror NotFound", "f:2: expect and advance have no reasons"},
      {"cordon 'node", "f:1: a quote that is not closed"},
      {"delete a/b/c/d", "f:1: \"a/b/c/d\": want KIND, KIND/NAME or KIND/NAMESPACE/NAME"},
      {"calm {}", "f:1: usage: calm"},
      {"nodes 1 cpu=1 cpu=2", "f:1: cpu twice"},
  };
  for (const auto& [text, message] : kWrong) {
    const auto read = Scenario::Parse(text, "f");
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_EQ(read.status().message(), message);
  }
}

TEST(Scenarios, SeedsAreScenarios) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const std::string text = GenerateScenario(seed, 100);
    const auto read = Scenario::Parse(text, "seed");
    ASSERT_TRUE(read.ok()) << seed << ": " << read.status().ToString();
    EXPECT_EQ(text, GenerateScenario(seed, 100));
  }
}

TEST(Scenarios, FailWhenWhatIsExpectedDoesNotCome) {
  const Scenario scenario =
      MUST(Scenario::Parse("nodes 1\nexpect node/node-0 .spec.unschedulable true within 5s\n", "f"));
  const RunResult result = RunScenario(scenario, {});
  EXPECT_FALSE(result.ok);
  EXPECT_NE(result.why.find("f:2: expect node/node-0 .spec.unschedulable true within 5s: it is "), std::string::npos)
      << result.why;
}

TEST(Scenarios, FailWhenTheWrongErrorComes) {
  const Scenario scenario = MUST(Scenario::Parse("delete pod/x\nerror Conflict\n", "f"));
  EXPECT_FALSE(RunScenario(scenario, {}).ok);
  const Scenario other = MUST(Scenario::Parse("cordon node/x\nerror NotFound nodes \"x\" not found\n", "f"));
  EXPECT_TRUE(RunScenario(other, {}).ok);
}

TEST(Scenarios, TheDeafHearLater) {
  const Scenario scenario = MUST(Scenario::Parse(R"(nodes 1
namespace a
fault controllers deaf to=replicasets after=20s
create
  apiVersion: apps/v1
  kind: ReplicaSet
  metadata: {name: r}
  spec:
    replicas: 2
    selector: {matchLabels: {a: b}}
    template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}
expect pods count 0 for 18s
expect pods count 2 within 5s
)",
                                                 "f"));
  const RunResult result = RunScenario(scenario, {});
  EXPECT_TRUE(result.ok) << result.why;
}

TEST(Scenarios, AServerThatCrashesLosesNothingThatItSaid) {
  const Scenario scenario = MUST(Scenario::Parse(R"(disk slow
nodes 2
namespace a
create
  apiVersion: apps/v1
  kind: ReplicaSet
  metadata: {name: r}
  spec:
    replicas: 9
    selector: {matchLabels: {a: b}}
    template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}
advance 5ms
fault server crash after=2s
expect replicaset/r .spec.replicas 9
scale replicaset/r 4
fault server crash after=100ms
expect replicaset/r .spec.replicas 4
expect replicaset/r .status.readyReplicas 4 within 20s
converge
)",
                                                 "f"));
  const RunResult result = RunScenario(scenario, {.keep_journal = true});
  EXPECT_TRUE(result.ok) << result.why;
  EXPECT_NE(result.journal.find("the server crashes"), std::string::npos);
}

TEST(Scenarios, ManyAtOnceKeepToAQuota) {
  const Scenario scenario = MUST(Scenario::Parse(R"(namespace a
create {apiVersion: v1, kind: ResourceQuota, metadata: {name: q}, spec: {hard: {count/configmaps: 3}}}
advance 5s
rush 9 in=a
expect configmaps count <= 3
expect configmaps count > 1
)",
                                                 "f"));
  const RunResult result = RunScenario(scenario, {});
  EXPECT_TRUE(result.ok) << result.why;
}

TEST(Scenarios, AVolumeIsGivenToOneClaim) {
  std::string text = "namespace a\n";
  for (const char* name : {"one", "two"}) {
    text += ReplaceAll(R"(create
  apiVersion: v1
  kind: PersistentVolumeClaim
  metadata: {name: NAME}
  spec: {accessModes: [ReadWriteOnce], storageClassName: "", resources: {requests: {storage: 1Gi}}}
)",
                       "NAME", name);
  }
  text += R"(create
  apiVersion: v1
  kind: PersistentVolume
  metadata: {name: v}
  spec: {accessModes: [ReadWriteOnce], storageClassName: x, capacity: {storage: 1Gi}, hostPath: {path: /d}}
give persistentvolume/v persistentvolumeclaim/two
expect persistentvolumeclaim/two .spec.volumeName v within 5s
give persistentvolume/v persistentvolumeclaim/one
error Conflict it is meant for one already
)";
  const RunResult result = RunScenario(MUST(Scenario::Parse(text, "f")), {});
  EXPECT_TRUE(result.ok) << result.why;
}

TEST(Scenarios, AreBrokenOffInTime) {
  const Scenario scenario = MUST(Scenario::Parse("nodes 1\nadvance 10h\n", "f"));
  const RunResult result = RunScenario(scenario, {.until = 20s});
  EXPECT_TRUE(result.ok);
  EXPECT_LT(result.virtual_time, 60s);
}

TEST(Scenarios, FailuresOfOneCauseAreAlike) {
  EXPECT_EQ(FailureClass("  12.300s /registry/core/pods/a/b moved from node node-1 to \"\""),
            FailureClass("   1.000s /registry/core/pods/c/d moved from node node-2 to \"\""));
  EXPECT_NE(FailureClass("1.0s /x moved"), FailureClass("1.0s /x came back"));
}

TEST(Scenarios, AreMadeSmall) {
  const Scenario scenario = MUST(Scenario::Parse(
      "nodes 1\nadvance 1s\nadvance 2s\nadvance 3s\ncordon node/~0\nadvance 4s\nadvance 5s\nuncordon node/~0\n", "f"));
  size_t runs = 0;
  const Scenario small = Shrink(scenario, [&](const Scenario& smaller) {
    ++runs;
    const std::string text = smaller.ToText();
    return text.find("3s") != std::string::npos && text.find("\ncordon") != std::string::npos;
  });
  EXPECT_EQ(small.ToText(), "advance 3s\ncordon node/~0\n");
  EXPECT_LT(runs, 40U);
}

}  // namespace
}  // namespace knarr::sim
