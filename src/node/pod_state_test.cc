#include "node/pod_state.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "doc/json.h"
#include "node/environment.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;
using runtime::ContainerState;
using runtime::ContainerStatus;

constexpr WallTime kNow{std::chrono::hours(24 * 365 * 50)};

doc::Document ParsePod(std::string_view policy, bool with_init = false) {
  std::string init = with_init ? R"("initContainers":[{"name":"i1","image":"x"},{"name":"i2","image":"x"}],)" : "";
  std::string json = R"({"metadata":{"name":"web","namespace":"default","uid":"u1","generation":3},"spec":{)" + init +
                     R"("restartPolicy":")" + std::string(policy) +
                     R"(","containers":[{"name":"a","image":"x"},{"name":"b","image":"y"}]}})";
  return MUST(doc::ParseJson(json));  // written above
}

ContainerStatus Running(std::string name, uint32_t attempt = 0) {
  return {.id = name + std::to_string(attempt),
          .name = name,
          .attempt = attempt,
          .state = ContainerState::kRunning,
          .started = kNow - 60s};
}

ContainerStatus Exited(std::string name, int code, uint32_t attempt = 0, Duration ran = 5s) {
  return {.id = name + std::to_string(attempt),
          .name = name,
          .attempt = attempt,
          .state = ContainerState::kExited,
          .started = kNow - 1s - ran,
          .finished = kNow - 1s,
          .exit_code = code};
}

struct PlanCase {
  std::string what;
  std::string policy;
  std::vector<ContainerStatus> containers;
  std::vector<std::string> start;
  bool finished = false;
};

TEST(PlanPod, StartsWhatTheRestartPolicyAsksFor) {
  const PlanCase cases[] = {
      {"nothing made yet", "Always", {}, {"a", "b"}},
      {"one runs", "Always", {Running("a")}, {"b"}},
      {"both run", "Always", {Running("a"), Running("b")}, {}},
      {"ended well, Always", "Always", {Exited("a", 0), Running("b")}, {"a"}},
      {"ended well, OnFailure", "OnFailure", {Exited("a", 0), Running("b")}, {}},
      {"failed, OnFailure", "OnFailure", {Exited("a", 1), Running("b")}, {"a"}},
      {"failed, Never", "Never", {Exited("a", 1), Running("b")}, {}},
      {"all ended, Never", "Never", {Exited("a", 1), Exited("b", 0)}, {}, true},
      {"all ended well, OnFailure", "OnFailure", {Exited("a", 0), Exited("b", 0)}, {}, true},
      {"all ended well, Always", "Always", {Exited("a", 0), Exited("b", 0)}, {"a", "b"}},
  };
  for (const PlanCase& c : cases) {
    doc::Document document = ParsePod(c.policy);
    PodState state = InitialState(Pod(document.root));
    EXPECT_TRUE(AdoptContainers(state, c.containers).empty()) << c.what;
    PodPlan plan = PlanPod(Pod(document.root), state, kNow);
    EXPECT_EQ(plan.start, c.start) << c.what;
    EXPECT_EQ(plan.finished, c.finished) << c.what;
  }
}

TEST(PlanPod, InitContainersRunOneAfterTheOther) {
  doc::Document document = ParsePod("Always", true);
  Pod pod(document.root);
  PodState state = InitialState(pod);
  EXPECT_EQ(PlanPod(pod, state, kNow).start, std::vector<std::string>{"i1"});
  state.Find("i1")->current = Running("i1");
  EXPECT_TRUE(PlanPod(pod, state, kNow).start.empty());
  state.Find("i1")->current = Exited("i1", 1);
  EXPECT_EQ(PlanPod(pod, state, kNow).start, std::vector<std::string>{"i1"});
  state.Find("i1")->current = Exited("i1", 0);
  EXPECT_EQ(PlanPod(pod, state, kNow).start, std::vector<std::string>{"i2"});
  state.Find("i2")->current = Exited("i2", 0);
  EXPECT_EQ(PlanPod(pod, state, kNow).start, (std::vector<std::string>{"a", "b"}));
}

