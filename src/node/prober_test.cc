// When probes are tried and what their answers come to, in virtual time.

#include "node/prober.h"

#include <gtest/gtest.h>

#include "doc/json.h"
#include "node/testing_machine.h"
#include "rt/sim.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;

/// A container with one exec probe, and what happened: "2s readiness yes" for decisions, "2s told …" for events.
struct Case {
  std::string probe;  ///< members of the container: `"livenessProbe":{"periodSeconds":10}`
  ProbeOrigin origin = ProbeOrigin::kStarted;
  /// Whether the try at that moment after the start succeeds.
  std::function<bool(Duration at)> passes;
  /// What else happens, in a fiber of its own.
  std::function<void(rt::Runtime& runtime, Prober& prober)> meanwhile;
  Duration run_for = 60s;
};

struct Seen {
  std::vector<std::string> tries;    ///< "0s"
  std::vector<std::string> decided;  ///< "30s Liveness no"
  std::vector<std::string> told;     ///< "10s Unhealthy: Liveness probe failed: broken"
};

Seen Watch(const Case& test) {
  Seen seen;
  const auto runtime = rt::SimRuntime::Create({});
  runtime->Run([&] {
    FakeRuntime containers(*runtime);
    const WallTime start = runtime->Wall();
    const auto since = [&] { return FormatDuration(runtime->Wall() - start); };
    containers.on_exec = [&](const std::string&) -> Result<runtime::ExecResult> {
      seen.tries.push_back(since());
      const bool passes = test.passes(runtime->Wall() - start);
      return runtime::ExecResult{.exit_code = passes ? 0 : 1, .output = passes ? "" : "broken\n"};
    };
    const std::string text = R"({"spec":{"containers":[{"name":"a",)" + test.probe + "}]}}";
    const api::ObjectPtr pod = api::Object::FromDocument(MUST(doc::ParseJson(text)));
    Prober::Events events{
        .decided =
            [&](ProbeKind kind, bool passed, const std::string&) {
              seen.decided.push_back(since() + " " + std::string(ProbeName(kind)) + (passed ? " yes" : " no"));
            },
        .told =
            [&](std::string_view reason, const std::string& message) {
              seen.told.push_back(since() + " " + std::string(reason) + ": " + message);
            }};
    Prober prober(*runtime, containers, pod, Pod(pod->tree()).spec().containers()[0], {"10.0.0.2", "c1"}, start,
                  test.origin, std::move(events));
    prober.Start(false);
    rt::TaskGroup others(*runtime, "others");
    if (test.meanwhile) others.Spawn("test", [&] { test.meanwhile(*runtime, prober); });
    EXPECT_TRUE(runtime->Sleep(test.run_for).ok());
    others.StopAndJoin();
    prober.Stop();
  });
  return seen;
}

using Lines = std::vector<std::string>;
constexpr const char* kExec = R"("exec":{"command":["x"]})";

std::string Probe(const std::string& kind, const std::string& more) {
  return "\"" + kind + "Probe\":{" + kExec + more + "}";
}

TEST(Prober, LivenessWaitsForItsTurn) {
  const Seen seen = Watch({.probe = Probe("liveness", R"(,"periodSeconds":10,"failureThreshold":3)"),
                           .passes = [](Duration) { return false; }});
  EXPECT_EQ(seen.tries, (Lines{"10s", "20s", "30s"}));
  EXPECT_EQ(seen.decided, (Lines{"30s Liveness no"}));
  EXPECT_EQ(seen.told.size(), 3U);
  EXPECT_EQ(seen.told[0], "10s Unhealthy: Liveness probe failed: broken");
}

TEST(Prober, InitialDelayCountsFromTheStart) {
  const Seen seen = Watch({.probe = Probe("liveness", R"(,"initialDelaySeconds":7,"periodSeconds":20)"),
                           .passes = [](Duration) { return true; }});
  EXPECT_EQ(seen.tries, (Lines{"7s", "27s", "47s"}));
}

TEST(Prober, ReadyAtOnceIsReadyAtOnce) {
  const Seen seen =
      Watch({.probe = Probe("readiness", R"(,"periodSeconds":30)"), .passes = [](Duration) { return true; }});
  EXPECT_EQ(seen.tries, (Lines{"0s", "30s", "1m0s"}));
  EXPECT_EQ(seen.decided[0], "0s Readiness yes");
  EXPECT_TRUE(seen.told.empty());
}

TEST(Prober, TooEarlyCostsASecondNotAPeriod) {
  const Seen seen = Watch({.probe = Probe("readiness", R"(,"periodSeconds":10,"failureThreshold":1)"),
                           .passes = [](Duration at) { return at > 500ms; },
                           .run_for = 15s});
  EXPECT_EQ(seen.tries, (Lines{"0s", "1s", "11s"}));
  EXPECT_EQ(seen.decided, (Lines{"1s Readiness yes", "11s Readiness yes"}));
  EXPECT_TRUE(seen.told.empty());
}

