#include "store/etcd/engine.h"

#include <gtest/gtest.h>

#include <set>

#include "store/etcd/testing_etcd.h"
#include "store/store_suite.h"
#include "store/store_test_util.h"
#include "store/testing_linearizability.h"

namespace knarr::store::etcd {
namespace {

using Lines = std::vector<std::string>;

EngineOptions PlainOptions() {
  EngineOptions options;
  options.prefix = "/k/";
  options.compaction_interval = {};
  return options;
}

std::unique_ptr<Store> MustOpen(rt::Runtime& runtime, TestCluster& cluster, EngineOptions options = PlainOptions()) {
  return MUST(Engine::Open(runtime, std::move(options), std::make_unique<TestApi>(runtime, cluster)));
}

TestEngine EtcdEngine() {
  return {.name = "Etcd",
          .run =
              [](const auto& body) {
                RunSim(1, [&](rt::Runtime& runtime) {
                  TestCluster cluster(runtime);
                  const std::unique_ptr<Store> store = MustOpen(runtime, cluster);
                  body(runtime, *store);
                  store->Close();
                });
              },
          .groups_commits = false,
          .exclusive = false};
}

void WithCluster(const std::function<void(rt::Runtime&, TestCluster&)>& body, uint64_t seed = 1) {
  RunSim(seed, [&](rt::Runtime& runtime) {
    TestCluster cluster(runtime);
    body(runtime, cluster);
  });
}

/// Puts a word in front, for keys that begin with "secret"; "broken" can't be opened.
class TestSealer : public Sealer {
 public:
  Result<std::optional<std::string>> Seal(std::string_view key, std::string_view value) const override {
    if (!key.starts_with("secret")) return std::optional<std::string>();
    return std::optional<std::string>("sealed:" + std::string(value.rbegin(), value.rend()));
  }
  Result<Opened> Open(std::string_view key, std::string_view bytes) const override {
    if (!key.starts_with("secret")) return Opened{};
    if (!bytes.starts_with("sealed:")) return Internal("no key opens it");
    bytes.remove_prefix(7);
    return Opened{std::string(bytes.rbegin(), bytes.rend()), false};
  }
};

TEST(EtcdEngine, TwoServersSeeEachOther) {
  WithCluster([](rt::Runtime& runtime, TestCluster& cluster) {
    const auto one = MustOpen(runtime, cluster);
    const auto two = MustOpen(runtime, cluster);
    auto watch = MUST(two->StartWatch(runtime, {.prefix = "", .after = two->Latest()->revision()}));
    const Revision revision = MustPut(*one, "a", "1");
    MUST(two->CatchUp(runtime));
    EXPECT_EQ(two->Latest()->revision(), revision);
    EXPECT_EQ(Dump(*two->Latest()), Dump(*one->Latest()));
    EXPECT_EQ(Dump(MUST(watch->Next())), Lines{"+a=1@" + std::to_string(revision)});

    // A comparison fails against what another server wrote, and Newest shows it afterwards.
    MustPut(*two, "a", "2");
    const auto lost = one->Txn({{"a", revision}}, {PutOp("a", "3")});
    ASSERT_TRUE(lost.Failed(Reason::kConflict));
    EXPECT_EQ(*one->Newest("a")->value, "2");
    MustDelete(*two, "a");
    ASSERT_TRUE(one->Txn({{"a", revision}}, {PutOp("a", "3")}).Failed(Reason::kConflict));
    EXPECT_FALSE(one->Newest("a").has_value());
    one->Close();
    two->Close();
  });
}

TEST(EtcdEngine, TheStateIsReadInPages) {
  WithCluster([](rt::Runtime& runtime, TestCluster& cluster) {
    const auto one = MustOpen(runtime, cluster);
    for (int i = 0; i < 1200; ++i) MustPut(*one, "k" + std::to_string(i), std::to_string(i));
    const Lines whole = Dump(*one->Latest());
    for (const size_t page_max : {size_t{1}, size_t{40}, size_t{100000}}) {
      cluster.page_max = page_max;
      const auto two = MustOpen(runtime, cluster);
      EXPECT_EQ(Dump(*two->Latest()), whole) << page_max;
      two->Close();
    }
    one->Close();
  });
}

TEST(EtcdEngine, KeysLieBelowThePrefixInPlaceOfTheRoot) {
  WithCluster([](rt::Runtime& runtime, TestCluster& cluster) {
    EngineOptions options = PlainOptions();
    options.prefix = "/cluster/";
    options.root = "/registry/";
    const auto store = MustOpen(runtime, cluster, options);
    MustPut(*store, "/registry/core/pods/a", "x");
    EXPECT_TRUE(cluster.items.contains("/cluster/core/pods/a"));
    EXPECT_TRUE(store->Latest()->Get("/registry/core/pods/a").has_value());
    EXPECT_TRUE(store->Txn({}, {PutOp("elsewhere", "x")}).Failed(Reason::kBadRequest));
    EXPECT_TRUE(store->Txn({}, {PutOp("/registry/~epoch", "x")}).Failed(Reason::kBadRequest));
    EXPECT_TRUE(store->Txn({{"/registry/", 0}}, {}).Failed(Reason::kBadRequest));
    store->Close();
    for (const auto& [key, item] : cluster.items) EXPECT_FALSE(key.starts_with("/cluster/~epoch")) << key;
  });
}

TEST(EtcdEngine, SecretsAreSealedAndTheRevisionIsPutIn) {
  WithCluster([](rt::Runtime& runtime, TestCluster& cluster) {
    EngineOptions options = PlainOptions();
    options.sealer = std::make_shared<TestSealer>();
    const auto one = MustOpen(runtime, cluster, options);
    const TxnResult put =
        MUST(one->Txn({}, {{.key = "secret", .value = "{\"rv\":\"\",\"data\":\"hidden\"}", .revision_offset = 7}}));
    const std::string expected = "{\"rv\":\"" + std::to_string(put.revision) + "\",\"data\":\"hidden\"}";
    EXPECT_EQ(*put.written[0].value, expected);
    EXPECT_EQ(cluster.items["/k/secret"].value.find("hidden"), std::string::npos);
    const auto two = MustOpen(runtime, cluster, options);
    EXPECT_EQ(*two->Latest()->Get("secret")->value, expected);
    two->Close();
    one->Close();
  });
}

TEST(EtcdEngine, AValueThatIsNotOursIsNotPassedOver) {
  WithCluster([](rt::Runtime& runtime, TestCluster& cluster) {
    const auto store = MustOpen(runtime, cluster);
    MustPut(*store, "a", "1");
    (void)cluster.Commit({{}, {{Operation::Kind::kPut, "/k/pods", std::string("k8s\0xy", 6), 0}}, {}});
    EXPECT_TRUE(store->CatchUp(runtime).Failed(Reason::kServiceUnavailable));
    const auto refused = store->Txn({}, {PutOp("b", "1")});
    ASSERT_TRUE(refused.Failed(Reason::kServiceUnavailable));
    EXPECT_EQ(refused.status().message(), "etcd: the value of pods can't be read: it was not written by Knarr");
    EXPECT_EQ(*store->Latest()->Get("a")->value, "1");
    store->Close();
    const auto opened = Engine::Open(runtime, PlainOptions(), std::make_unique<TestApi>(runtime, cluster));
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.status().message(), "etcd: the value of pods can't be read: it was not written by Knarr");
  });
}

TEST(EtcdEngine, AWatchThatBreaksGoesOnWithoutGapOrRepetition) {
  WithCluster([](rt::Runtime& runtime, TestCluster& cluster) {
    const auto one = MustOpen(runtime, cluster);
    const auto two = MustOpen(runtime, cluster);
    const Revision begin = two->Latest()->revision();
    auto watch = MUST(two->StartWatch(runtime, {.prefix = "", .after = begin}));
    Lines expected;
    for (int i = 0; i < 50; ++i) {
      const Revision revision = MUST(one->Txn({}, {PutOp("a", std::to_string(i)), PutOp("b", "x")})).revision;
      expected.push_back("+a=" + std::to_string(i) + "@" + std::to_string(revision));
      expected.push_back("+b=x@" + std::to_string(revision));
      if (i % 7 == 0) cluster.BreakWatches();
    }
    MUST(two->CatchUp(runtime));
    Lines seen;
    while (seen.size() < expected.size()) {
      const auto events = MUST(watch->Next(256, runtime.Mono() + 60s));
      if (events.empty()) break;
      for (const std::string& line : Dump(events)) seen.push_back(line);
    }
    EXPECT_EQ(seen, expected);
    one->Close();
    two->Close();
  });
}

TEST(EtcdEngine, WhatWasCompactedUnseenMakesWatchesBeginAgain) {
  WithCluster([](rt::Runtime& runtime, TestCluster& cluster) {
    const auto one = MustOpen(runtime, cluster);
    MustPut(*one, "a", "1");
    const Revision before = one->Latest()->revision();
    auto watch = MUST(one->StartWatch(runtime, {.prefix = "", .after = before}));
    // Another server's writes, and its compaction, while this one has no watch.
    {
      EngineOptions options = PlainOptions();
      cluster.delay = [] { return Duration(1ms); };
      const auto two = MustOpen(runtime, cluster, options);
      cluster.BreakWatches();
      MustPut(*two, "a", "2");
      MustPut(*two, "b", "1");
      const Revision revision = two->Latest()->revision();
      cluster.compacted = revision;
      cluster.history.clear();
      cluster.BreakWatches();
      two->Close();
    }
    MUST(one->CatchUp(runtime));
    EXPECT_EQ(*one->Latest()->Get("a")->value, "2");
    Result<std::vector<EventPtr>> ended = watch->Next(256, runtime.Mono() + 60s);
    while (ended.ok() && !ended->empty()) ended = watch->Next(256, runtime.Mono() + 60s);
    EXPECT_TRUE(ended.Failed(Reason::kExpired));
    EXPECT_TRUE(one->At(before).Failed(Reason::kExpired));
    MustPut(*one, "a", "3");
    one->Close();
  });
}

TEST(EtcdEngine, CatchUpGoesPastWhatOthersWriteElsewhere) {
  WithCluster([](rt::Runtime& runtime, TestCluster& cluster) {
    const auto store = MustOpen(runtime, cluster);
    for (int i = 0; i < 5; ++i) {
      cluster.PutElsewhere();
      const Revision now = cluster.revision;
      MUST(store->CatchUp(runtime));
      EXPECT_GE(store->Latest()->revision(), now);
    }
    store->Close();
  });
}

TEST(EtcdEngine, CatchUpSaysWhyNothingIsKnown) {
  WithCluster([](rt::Runtime& runtime, TestCluster& cluster) {
    const auto store = MustOpen(runtime, cluster);
    cluster.gone = true;
    rt::TaskGroup group(runtime, "readers");
    for (const Duration after : {Duration(0s), Duration(1s), Duration(4s), Duration(9s)}) {
      group.Spawn("reader", [&, after] {
        MUST(runtime.Sleep(after));
        const MonoTime begin = runtime.Mono();
        const Ok done = store->CatchUp(runtime);
        ASSERT_TRUE(done.Failed(Reason::kServiceUnavailable)) << (done.ok() ? "" : done.status().ToString());
        EXPECT_EQ(done.status().message(), "etcd does not say what is newest: no member can be reached");
        EXPECT_LE(runtime.Mono() - begin, 16s);
      });
    }
    // Who has less time than that learns of that.
    group.Spawn("in a hurry", [&] {
      rt::CancelScope scope(runtime, 3s);
      EXPECT_TRUE(store->CatchUp(runtime).Failed(Reason::kTimeout));
    });
    group.Join();
    cluster.gone = false;
    MUST(store->CatchUp(runtime));
    store->Close();
  });
}

TEST(EtcdEngine, CatchUpTrustsNoQuestionThatWasAskedBefore) {
  WithCluster([](rt::Runtime& runtime, TestCluster& cluster) {
    const auto store = MustOpen(runtime, cluster);
    cluster.delay = [] { return Duration(10ms); };
    rt::TaskGroup group(runtime, "readers");
    group.Spawn("first", [&] { MUST(store->CatchUp(runtime)); });
    // Its question is answered after ten milliseconds, and the answer there after twenty. In between another server
    // writes, which this one does not see at once.
    MUST(runtime.Sleep(12ms));
    cluster.BreakWatches();
    const std::string value = MUST(Wrap(nullptr, "a", "new", std::string::npos, {}));
    (void)cluster.Commit({{}, {{Operation::Kind::kPut, "/k/a", value, 0}}, {}});
    MUST(store->CatchUp(runtime));
    EXPECT_TRUE(store->Latest()->Get("a").has_value());
    group.Join();
    store->Close();
  });
}

TEST(EtcdEngine, ServersWhoseLeaseRanOutGoOnWithAnother) {
  WithCluster([](rt::Runtime& runtime, TestCluster& cluster) {
    const auto store = MustOpen(runtime, cluster);
    MustPut(*store, "a", "1");
    for (int i = 0; i < 3; ++i) {
      ASSERT_EQ(cluster.leases.size(), 1u);
      cluster.EndLease(cluster.leases.begin()->first);
      MustPut(*store, "a", "again");
      MUST(runtime.Sleep(25s));
      MustPut(*store, "a", "and again");
    }
    store->Close();
    EXPECT_TRUE(cluster.leases.empty());
  });
}

TEST(EtcdEngine, OneOfTheServersCompacts) {
  WithCluster([](rt::Runtime& runtime, TestCluster& cluster) {
    EngineOptions options = PlainOptions();
    options.compaction_interval = 5min;
    const auto one = MustOpen(runtime, cluster, options);
    const auto two = MustOpen(runtime, cluster, options);
    const auto three = MustOpen(runtime, cluster, options);
    std::vector<Revision> at;
    for (int i = 0; i < 12; ++i) {
      MustPut(*one, "a", std::to_string(i));
      at.push_back(one->Latest()->revision());
      MUST(runtime.Sleep(5min));
    }
    // Once an interval but the first ones, and an interval behind.
    EXPECT_GE(cluster.compactions, 9u);
    EXPECT_LE(cluster.compactions, 12u);
    EXPECT_LT(cluster.compacted, at.back());
    EXPECT_GE(cluster.compacted, at[at.size() - 4]);
    EXPECT_EQ(*three->Latest()->Get("a")->value, "11");
    one->Close();
    two->Close();
    three->Close();
  });
}

// ---- outcomes that got lost ----

struct Swarm {
  rt::Runtime& runtime;
  TestCluster& cluster;
  std::vector<std::unique_ptr<Store>> servers;
  /// By the value that was written, which is different for each.
  std::map<std::string, Revision> saved;
  std::set<std::string> refused;
  std::set<std::string> unknown;
  size_t deletes_saved = 0;
  size_t deletes_unknown = 0;
  int next = 0;
  int64_t clock = 0;
  std::map<std::string, RegisterHistory> histories;  ///< by key

