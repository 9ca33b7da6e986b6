#include "hollow/pod_life.h"

#include <gtest/gtest.h>

#include "doc/json.h"
#include "rt/sim.h"

namespace knarr::hollow {
namespace {

/// A pod and its life, in a world whose time is moved by hand.
class Subject {
 public:
  Subject(rt::Runtime& runtime, const std::string& outcomes, const std::string& spec, bool adopt = true,
          const std::string& status = "{}")
      : runtime_(runtime),
        cycles_(MUST(LifeCycles::Parse("pods:\n- {start: 1s, init: 2s, ready: 3s, stop: 4s, restart: 5s, outcomes: [" +
                                       outcomes + "]}"))),
        pod_(MUST(doc::ParseJson(R"({"metadata":{"generation":1},"spec":)" + spec + R"(,"status":)" + status + "}"))),
        life_(runtime, cycles_.pods[0], api::core_v1::Pod(pod_.root), adopt) {}

  /// What the status shows after so long: "phase ready state of each container".
  std::string After(Duration duration) {
    if (duration > Duration::zero()) MUST(runtime_.Sleep(duration));
    next_ = life_.Advance(runtime_.Mono());
    doc::Document status;
    api::core_v1::PodEdit edit(status);
    life_.Fill(api::core_v1::Pod(pod_.root), {"10.0.0.2", "10.1.0.1"}, edit.status());
    const doc::Value& shown = std::as_const(status.root).At("status");
    std::string out(shown.At("phase").AsString());
    for (const doc::Value& condition : shown.At("conditions").items()) {
      if (condition.At("type").AsString() == "Ready") out += " " + std::string(condition.At("status").AsString());
    }
    for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
      for (const doc::Value& container : shown.At(list).items()) {
        for (const doc::Member& state : container.At("state").members()) {
          out += " " + std::string(state.key);
          if (state.value.Find("reason") != nullptr) out += ":" + std::string(state.value.At("reason").AsString());
          if (state.value.Find("exitCode") != nullptr) out += "=" + std::to_string(state.value.At("exitCode").AsInt());
        }
        if (container.At("restartCount").AsInt() > 0) out += "/" + std::to_string(container.At("restartCount").AsInt());
      }
    }
    return out;
  }
  PodLife& life() { return life_; }
  /// In how long the next thing happens; -1s: never.
  Duration next() const { return next_ == MonoTime::max() ? Duration(-1s) : next_ - runtime_.Mono(); }

 private:
  rt::Runtime& runtime_;
  LifeCycles cycles_;
  doc::Document pod_;
  PodLife life_;
  MonoTime next_{};
};

void InWorld(const std::function<void(rt::Runtime& runtime)>& body) {
  const auto runtime = rt::SimRuntime::Create({.seed = 1});
  runtime->Run([&] { body(*runtime); });
}

constexpr const char* kTwo = R"({"restartPolicy":"Always","containers":[{"name":"a"},{"name":"b"}]})";

TEST(PodLife, StartsAndBecomesReady) {
  InWorld([](rt::Runtime& runtime) {
    Subject pod(runtime, "", kTwo);
    EXPECT_EQ(pod.After(0s), "Pending False waiting:ContainerCreating waiting:ContainerCreating");
    EXPECT_EQ(pod.next(), 1s);
    EXPECT_EQ(pod.After(1s), "Running False running running");
    EXPECT_EQ(pod.next(), 3s);
    EXPECT_EQ(pod.After(3s), "Running True running running");
    EXPECT_EQ(pod.next(), -1s);
  });
}

TEST(PodLife, InitContainersRunOneAfterTheOther) {
  InWorld([](rt::Runtime& runtime) {
    Subject pod(runtime, "", R"({"initContainers":[{"name":"i"},{"name":"s","restartPolicy":"Always"},{"name":"j"}],
        "containers":[{"name":"a"}]})");
    EXPECT_EQ(pod.After(1s), "Pending False running waiting:PodInitializing waiting:PodInitializing "
                             "waiting:ContainerCreating");
    EXPECT_EQ(pod.After(2s), "Pending False terminated:Completed=0 running running waiting:ContainerCreating");
    EXPECT_EQ(pod.After(2s), "Running False terminated:Completed=0 running terminated:Completed=0 running");
    EXPECT_EQ(pod.After(3s), "Running True terminated:Completed=0 running terminated:Completed=0 running");
  });
}