TEST(PlanPod, BeginsAnewInANewSandbox) {
  doc::Document document = ParsePod("Always", true);
  Pod pod(document.root);
  PodState state = InitialState(pod);
  state.sandbox_id = "s1";
  const auto put = [&](const char* name, ContainerStatus status, const char* sandbox) {
    status.sandbox_id = sandbox;
    state.Find(name)->current = std::move(status);
  };
  put("i1", Exited("i1", 0), "s1");
  put("i2", Exited("i2", 0), "s1");
  put("a", Exited("a", 137), "s1");
  put("b", Exited("b", 137), "s1");
  EXPECT_EQ(PlanPod(pod, state, kNow).start, (std::vector<std::string>{"a", "b"}));
  state.sandbox_id = "s2";
  EXPECT_EQ(PlanPod(pod, state, kNow).start, std::vector<std::string>{"i1"});
  put("i1", Exited("i1", 0, 1), "s2");
  EXPECT_EQ(PlanPod(pod, state, kNow).start, std::vector<std::string>{"i2"});
  put("i2", Exited("i2", 0, 1), "s2");
  EXPECT_EQ(PlanPod(pod, state, kNow).start, (std::vector<std::string>{"a", "b"}));
}

TEST(PlanPod, EphemeralContainersAreStartedOnceAndNothingWaitsForThem) {
  doc::Document document = ParsePod("Never", true);
  PodState state = InitialState(Pod(document.root));
  const doc::Document more = MUST(doc::ParseJson(
      R"({"metadata":{"name":"web"},"spec":{"restartPolicy":"Never","initContainers":[{"name":"i1"},{"name":"i2"}],
          "containers":[{"name":"a"},{"name":"b"}],
          "ephemeralContainers":[{"name":"d","targetContainerName":"a"},{"name":"e"}]}})"));
  const Pod pod(more.root);
  AddEphemeral(state, pod);
  AddEphemeral(state, pod);
  ASSERT_EQ(state.containers.size(), 6U);
  using Names = std::vector<std::string>;
  EXPECT_EQ(PlanPod(pod, state, kNow).start, (Names{"d", "e", "i1"}));
  EXPECT_TRUE(PidTargetOf(state, *FindContainer(pod, "d")).Failed(Reason::kNotFound));
  state.Find("d")->current = Running("d");
  state.Find("e")->current = Exited("e", 1);
  EXPECT_EQ(PlanPod(pod, state, kNow).start, Names{"i1"});
  for (const char* name : {"i1", "i2"}) state.Find(name)->current = Exited(name, 0);
  EXPECT_EQ(PlanPod(pod, state, kNow).start, (Names{"a", "b"}));
  state.Find("a")->current = Exited("a", 0);
  EXPECT_EQ(MUST(PidTargetOf(state, *FindContainer(pod, "d"))), "a0");
  EXPECT_EQ(MUST(PidTargetOf(state, *FindContainer(pod, "e"))), "");
  EXPECT_FALSE(PlanPod(pod, state, kNow).finished);
  state.Find("b")->current = Exited("b", 0);
  EXPECT_TRUE(PlanPod(pod, state, kNow).finished);
}

TEST(PlanPod, FailedInitContainerEndsAPodThatNeverRestarts) {
  doc::Document document = ParsePod("Never", true);
  PodState state = InitialState(Pod(document.root));
  state.Find("i1")->current = Exited("i1", 1);
  PodPlan plan = PlanPod(Pod(document.root), state, kNow);
  EXPECT_TRUE(plan.start.empty());
  EXPECT_TRUE(plan.finished);
}

TEST(ShouldRestart, RulesThenTheContainersPolicyThenThePods) {
  struct Case {
    const char* pod_policy;
    const char* container;
    int exit_code;
    bool restarts;
  };
  const char* rules = R"("restartPolicy":"Never","restartPolicyRules":[
      {"action":"Restart","exitCodes":{"operator":"In","values":[42,43]}},
      {"action":"Restart","exitCodes":{"operator":"NotIn","values":[0,1,42,43]}}])";
  const Case cases[] = {
      {"Never", "", 1, false},
      {"OnFailure", "", 0, false},
      {"OnFailure", "", 1, true},
      {"Always", "", 0, true},
      {"Never", R"("restartPolicy":"Always")", 0, true},
      {"Always", R"("restartPolicy":"Never")", 1, false},
      {"Always", R"("restartPolicy":"OnFailure")", 0, false},
      {"Always", rules, 43, true},
      {"Always", rules, 1, false},
      {"Always", rules, 7, true},
  };
  for (const Case& c : cases) {
    const std::string more = *c.container == '\0' ? "" : std::string(",") + c.container;
    const doc::Document pod = MUST(doc::ParseJson(std::string(R"({"spec":{"restartPolicy":")") + c.pod_policy +
                                                  R"(","containers":[{"name":"a")" + more + "}]}}"));
    EXPECT_EQ(ShouldRestart(Pod(pod.root), Pod(pod.root).spec().containers()[0], c.exit_code), c.restarts)
        << c.pod_policy << " " << c.container << " " << c.exit_code;
  }
}

