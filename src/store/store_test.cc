#include <gtest/gtest.h>

#include <map>

#include "store/store_suite.h"
#include "store/store_test_util.h"

namespace knarr::store {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

TestEngine MemoryEngine() {
  return {.name = "Memory", .run = [](const auto& body) {
            RunSim(1, [&](rt::Runtime& runtime) {
              const std::unique_ptr<Store> store = OpenMemory(runtime);
              body(runtime, *store);
              store->Close();
            });
          }};
}

TestEngine EmbeddedEngine() {
  return {.name = "Embedded", .run = [](const auto& body) {
            const ScratchFolder folder;
            RunSim(1, [&](rt::Runtime& runtime) {
              const std::unique_ptr<Store> store = MUST(OpenEmbedded(runtime, {.directory = folder.path()}));
              body(runtime, *store);
              store->Close();
            });
          }};
}

INSTANTIATE_TEST_SUITE_P(Engines, StoreTest, testing::Values(MemoryEngine(), EmbeddedEngine()), TestEngineName);

TEST_P(StoreTest, BeginsEmptyAtRevisionOne) {
  Run([](rt::Runtime&, Store& store) {
    EXPECT_EQ(store.Latest()->revision(), 1);
    EXPECT_EQ(store.Latest()->Count(""), 0u);
    EXPECT_EQ(MUST(store.At(1))->revision(), 1);
    EXPECT_LE(store.stats().compacted, 1);
    EXPECT_FALSE(store.Newest("a"));
    EXPECT_EQ(store.stats().keys, 0u);
  });
}

TEST_P(StoreTest, CreateUpdateDelete) {
  Run([](rt::Runtime&, Store& store) {
    auto created = MUST(store.Txn({{"a", 0}}, {PutOp("a", "one")}));
    EXPECT_EQ(created.revision, 2);
    ASSERT_EQ(created.written.size(), 1u);
    EXPECT_EQ(created.written[0].create_revision, 2);
    EXPECT_EQ(created.written[0].mod_revision, 2);

    auto updated = MUST(store.Txn({{"a", 2}}, {PutOp("a", "two")}));
    EXPECT_EQ(updated.written[0].create_revision, 2);
    EXPECT_EQ(updated.written[0].mod_revision, 3);
    auto got = store.Latest()->Get("a");
    ASSERT_TRUE(got);
    EXPECT_EQ(*got->value, "two");
    EXPECT_EQ(got->create_revision, 2);

    auto deleted = MUST(store.Txn({{"a", 3}}, {DeleteOp("a")}));
    EXPECT_EQ(deleted.revision, 4);
    EXPECT_EQ(*deleted.written[0].value, "two");
    EXPECT_EQ(deleted.written[0].mod_revision, 4);
    EXPECT_FALSE(store.Latest()->Get("a"));

    auto again = MUST(store.Txn({{"a", 0}}, {PutOp("a", "")}));
    EXPECT_EQ(again.written[0].create_revision, 5);
    EXPECT_EQ(*store.Latest()->Get("a")->value, "");
  });
}

TEST_P(StoreTest, AComparisonThatFailsChangesNothing) {
  Run([](rt::Runtime&, Store& store) {
    MustPut(store, "a", "1");
    MustPut(store, "b", "1");
    const std::vector<std::pair<Compare, std::string>> cases = {
        {{"a", 0}, "key a is at revision 2, expected none"},
        {{"a", 3}, "key a is at revision 2, expected revision 3"},
        {{"c", 2}, "key c does not exist, expected revision 2"},
    };
    for (const auto& [compare, message] : cases) {
      auto result = store.Txn({{"b", 3}, compare}, {PutOp("b", "2"), DeleteOp("a")});
      ASSERT_TRUE(result.Failed(Reason::kConflict));
      EXPECT_EQ(result.status().message(), message);
      EXPECT_EQ(result.status().details().name, compare.key);
    }
    EXPECT_EQ(Dump(*store.Latest()), (Lines{"a=1@2", "b=1@3"}));
    EXPECT_EQ(store.Newest("b")->mod_revision, 3);
    EXPECT_EQ(store.Latest()->revision(), 3);
  });
}

TEST_P(StoreTest, TheRevisionIsWrittenIntoTheValue) {
  Run([](rt::Runtime&, Store& store) {
    auto put = [&](size_t offset) {
      return store.Txn({}, {{.key = "a", .value = "{\"rv\":\"\"}", .revision_offset = offset}});
    };
    EXPECT_EQ(*MUST(put(7)).written[0].value, "{\"rv\":\"2\"}");
    EXPECT_EQ(*MUST(put(0)).written[0].value, "3{\"rv\":\"\"}");
    EXPECT_EQ(*MUST(put(9)).written[0].value, "{\"rv\":\"\"}4");
    EXPECT_EQ(*MUST(put(std::string::npos)).written[0].value, "{\"rv\":\"\"}");
    EXPECT_TRUE(put(10).Failed(Reason::kBadRequest));
    EXPECT_EQ(store.Latest()->revision(), 5);
  });
}

TEST_P(StoreTest, SeveralKeysInOneTransactionShareARevision) {
  Run([](rt::Runtime& runtime, Store& store) {
    MustPut(store, "c", "old");
    auto watch = MUST(store.StartWatch(runtime, {.prefix = "", .after = 2}));
    auto result = MUST(store.Txn({}, {PutOp("b", "1"), DeleteOp("c"), PutOp("a", "1")}));
    EXPECT_EQ(result.revision, 3);
    EXPECT_EQ(Dump(*store.Latest()), (Lines{"a=1@3", "b=1@3"}));
    EXPECT_EQ(Dump(MUST(watch->Next())), (Lines{"+b=1@3", "-c@3", "+a=1@3"}));
    EXPECT_EQ(watch->progress(), 3);
  });
}

TEST_P(StoreTest, DeletingWhatIsNotThereTakesNoRevision) {
  Run([](rt::Runtime&, Store& store) {
    MustPut(store, "a", "1");
    auto result = MUST(store.Txn({{"b", 0}}, {DeleteOp("b")}));
    EXPECT_EQ(result.revision, 2);
    EXPECT_EQ(result.written[0].value, nullptr);
    EXPECT_EQ(MUST(store.Txn({}, {DeleteOp("b"), PutOp("a", "2")})).revision, 3);
    EXPECT_EQ(MUST(store.Txn({{"a", 3}}, {})).revision, 3);
    EXPECT_EQ(store.Latest()->revision(), 3);
  });
}

TEST_P(StoreTest, BadTransactionsAreRefused) {
  Run([](rt::Runtime&, Store& store) {
    EXPECT_TRUE(store.Txn({}, {PutOp("", "1")}).Failed(Reason::kBadRequest));
    EXPECT_TRUE(store.Txn({}, {PutOp(std::string(4097, 'k'), "1")}).Failed(Reason::kBadRequest));
    EXPECT_TRUE(store.Txn({}, {PutOp("a", "1"), DeleteOp("a")}).Failed(Reason::kBadRequest));
    EXPECT_TRUE(store.Txn({}, {PutOp("a", std::string((16 << 20) + 1, 'v'))}).Failed(Reason::kRequestEntityTooLarge));
    EXPECT_TRUE(store.Txn({}, std::vector<Op>(1025, DeleteOp("a"))).Failed(Reason::kBadRequest));
    EXPECT_EQ(store.Latest()->revision(), 1);
    // The largest of each is fine, and so are bytes of any kind.
    std::string key(4096, '\xff');
    std::string value(16 << 20, '\0');
    MustPut(store, key, value);
    EXPECT_EQ(*store.Latest()->Get(key)->value, value);
  });
}

TEST_P(StoreTest, EveryRevisionCanBeReadUntilItIsCompacted) {
  Run([](rt::Runtime& runtime, Store& store) {
    std::map<Revision, Lines> states;
    states[1] = {};
    std::shared_ptr<const Snapshot> held;
    for (int i = 0; i < 300; i++) {
      std::string key = "k" + std::to_string(runtime.Random() % 20);
      if (store.Newest(key) && runtime.Random() % 3 == 0) {
        MustDelete(store, key);
      } else {
        MustPut(store, key, std::to_string(i));
      }
      states[store.Latest()->revision()] = Dump(*store.Latest());
      if (i == 50) held = store.Latest();
    }
    auto check = [&](Revision compacted) {
      for (const auto& [revision, lines] : states) {
        auto snapshot = store.At(revision);
        if (revision < compacted) {
          ASSERT_TRUE(snapshot.Failed(Reason::kExpired)) << revision;
          continue;
        }
        ASSERT_TRUE(snapshot.ok());
        ASSERT_EQ(snapshot.value()->revision(), revision);
        ASSERT_EQ(Dump(*snapshot.value()), lines) << revision;
      }
    };
    check(1);
    ASSERT_TRUE(store.Compact(100).ok());
    EXPECT_EQ(store.stats().compacted, 100);
    check(100);
    // A second time does nothing; the future can't be compacted.
    ASSERT_TRUE(store.Compact(50).ok());
    EXPECT_TRUE(store.Compact(1000).Failed(Reason::kBadRequest));
    check(100);
    ASSERT_TRUE(store.Compact(store.Latest()->revision()).ok());
    check(store.Latest()->revision());
    EXPECT_EQ(store.stats().history_events, 0u);
    EXPECT_TRUE(store.At(store.Latest()->revision() + 1).Failed(Reason::kBadRequest));
    EXPECT_EQ(Dump(*held), states[held->revision()]);
  });
}

TEST_P(StoreTest, HistoryComesInStretchesOfWholeTransactions) {
  Run([](rt::Runtime&, Store& store) {
    MustPut(store, "a/1", "x");                                                      // 2
    MustPut(store, "b/1", "x");                                                      // 3
    MUST(store.Txn({}, {PutOp("a/2", "y"), PutOp("b/2", "y"), PutOp("a/3", "y")}));  // 4
    MustDelete(store, "a/1");                                                        // 5
    MustPut(store, "b/3", "z");                                                      // 6
    struct Case {
      Revision after;
      size_t most;
      Lines events;
      Revision through;
    };
    const Case cases[] = {
        {1, 100, {"+a/1=x@2", "+a/2=y@4", "+a/3=y@4", "-a/1@5"}, 6},
        {1, 1, {"+a/1=x@2"}, 2},
        {2, 1, {"+a/2=y@4", "+a/3=y@4"}, 4},  // never a part of a transaction
        {4, 1, {"-a/1@5"}, 5},
        {5, 1, {}, 6},
        {6, 1, {}, 6},
        {9, 1, {}, 9},
        {1, 0, {}, 1},
    };
    for (const Case& test : cases) {
      const Changes changes = MUST(store.ChangesAfter(test.after, "a/", test.most));
      EXPECT_EQ(Dump(changes.events), test.events) << test.after << " " << test.most;
      EXPECT_EQ(changes.through, test.through) << test.after << " " << test.most;
    }
    MUST(store.Compact(4));
    EXPECT_TRUE(store.ChangesAfter(3, "a/", 1).Failed(Reason::kExpired));
    EXPECT_EQ(Dump(MUST(store.ChangesAfter(4, "a/", 9)).events), Lines{"-a/1@5"});
  });
}

TEST_P(StoreTest, NothingIsVisibleBeforeItIsDurable) {
  Run([](rt::Runtime& runtime, Store& store) {
    auto watch = MUST(store.StartWatch(runtime, {.prefix = "a", .after = 1}));
    rt::TaskGroup group(runtime, "writers");
    bool done = false;
    group.Spawn("writer", [&] {
      MustPut(store, "a", "1");
      EXPECT_EQ(store.Latest()->revision(), 2);
      done = true;
    });
    while (!store.Newest("a")) runtime.Yield();
    EXPECT_TRUE(!done || store.Latest()->revision() == 2);
    EXPECT_EQ(Dump(MUST(watch->Next())), Lines{"+a=1@2"});
    EXPECT_EQ(store.Latest()->revision(), 2);
    group.Join();
    EXPECT_TRUE(done);
  });
}

TEST_P(StoreTest, WritersWhoWaitShareAFlush) {
  if (!GetParam().groups_commits) GTEST_SKIP() << "another process commits";
  Run([](rt::Runtime& runtime, Store& store) {
    rt::TaskGroup group(runtime, "writers");
    for (int i = 0; i < 200; i++) {
      group.Spawn("writer", [&store, i] { MustPut(store, "k" + std::to_string(i), "v"); });
    }
    group.Join();
    StoreStats stats = store.stats();
    EXPECT_EQ(stats.writes, 200u);
    EXPECT_LE(stats.commits, 100u);
    EXPECT_EQ(stats.keys, 200u);
    EXPECT_EQ(stats.value_bytes, 200u);
  });
}

TEST_P(StoreTest, OneOfManyCreatorsWins) {
  Run([](rt::Runtime& runtime, Store& store) {
    rt::TaskGroup group(runtime, "writers");
    int won = 0;
    int lost = 0;
    for (int i = 0; i < 50; i++) {
      group.Spawn("writer", [&] {
        auto result = store.Txn({{"leader", 0}}, {PutOp("leader", "me")});
        won += result.ok();
        lost += result.Failed(Reason::kConflict);
      });
    }
    group.Join();
    EXPECT_EQ(won, 1);
    EXPECT_EQ(lost, 49);
  });
}

TEST_P(StoreTest, ReadCheckWriteNeverLosesAnIncrement) {
  const bool exclusive = GetParam().exclusive;
  Run([exclusive](rt::Runtime& runtime, Store& store) {
    rt::TaskGroup group(runtime, "writers");
    for (int i = 0; i < 20; i++) {
      group.Spawn("writer", [&, exclusive] {
        for (int n = 0; n < 10; n++) {
          auto present = store.Newest("counter");
          int next = present ? std::stoi(*present->value) + 1 : 1;
          Revision revision = present ? present->mod_revision : 0;
          // Newest includes what is under way, and nothing comes between it and Txn's comparison.
          auto result = store.Txn({{"counter", revision}}, {PutOp("counter", std::to_string(next))});
          if (!exclusive && result.Failed(Reason::kConflict)) {
            n--;  // whoever fails has seen why: the next comparison is with a newer state
            continue;
          }
          ASSERT_TRUE(result.ok());
        }
      });
    }
    group.Join();
    EXPECT_EQ(*store.Latest()->Get("counter")->value, "200");
  });
}

TEST_P(StoreTest, ACancelledWriterStillLearnsTheOutcome) {
  Run([](rt::Runtime& runtime, Store& store) {
    rt::TaskGroup group(runtime, "writers");
    std::optional<Result<TxnResult>> outcome;
    group.Spawn("writer", [&] { outcome = store.Txn({}, {PutOp("a", "1")}); });
    while (!store.Newest("a")) runtime.Yield();
    group.StopAndJoin();
    ASSERT_TRUE(outcome && outcome->ok());
    // Cancelled before: nothing happens.
    rt::CancelScope scope(runtime);
    scope.Stop();
    EXPECT_TRUE(store.Txn({}, {PutOp("b", "1")}).Failed(Reason::kCancelled));
    EXPECT_FALSE(store.Newest("b"));
  });
}

TEST_P(StoreTest, AfterCloseNothingIsWrittenAndReadsGoOn) {
  Run([](rt::Runtime& runtime, Store& store) {
    MustPut(store, "a", "1");
    auto watch = MUST(store.StartWatch(runtime, {.prefix = "", .after = 1}));
    store.Close();
    EXPECT_TRUE(store.Txn({}, {PutOp("a", "2")}).Failed(Reason::kServiceUnavailable));
    EXPECT_TRUE(store.Compact(2).Failed(Reason::kServiceUnavailable));
    EXPECT_TRUE(store.StartWatch(runtime, {}).Failed(Reason::kServiceUnavailable));
    EXPECT_EQ(Dump(*store.Latest()), Lines{"a=1@2"});
    EXPECT_EQ(Dump(MUST(watch->Next())), Lines{"+a=1@2"});
    EXPECT_TRUE(watch->Next().Failed(Reason::kServiceUnavailable));
  });
}

TEST_P(StoreTest, CloseWaitsForWhatIsUnderWay) {
  Run([](rt::Runtime& runtime, Store& store) {
    rt::TaskGroup group(runtime, "writers");
    int written = 0;
    int refused = 0;
    for (int i = 0; i < 100; i++) {
      group.Spawn("writer", [&, i] {
        auto result = store.Txn({}, {PutOp("k" + std::to_string(i), "v")});
        written += result.ok();
        refused += result.Failed(Reason::kServiceUnavailable);
      });
    }
    while (!store.Newest("k50")) runtime.Yield();
    store.Close();
    group.Join();
    EXPECT_GE(written, 1);
    EXPECT_EQ(written + refused, 100);
    EXPECT_EQ(store.Latest()->Count(""), static_cast<size_t>(written));
  });
}

}  // namespace
}  // namespace knarr::store