  Store& AnyServer() { return *servers[runtime.Random() % servers.size()]; }
  std::string AnyKey() { return "k" + std::to_string(runtime.Random() % 5); }

  void Read() {
    Store& store = AnyServer();
    const std::string key = AnyKey();
    RegisterCall call{.kind = RegisterCall::Kind::kRead, .called = ++clock};
    if (!store.CatchUp(runtime).ok()) return;
    const auto found = store.Latest()->Get(key);
    if (found.has_value()) call.value = *found->value;
    call.returned = ++clock;
    histories[key].Add(std::move(call));
  }

  void Write() {
    Store& store = AnyServer();
    const std::string key = AnyKey();
    const std::string value = "v" + std::to_string(next++);
    const auto present = store.Newest(key);
    RegisterCall call{.kind = RegisterCall::Kind::kWrite, .value = value, .called = ++clock};
    std::vector<Compare> compares;
    if (runtime.Random() % 2 == 0) {
      compares.push_back({key, present ? present->mod_revision : 0});
      call.kind = RegisterCall::Kind::kSwap;
      if (present) call.expected = *present->value;
    }
    const bool deletes = present && runtime.Random() % 4 == 0;
    if (deletes) call.value = std::nullopt;
    const auto done = store.Txn(std::move(compares), {deletes ? DeleteOp(key) : PutOp(key, value)});
    call.returned = ++clock;
    if (done.ok()) {
      if (!deletes) {
        EXPECT_EQ(done->written[0].mod_revision, done->revision);
        EXPECT_EQ(*done->written[0].value, value);
        saved[value] = done->revision;
      } else if (done->written[0].value != nullptr || done->written[0].mod_revision != 0) {
        deletes_saved++;
      }
    } else if (done.Failed(Reason::kTimeout)) {
      call.returned = RegisterCall::kNever;
      deletes ? void(deletes_unknown++) : void(unknown.insert(value));
    } else {
      EXPECT_TRUE(done.Failed(Reason::kConflict) || done.Failed(Reason::kServiceUnavailable))
          << (done.ok() ? "" : done.status().ToString());
      if (!deletes) refused.insert(value);
      if (!done.Failed(Reason::kConflict)) return;
      call.kind = RegisterCall::Kind::kFailedSwap;
    }
    histories[key].Add(std::move(call));
  }
};

void CheckEvents(const Swarm& swarm, const std::vector<EventPtr>& events) {
  std::map<std::string, Revision> seen;
  size_t deletes = 0;
  Revision last = 0;
  for (const EventPtr& event : events) {
    EXPECT_GE(event->revision, last);
    last = event->revision;
    if (event->type == Event::Type::kDelete) {
      deletes++;
      continue;
    }
    EXPECT_TRUE(seen.emplace(*event->value, event->revision).second) << "twice: " << *event->value;
  }
  for (const auto& [value, revision] : swarm.saved) {
    ASSERT_TRUE(seen.contains(value)) << "lost: " << value;
    EXPECT_EQ(seen[value], revision) << value;
  }
  for (const std::string& value : swarm.refused) EXPECT_FALSE(seen.contains(value)) << "refused, and there: " << value;
  EXPECT_GE(deletes, swarm.deletes_saved);
  EXPECT_LE(deletes, swarm.deletes_saved + swarm.deletes_unknown);
}

void RunSwarm(uint64_t seed) {
  WithCluster(
      [&](rt::Runtime& runtime, TestCluster& cluster) {
        Swarm swarm{runtime, cluster};
        const bool breaks = seed % 2 == 0;
        const bool expires = seed % 3 == 0;
        cluster.repeats = seed % 5 < 2;
        const uint64_t trouble = 1 + seed % 30;  // percent
        cluster.delay = [&] { return Duration(std::chrono::microseconds(runtime.Random() % 3000)); };
        for (int i = 0; i < 3; ++i) swarm.servers.push_back(MustOpen(runtime, cluster));
        const Revision begin = cluster.revision;
        auto watch = MUST(swarm.servers[2]->StartWatch(runtime, {.prefix = "", .after = begin}));
        cluster.fate = [&] {
          if (runtime.Random() % 100 >= trouble) return Fate::kGood;
          constexpr Fate kBad[] = {Fate::kUnsent, Fate::kNever, Fate::kAnswerLost, Fate::kLate};
          return kBad[runtime.Random() % 4];
        };
        rt::TaskGroup group(runtime, "writers");
        for (int i = 0; i < 8; ++i) {
          group.Spawn("writer", [&] {
            for (int n = 0; n < 15; ++n) {
              runtime.Random() % 3 == 0 ? swarm.Read() : swarm.Write();
            }
          });
          group.Spawn("reader", [&] {
            for (int n = 0; n < 10; ++n) swarm.Read();
          });
        }
        rt::TaskGroup faults(runtime, "faults");
        faults.Spawn("faults", [&] {
          while (runtime.Sleep(Duration(std::chrono::milliseconds(1 + runtime.Random() % 200))).ok()) {
            if (breaks) cluster.BreakWatches();
            if (expires && !cluster.leases.empty()) cluster.EndLease(cluster.leases.begin()->first);
          }
        });
        group.Join();
        faults.StopAndJoin();
        cluster.fate = [] { return Fate::kGood; };
        cluster.Settle();  // what was still under way somewhere comes in, or not
        for (const auto& server : swarm.servers) MUST(server->CatchUp(runtime));
        const Lines state = Dump(*swarm.servers[0]->Latest());
        std::vector<EventPtr> events;
        while (watch->progress() < swarm.servers[2]->Latest()->revision()) {
          const auto some = MUST(watch->Next(256, runtime.Mono() + 1s));
          if (some.empty()) break;
          events.insert(events.end(), some.begin(), some.end());
        }
        CheckEvents(swarm, events);
        for (auto& [key, history] : swarm.histories) EXPECT_TRUE(history.Linearizable()) << key;
        for (const auto& server : swarm.servers) EXPECT_EQ(Dump(*server->Latest()), state);
        for (const auto& server : swarm.servers) server->Close();
        EXPECT_FALSE(swarm.saved.empty());
      },
      seed);
}

TEST(EtcdEngine, WhatIsAnsweredIsTrueWhateverAnswersGetLost) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    RunSwarm(seed);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(EtcdEngine, AWriteThatMayStillComeIsFencedBeforeItIsTriedAgain) {
  WithCluster([](rt::Runtime& runtime, TestCluster& cluster) {
    const auto store = MustOpen(runtime, cluster);
    int asked = 0;
    cluster.fate = [&] { return asked++ == 0 ? Fate::kLate : Fate::kGood; };
    // Created in spite of the first try, deleted again; the first try comes in later, and must not bring it back.
    const Revision revision = MUST(store->Txn({{"a", 0}}, {PutOp("a", "1")})).revision;
    EXPECT_EQ(MUST(store->Txn({{"a", revision}}, {DeleteOp("a")})).written[0].mod_revision, revision + 1);
    cluster.Settle();
    MUST(store->CatchUp(runtime));
    EXPECT_FALSE(store->Newest("a").has_value());
    store->Close();
  });
}

TEST(EtcdEngine, AClusterThatIsGoneIsSaid) {
  WithCluster([](rt::Runtime& runtime, TestCluster& cluster) {
    const auto store = MustOpen(runtime, cluster);
    cluster.fate = [] { return Fate::kUnsent; };
    const auto refused = store->Txn({}, {PutOp("a", "1")});
    ASSERT_TRUE(refused.Failed(Reason::kServiceUnavailable));
    EXPECT_EQ(refused.status().message(), "the change was not saved: no member");
    cluster.fate = [] { return Fate::kNever; };
    const auto unknown = store->Txn({}, {PutOp("a", "1")});
    ASSERT_TRUE(unknown.Failed(Reason::kTimeout));
    EXPECT_EQ(unknown.status().message(),
              "it is not known whether the change was saved: the connection broke; the connection broke");
    cluster.fate = [] { return Fate::kGood; };
    MustPut(*store, "a", "2");
    store->Close();
  });
}

}  // namespace
}  // namespace knarr::store::etcd

namespace knarr::store {
INSTANTIATE_TEST_SUITE_P(Etcd, StoreTest, testing::Values(etcd::EtcdEngine()), TestEngineName);
}