TEST(NoteExit, FirstEndIsFreeThenTheBackOffDoubles) {
  doc::Document document = ParsePod("Always");
  PodState state = InitialState(Pod(document.root));
  ContainerRecord& record = *state.Find("a");
  Duration expected[] = {0s, 10s, 20s, 40s, 80s, 160s, 300s, 300s};
  for (Duration wait : expected) {
    record.current = Exited("a", 1);
    NoteExit(record);
    if (wait == 0s) {
      EXPECT_EQ(record.not_before, WallTime{});
    } else {
      EXPECT_EQ(record.not_before - record.current->finished, wait);
      EXPECT_EQ(BackOffMessage(record, Pod(document.root)),
                "back-off " + FormatDuration(wait) + " restarting failed container=a pod=web_default(u1)");
    }
  }
  // Ten minutes of running are a fresh start.
  record.current = Exited("a", 1, 9, 11min);
  NoteExit(record);
  EXPECT_EQ(record.not_before, WallTime{});
}

TEST(PlanPod, WaitsForTheBackOffAndSaysUntilWhen) {
  doc::Document document = ParsePod("Always");
  PodState state = InitialState(Pod(document.root));
  state.Find("a")->current = Exited("a", 1);
  state.Find("a")->not_before = kNow + 9s;
  state.Find("b")->current = Running("b");
  PodPlan plan = PlanPod(Pod(document.root), state, kNow);
  EXPECT_TRUE(plan.start.empty());
  ASSERT_TRUE(plan.recheck);
  EXPECT_EQ(*plan.recheck, kNow + 9s);
  EXPECT_EQ(PlanPod(Pod(document.root), state, kNow + 9s).start, std::vector<std::string>{"a"});
}

TEST(AdoptContainers, KeepsTheNewestTwoAndNamesTheRest) {
  doc::Document document = ParsePod("Always");
  PodState state = InitialState(Pod(document.root));
  auto old = AdoptContainers(state, {Exited("a", 1, 0), Running("a", 2), Exited("a", 1, 1), Running("gone")});
  std::ranges::sort(old);
  EXPECT_EQ(old, (std::vector<std::string>{"a0", "gone0"}));
  EXPECT_EQ(state.Find("a")->current->id, "a2");
  EXPECT_EQ(state.Find("a")->last->id, "a1");
  EXPECT_EQ(state.Find("a")->restarts(), 2);
}

doc::Document StatusOf(const doc::Document& pod, const PodState& state) {
  doc::Document out;
  ComputePodStatus(Pod(pod.root), state, kNow, api::core_v1::PodStatusEdit(out));
  return out;
}

struct PhaseCase {
  std::string policy;
  std::vector<ContainerStatus> containers;
  std::string phase;
};

TEST(ComputePodStatus, PhaseFollowsTheContainers) {
  const PhaseCase cases[] = {
      {"Always", {}, "Pending"},
      {"Always", {Running("a")}, "Pending"},
      {"Always", {Running("a"), Running("b")}, "Running"},
      {"Always", {Exited("a", 1), Exited("b", 1)}, "Running"},
      {"OnFailure", {Exited("a", 0), Exited("b", 0)}, "Succeeded"},
      {"OnFailure", {Exited("a", 1), Exited("b", 0)}, "Running"},
      {"Never", {Exited("a", 1), Exited("b", 0)}, "Failed"},
      {"Never", {Exited("a", 0), Exited("b", 0)}, "Succeeded"},
  };
  for (const PhaseCase& c : cases) {
    doc::Document document = ParsePod(c.policy);
    PodState state = InitialState(Pod(document.root));
    (void)AdoptContainers(state, c.containers);
    doc::Document status = StatusOf(document, state);
    EXPECT_EQ(status.root.At("phase").AsString(), c.phase) << c.policy;
    EXPECT_EQ(status.root.At("observedGeneration").AsInt(), 3);
  }
}