TEST(Prober, ReadinessIsLookedAtWhenSomethingHappens) {
  const Seen seen = Watch({.probe = Probe("readiness", R"(,"periodSeconds":30)"),
                           .passes = [](Duration at) { return at >= 5s; },
                           .meanwhile =
                               [](rt::Runtime& runtime, Prober& prober) {
                                 prober.LookAtReadiness();  // nobody would have noticed the container yet
                                 for (int i = 0; i < 3; ++i) {
                                   (void)runtime.Sleep(2s);
                                   prober.LookAtReadiness();
                                 }
                                 (void)runtime.Sleep(2s);
                                 prober.LookAtReadiness();  // it is ready: nothing to look for
                               },
                           .run_for = 40s});
  EXPECT_EQ(seen.tries, (Lines{"0s", "1s", "2s", "4s", "6s", "36s"}));
  EXPECT_EQ(seen.decided, (Lines{"4s Readiness no", "6s Readiness yes", "36s Readiness yes"}));
  EXPECT_EQ(seen.told.size(), 3U);
}

TEST(Prober, StartupHoldsTheOthersBack) {
  const std::string probes = Probe("startup", R"(,"periodSeconds":5,"failureThreshold":3)") + "," +
                             Probe("readiness", R"(,"periodSeconds":60)") + "," +
                             Probe("liveness", R"(,"periodSeconds":20)");
  const Seen seen = Watch({.probe = probes, .passes = [](Duration at) { return at >= 8s; }, .run_for = 35s});
  EXPECT_EQ(seen.tries, (Lines{"0s", "5s", "10s", "10s", "30s"}));
  EXPECT_EQ(seen.decided, (Lines{"10s Startup yes", "10s Readiness yes", "30s Liveness yes"}));
  EXPECT_EQ(seen.told, (Lines{"5s Unhealthy: Startup probe failed: broken"}));
}

TEST(Prober, StartupThatNeverSucceedsEnds) {
  const Seen seen = Watch({.probe = Probe("startup", R"(,"periodSeconds":5,"failureThreshold":2)"),
                           .passes = [](Duration) { return false; }});
  EXPECT_EQ(seen.tries, (Lines{"0s", "5s", "10s"}));
  EXPECT_EQ(seen.decided, (Lines{"10s Startup no"}));
}

TEST(Prober, AdoptedContainersAreSpreadOverThePeriod) {
  const Seen seen = Watch({.probe = Probe("readiness", R"(,"periodSeconds":20)"),
                           .origin = ProbeOrigin::kAdopted,
                           .passes = [](Duration) { return true; }});
  ASSERT_EQ(seen.tries.size(), 3U);
  EXPECT_NE(seen.tries[0], "0s");
}

TEST(Prober, AnEndingContainerIsNotAskedWhetherItLives) {
  const std::string probes =
      Probe("readiness", R"(,"periodSeconds":10)") + "," + Probe("liveness", R"(,"periodSeconds":10)");
  const Seen seen = Watch({.probe = probes,
                           .passes = [](Duration at) { return at < 15s; },
                           .meanwhile =
                               [](rt::Runtime& runtime, Prober& prober) {
                                 (void)runtime.Sleep(15s);
                                 prober.StopAllButReadiness();
                               },
                           .run_for = 55s});
  EXPECT_EQ(seen.decided.back(), "50s Readiness no");
  for (const std::string& line : seen.told) EXPECT_EQ(line.find("Liveness"), std::string::npos) << line;
}

TEST(Probe, RedirectsLeadWhereGoFollowsThem) {
  const net::Url from = MUST(net::Url::Parse("http://10.0.0.2:8080/a/b?x=1"));
  const std::pair<const char*, const char*> cases[] = {
      {"/c", "http://10.0.0.2:8080/c"},
      {"c?y=2", "http://10.0.0.2:8080/a/c?y=2"},
      {"?y=2", "http://10.0.0.2:8080/a/b?y=2"},
      {"//other:81/c", "http://other:81/c"},
      {"https://10.0.0.2/c", "https://10.0.0.2/c"},
  };
  for (const auto& [location, to] : cases) EXPECT_EQ(MUST(ResolveLocation(from, location)).ToString(), to);
}

TEST(Probe, PortsByNumberNameAndWrittenNumber) {
  const doc::Document container = MUST(doc::ParseJson(R"({"name":"a","ports":[{"name":"web","containerPort":81}]})"));
  const auto port = [&](const char* json) {
    const doc::Document value = MUST(doc::ParseJson(json));
    const auto found = ResolvePort(api::IntOrString::From(value.root), api::core_v1::Container(container.root));
    return found.ok() ? std::to_string(*found) : found.status().message();
  };
  EXPECT_EQ(port("80"), "80");
  EXPECT_EQ(port("\"web\""), "81");
  EXPECT_EQ(port("\"82\""), "82");
  EXPECT_EQ(port("0"), "invalid port number: 0");
  EXPECT_EQ(port("\"70000\""), "invalid port number: 70000");
  EXPECT_EQ(port("\"no\""), "strconv.Atoi: parsing \"no\": invalid syntax");
}

}  // namespace
}  // namespace knarr::node