TEST(PodLife, CrashesAndIsRestarted) {
  InWorld([](rt::Runtime& runtime) {
    Subject pod(runtime, "{after: 10s, exitCode: 3, reason: OOMKilled}",
                R"({"restartPolicy":"Always","containers":[{"name":"a"}]})");
    pod.After(1s);
    EXPECT_EQ(pod.After(10s), "Running False waiting:CrashLoopBackOff");
    EXPECT_FALSE(pod.life().running());
    EXPECT_EQ(pod.next(), 5s);
    EXPECT_EQ(pod.After(5s), "Running False running/1");
    EXPECT_EQ(pod.After(3s), "Running True running/1");
    pod.life().Calm();
    EXPECT_EQ(pod.After(60s), "Running True running/1");
  });
}

struct Ending {
  const char* policy;
  const char* outcome;
  const char* shows;
};

TEST(PodLife, EndsAsItsRestartPolicySays) {
  static constexpr Ending kEndings[] = {
      {"Never", "{after: 10s}", "Succeeded False terminated:Completed=0"},
      {"OnFailure", "{after: 10s}", "Succeeded False terminated:Completed=0"},
      {"Never", "{after: 10s, exitCode: 7}", "Failed False terminated:Error=7"},
      {"OnFailure", "{after: 10s, exitCode: 7}", "Running False waiting:CrashLoopBackOff"},
      {"Always", "{after: 10s, failsPod: true, reason: Evicted}", "Failed False terminated:Error=137"},
      {"Always", "{waiting: ImagePullBackOff}", "Pending False waiting:ImagePullBackOff"},
  };
  for (const Ending& ending : kEndings) {
    InWorld([&](rt::Runtime& runtime) {
      Subject pod(runtime, ending.outcome,
                  std::string(R"({"restartPolicy":")") + ending.policy + R"(","containers":[{"name":"a"}]})");
      pod.After(1s);
      EXPECT_EQ(pod.After(10s), ending.shows) << ending.policy << " " << ending.outcome;
    });
  }
}

TEST(PodLife, EndsWithinItsGrace) {
  InWorld([](rt::Runtime& runtime) {
    Subject pod(runtime, "", kTwo);
    pod.After(5s);
    const MonoTime by = pod.life().Stop(30s);
    EXPECT_EQ(by - runtime.Mono(), 4s);
    EXPECT_EQ(pod.life().Stop(2s) - runtime.Mono(), 2s);
    EXPECT_TRUE(pod.life().running());
    EXPECT_EQ(pod.After(2s), "Succeeded False terminated:Completed=0 terminated:Completed=0");
    EXPECT_FALSE(pod.life().running());
  });
}

TEST(PodLife, IsTakenOverAsItIs) {
  constexpr const char* kStatus = R"({"phase":"Running","startTime":"2020-01-01T00:00:00Z",
      "conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2020-01-01T00:00:05Z"}],
      "containerStatuses":[{"name":"a","restartCount":2,"state":{"running":{"startedAt":"2020-01-01T00:00:04Z"}}},
                           {"name":"b","restartCount":0,"state":{"running":{"startedAt":"2020-01-01T00:00:04Z"}}}]})";
  InWorld([&](rt::Runtime& runtime) {
    Subject taken(runtime, "", kTwo, true, kStatus);
    EXPECT_EQ(taken.After(0s), "Running True running/2 running");
    Subject anew(runtime, "", kTwo, false, kStatus);
    EXPECT_EQ(anew.After(0s), "Pending False waiting:ContainerCreating/2 waiting:ContainerCreating");
  });
}

}  // namespace
}  // namespace knarr::hollow