TEST(ComputePodStatus, CrashLoopShowsTheEndAndWhyItWaits) {
  doc::Document document = ParsePod("Always");
  PodState state = InitialState(Pod(document.root));
  ContainerRecord& record = *state.Find("a");
  record.current = Exited("a", 7, 3);
  record.not_before = record.current->finished + 40s;
  state.Find("b")->current = Running("b");
  doc::Document status = StatusOf(document, state);
  const doc::Value& a = status.root.At("containerStatuses")[0];
  EXPECT_EQ(a.Get("state", "waiting", "reason").AsString(), "CrashLoopBackOff");
  EXPECT_EQ(a.Get("state", "waiting", "message").AsString(),
            "back-off 40s restarting failed container=a pod=web_default(u1)");
  EXPECT_EQ(a.Get("lastState", "terminated", "exitCode").AsInt(), 7);
  EXPECT_EQ(a.Get("lastState", "terminated", "reason").AsString(), "Error");
  EXPECT_EQ(a.At("restartCount").AsInt(), 3);
  EXPECT_FALSE(a.At("ready").AsBool());
}

TEST(ComputePodStatus, ReadyNeedsEveryContainer) {
  doc::Document document = ParsePod("Always");
  PodState state = InitialState(Pod(document.root));
  state.Find("a")->current = Running("a");
  state.Find("a")->ready = true;
  state.Find("b")->current = Running("b");
  auto condition = [](const doc::Document& status, std::string_view type) -> const doc::Value& {
    static const doc::Value none;
    for (const doc::Value& value : status.root.At("conditions").items()) {
      if (value.At("type").AsString() == type) return value;
    }
    return none;
  };
  doc::Document before = StatusOf(document, state);
  EXPECT_EQ(condition(before, "Ready").At("status").AsString(), "False");
  EXPECT_EQ(condition(before, "Ready").At("message").AsString(), "containers with unready status: [b]");
  state.Find("b")->ready = true;
  doc::Document after = StatusOf(document, state);
  EXPECT_EQ(condition(after, "Ready").At("status").AsString(), "True");
  EXPECT_EQ(condition(after, "ContainersReady").At("status").AsString(), "True");
  for (const doc::Value& one : after.root.At("conditions").items()) EXPECT_EQ(one.At("observedGeneration").AsInt(), 3);

  // And every condition that the pod's readiness gates name.
  struct Gate {
    const char* conditions;
    const char* ready;
    const char* message;
  };
  const Gate gates[] = {
      {"[]", "False", R"(corresponding condition of pod readiness gate "x.io/lb" does not exist.)"},
      {R"([{"type":"x.io/lb","status":"False"}])", "False",
       R"(the status of pod readiness gate "x.io/lb" is not "True", but False)"},
      {R"([{"type":"x.io/lb","status":"True"}])", "True", ""},
  };
  const doc::Document wanted = MUST(doc::ParseJson(R"([{"conditionType":"x.io/lb"}])"));
  document.root.Find("spec")->Set(document.arena, "readinessGates", wanted.root);
  for (const Gate& gate : gates) {
    const doc::Document conditions = MUST(doc::ParseJson(std::string(R"({"conditions":)") + gate.conditions + "}"));
    document.root.Set(document.arena, "status", conditions.root);
    doc::Document gated = StatusOf(document, state);
    EXPECT_EQ(condition(gated, "Ready").At("status").AsString(), gate.ready);
    EXPECT_EQ(condition(gated, "Ready").At("message").AsString(), gate.message);
    EXPECT_EQ(condition(gated, "Ready").At("reason").AsString(), *gate.message != '\0' ? "ReadinessGatesNotReady" : "");
    EXPECT_EQ(condition(gated, "ContainersReady").At("status").AsString(), "True");
  }
}

}  // namespace
}  // namespace knarr::node
