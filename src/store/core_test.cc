// What happens between the newest state and the durable one: failed writes, full queues, bounds.

#include "store/core.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "store/store_test_util.h"

namespace knarr::store {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

/// A disk that takes a while, and fails when told to.
class FakeLog : public Log {
 public:
  struct Control {
    std::optional<Status> failure;
    bool failed = false;  ///< and not recovered since: nothing may be appended
    Duration recover_time{};
    std::vector<Batch> batches;
    bool spacious = false;  ///< there is space to be given back
    size_t hurried = 0;
    bool rewrites = false;  ///< to recover, it needs the contents
    size_t recoveries = 0;
    std::optional<Contents> rewritten;
    std::optional<Damage> damage;
    size_t forget_room = SIZE_MAX;
    std::function<void()> changed;
    bool closed = false;
  };
  FakeLog(rt::Runtime& runtime, Control& control) : runtime_(runtime), control_(control) {}
  Ok Append(const Batch& batch) override {
    EXPECT_FALSE(control_.failed);
    TRY(runtime_.Sleep(10ms));
    TRY(Outcome());
    control_.batches.push_back(batch);
    return {};
  }
  void Tidy(const Live&, bool hurry) override { control_.hurried += hurry; }
  Result<bool> Settled() override { return !control_.spacious; }
  size_t ForgetRoom() const override { return control_.forget_room; }
  void OnChange(std::function<void()> changed) override { control_.changed = std::move(changed); }
  Ok Recover(const std::function<Contents()>& contents, bool) override {
    control_.recoveries++;
    if (control_.rewrites) control_.rewritten = contents();
    TRY(runtime_.Sleep(control_.recover_time));
    return Outcome();
  }
  Ok Check(Scan& scan, CheckReport& report) override {
    scan.done = true;
    if (control_.damage) report.Add(*control_.damage);
    return {};
  }
  int64_t disk_bytes() const override { return 4711; }
  void Close() override { control_.closed = true; }

 private:
  Ok Outcome() {
    control_.failed = control_.failure.has_value();
    return control_.failed ? Ok(*control_.failure) : Ok();
  }
  rt::Runtime& runtime_;
  Control& control_;
};

void WithFakeLog(CoreOptions options, const std::function<void(rt::Runtime&, Core&, FakeLog::Control&)>& body) {
  RunSim(1, [&](rt::Runtime& runtime) {
    FakeLog::Control control;
    Core core(runtime, options, std::make_unique<FakeLog>(runtime, control), {});
    body(runtime, core, control);
    core.Close();
    EXPECT_TRUE(control.closed);
  });
}

/// Starts one put a key and returns how each ended.
Lines PutAll(rt::Runtime& runtime, Core& core, const Lines& keys, const std::function<void()>& meanwhile = {}) {
  rt::TaskGroup group(runtime, "writers");
  Lines outcomes(keys.size());
  for (size_t i = 0; i < keys.size(); i++) {
    group.Spawn("writer", [&, i] {
      auto result = core.Txn({}, {PutOp(keys[i], "new")});
      outcomes[i] = result.ok() ? "ok" : std::string(ReasonText(result.status().reason()));
    });
  }
  if (meanwhile) meanwhile();
  group.Join();
  return outcomes;
}

TEST(Core, AFailedWriteMakesItReadOnlyAndLeavesNoTrace) {
  std::vector<std::string> told;
  CoreOptions options{
      .on_health = [&](const Ok& health) { told.push_back(health.ok() ? "well" : health.status().message()); }};
  WithFakeLog(options, [&](rt::Runtime& runtime, Core& core, FakeLog::Control& control) {
    MustPut(core, "a", "old");
    auto watch = MUST(core.StartWatch(runtime, {.prefix = "", .after = 2}));
    control.failure = Internal("input/output error");
    control.rewrites = true;
    // The first group is on its way to the disk while the second one fills: both rest on what is lost.
    rt::TaskGroup group(runtime, "more");
    Lines outcomes = PutAll(runtime, core, {"a", "b"}, [&] {
      (void)runtime.Sleep(5ms);
      group.Spawn("late", [&] {
        auto late = core.Txn({}, {DeleteOp("a")});
        ASSERT_TRUE(late.Failed(Reason::kServiceUnavailable));
        EXPECT_EQ(late.status().message(), "the change may not have been saved: input/output error");
      });
    });
    group.Join();
    EXPECT_EQ(outcomes, (Lines{"ServiceUnavailable", "ServiceUnavailable"}));
    EXPECT_EQ(core.Newest("a")->mod_revision, 2);
    EXPECT_FALSE(core.Newest("b"));
    EXPECT_EQ(Dump(*core.Latest()), Lines{"a=old@2"});
    EXPECT_EQ(core.stats().value_bytes, 3u);

    auto after = core.Txn({}, {PutOp("a", "x")});
    ASSERT_TRUE(after.Failed(Reason::kServiceUnavailable));
    EXPECT_EQ(after.status().message(), "the store is read-only since a write failed: input/output error");
    EXPECT_EQ(core.Health().status(), after.status());
    EXPECT_TRUE(core.Check().Failed(Reason::kServiceUnavailable));
    EXPECT_TRUE(MUST(watch->Next(10, runtime.Mono() + 20s)).empty());
    EXPECT_EQ(control.batches.size(), 1u);
    EXPECT_GE(control.recoveries, 4u);
    EXPECT_LE(control.recoveries, 10u);
    // Reading goes on.
    EXPECT_EQ(core.At(1).value()->Count(""), 0u);

    // It comes back by itself, with all that there was and nothing else.
    control.failure.reset();
    ASSERT_TRUE(runtime.Sleep(6s).ok());
    EXPECT_TRUE(core.Health().ok());
    ASSERT_TRUE(control.rewritten);
    ASSERT_EQ(control.rewritten->records.size(), 1u);
    EXPECT_EQ(*control.rewritten->records[0]->value, "old");
    EXPECT_EQ(MustPut(core, "a", "x"), 3);
    EXPECT_EQ(Dump(MUST(watch->Next())), Lines{"+a=x@3"});
    EXPECT_EQ(told, (Lines{"the store is read-only since a write failed: input/output error", "well"}));
  });
}

TEST(Core, AFullDiskHealsWhenThereIsSpace) {
  WithFakeLog({}, [](rt::Runtime& runtime, Core& core, FakeLog::Control& control) {
    MustPut(core, "a", "old");
    auto watch = MUST(core.StartWatch(runtime, {.prefix = "", .after = 2}));
    control.failure = Status(Reason::kServerTimeout, "disk full").WithCode(kInsufficientStorage);
    EXPECT_EQ(PutAll(runtime, core, {"a", "b"}), (Lines{"", ""}));
    EXPECT_EQ(Dump(*core.Latest()), Lines{"a=old@2"});
    const auto refused = core.Txn({}, {PutOp("c", "new")});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.status().code(), 500);
    EXPECT_EQ(refused.status().message(), "mvcc: database space exceeded: disk full");
    control.failure.reset();
    ASSERT_TRUE(runtime.Sleep(1s).ok());
    EXPECT_EQ(PutAll(runtime, core, {"c"}), Lines{"ok"});
    EXPECT_EQ(Dump(MUST(watch->Next())), Lines{"+c=new@3"});
    EXPECT_EQ(Dump(*core.Latest()), (Lines{"a=old@2", "c=new@3"}));
    EXPECT_FALSE(control.rewritten);
  });
}

TEST(Core, ADiskThatFailsAgainAndAgainIsTriedLessOften) {
  WithFakeLog({}, [](rt::Runtime& runtime, Core& core, FakeLog::Control& control) {
    Duration before{};
    for (int i = 0; i < 4; i++) {
      control.failure = Status(Reason::kServerTimeout, "disk full").WithCode(kInsufficientStorage);
      EXPECT_FALSE(core.Txn({}, {PutOp("a", "new")}).ok());
      control.failure.reset();
      const MonoTime begin = runtime.Mono();
      while (!core.Health().ok()) ASSERT_TRUE(runtime.Sleep(10ms).ok());
      EXPECT_GT(runtime.Mono() - begin, before);
      before = runtime.Mono() - begin;
    }
    EXPECT_LT(before, 6s);
  });
}

TEST(Core, ItClosesWhileItHeals) {
  WithFakeLog({}, [](rt::Runtime& runtime, Core& core, FakeLog::Control& control) {
    control.failure = Internal("gone");
    EXPECT_FALSE(core.Txn({}, {PutOp("a", "new")}).ok());
    ASSERT_TRUE(runtime.Sleep(100ms).ok());
    const MonoTime begin = runtime.Mono();
    core.Close();
    EXPECT_EQ(runtime.Mono(), begin);
  });
}

TEST(Core, DamageIsRepairedFromMemory) {
  WithFakeLog({}, [](rt::Runtime&, Core& core, FakeLog::Control& control) {
    for (const char* value : {"1", "2", "3"}) MustPut(core, "a", value);
    MustPut(core, "b", "1");
    MustDelete(core, "b");
    EXPECT_EQ(MUST(core.Repair()).damaged, 0u);
    EXPECT_EQ(control.recoveries, 0u);
    control.damage = Damage{.row = 2, .key = "a", .why = "does not match its checksum"};
    control.rewrites = true;
    const CheckReport report = MUST(core.Repair());
    EXPECT_EQ(report.damages.at(0).outcome, "written anew from the server's memory");
    // State and history, in the order of their rows.
    Lines rows;
    for (const ItemRef& item : control.rewritten->records) {
      rows.push_back(std::to_string(item->row) + " " + std::string(item->key()) + (item->value ? *item->value : "-"));
    }
    EXPECT_EQ(rows, (Lines{"1 a1", "2 a2", "3 a3", "4 b1", "5 b-"}));
  });
}

TEST(Core, ARepairThatFailsLeavesTheLogAloneUntilItIsHealed) {
  WithFakeLog({}, [](rt::Runtime& runtime, Core& core, FakeLog::Control& control) {
    MustPut(core, "a", "1");
    control.damage = Damage{.row = 1, .key = "a", .why = "does not match its checksum"};
    control.recover_time = 20ms;
    control.failure = Internal("input/output error");
    rt::TaskGroup group(runtime, "repair");
    group.Spawn("repair", [&] { EXPECT_TRUE(core.Repair().Failed(Reason::kInternalError)); });
    ASSERT_TRUE(runtime.Sleep(5ms).ok());
    // They wait for their turn behind the repair.
    EXPECT_EQ(PutAll(runtime, core, {"a", "b"}), (Lines{"ServiceUnavailable", "ServiceUnavailable"}));
    group.Join();
    EXPECT_EQ(control.batches.size(), 1u);
    EXPECT_EQ(core.Newest("a")->mod_revision, 2);
    control.failure.reset();
    ASSERT_TRUE(runtime.Sleep(6s).ok());
    EXPECT_EQ(MustPut(core, "a", "2"), 3);
  });
}

TEST(Core, WhatACompactionGivesUpDuringARepairGoesAllTheSame) {
  WithFakeLog({}, [](rt::Runtime& runtime, Core& core, FakeLog::Control& control) {
    for (const char* value : {"1", "2", "3"}) MustPut(core, "a", value);
    control.damage = Damage{.row = 2, .key = "a", .why = "does not match its checksum"};
    control.rewrites = true;
    control.recover_time = 20ms;
    rt::TaskGroup group(runtime, "repair");
    group.Spawn("repair", [&] { EXPECT_EQ(MUST(core.Repair()).damaged, 1u); });
    ASSERT_TRUE(runtime.Sleep(5ms).ok());
    EXPECT_TRUE(core.Compact(3).ok());
    group.Join();
    ASSERT_TRUE(runtime.Sleep(1s).ok());
    EXPECT_EQ(control.rewritten->records.size(), 3u);
    // Else a later delete, forgotten in its turn, would let this one come back.
    EXPECT_EQ(control.batches.back().forget, std::vector<int64_t>{1});
    EXPECT_EQ(control.batches.back().compacted, 3);
  });
}

TEST(Core, SpaceIsNotReclaimedWhileItIsReadOnly) {
  WithFakeLog({}, [](rt::Runtime& runtime, Core& core, FakeLog::Control& control) {
    for (const char* value : {"1", "2"}) MustPut(core, "a", value);
    control.failure = Internal("input/output error");
    EXPECT_TRUE(core.Reclaim().Failed(Reason::kServiceUnavailable));
    EXPECT_TRUE(core.Reclaim().Failed(Reason::kServiceUnavailable));
    ASSERT_TRUE(runtime.Sleep(100ms).ok());
    control.failure.reset();
    ASSERT_TRUE(runtime.Sleep(6s).ok());
    EXPECT_EQ(control.batches.back().forget, std::vector<int64_t>{1});
    EXPECT_EQ(MUST(core.Reclaim()).compacted, 3);
  });
}

TEST(Core, ClosingWaitsForWhoeverReclaimsSpace) {
  WithFakeLog({}, [](rt::Runtime& runtime, Core& core, FakeLog::Control& control) {
    MustPut(core, "a", "1");
    control.spacious = true;
    bool ended = false;
    rt::TaskGroup group(runtime, "reclaim");
    group.Spawn("reclaim", [&] {
      EXPECT_TRUE(core.Reclaim().Failed(Reason::kServiceUnavailable));
      ended = true;
    });
    ASSERT_TRUE(runtime.Sleep(100ms).ok());
    core.Close();
    EXPECT_TRUE(ended);
    group.Join();
  });
}

TEST(Core, TooManyWhoWaitAreTurnedAway) {
  WithFakeLog({.queue_max = 2, .waiting_max = 3}, [](rt::Runtime& runtime, Core& core, FakeLog::Control&) {
    Lines outcomes = PutAll(runtime, core, {"a", "b", "c", "d", "e", "f", "g"});
    std::ranges::sort(outcomes);
    EXPECT_EQ(outcomes, (Lines{"TooManyRequests", "TooManyRequests", "ok", "ok", "ok", "ok", "ok"}));
    rt::TaskGroup group(runtime, "writers");
    std::optional<Status> refused;
    for (int i = 0; i < 6; i++) {
      group.Spawn("writer", [&] {
        auto result = core.Txn({}, {PutOp("a", "new")});
        if (!result.ok()) refused = result.status();
      });
    }
    group.Join();
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->message(), "too many changes wait for the disk (5), please try again later");
    EXPECT_EQ(refused->details().retry_after_seconds, 1);
  });
}

TEST(Core, TheDiskKeepsLessHistoryThanMemory) {
  WithFakeLog({.disk_history_bytes_min = 2000}, [](rt::Runtime&, Core& core, FakeLog::Control& control) {
    for (int i = 0; i < 1000; i++) MustPut(core, "k" + std::to_string(i % 10), std::string(98, 'v'));
    EXPECT_EQ(core.stats().history_events, 1000u);
    EXPECT_EQ(core.stats().compacted, 0);
    EXPECT_TRUE(core.At(2).ok());
    size_t forgotten = 0;
    for (const auto& batch : control.batches) forgotten += batch.forget.size();
    // All but twenty superseded ones, and what the last write gave up.
    EXPECT_GE(forgotten, 960u);
    EXPECT_LE(forgotten, 970u);
  });
}

TEST(Core, TheQueueIsBounded) {
  WithFakeLog({.queue_max = 4}, [](rt::Runtime& runtime, Core& core, FakeLog::Control& control) {
    Lines keys;
    for (int i = 0; i < 40; i++) keys.push_back("k" + std::to_string(100 + i));
    size_t most = 0;
    rt::TaskGroup observer(runtime, "observer");
    EXPECT_EQ(PutAll(runtime, core, keys,
                     [&] {
                       for (int i = 0; i < 10; i++) {
                         (void)runtime.Sleep(1ms);
                         size_t newest = 0;
                         for (const auto& key : keys) newest += core.Newest(key).has_value();
                         most = std::max(most, newest - core.Latest()->Count(""));
                       }
                     }),
              Lines(40, "ok"));
    EXPECT_LE(most, 4u);
    EXPECT_GE(most, 1u);
    for (const auto& batch : control.batches) EXPECT_LE(batch.records.size(), 4u);
  });
}

TEST(Core, ThoseWhoWaitForRoomLearnThatItCloses) {
  WithFakeLog({.queue_max = 1}, [](rt::Runtime& runtime, Core& core, FakeLog::Control&) {
    Lines outcomes = PutAll(runtime, core, {"a", "b", "c"}, [&] {
      (void)runtime.Sleep(5ms);
      core.Close();
    });
    std::ranges::sort(outcomes);
    EXPECT_EQ(outcomes, (Lines{"ServiceUnavailable", "ServiceUnavailable", "ok"}));
  });
}

TEST(Core, LargeGroupsAreCut) {
  WithFakeLog({}, [](rt::Runtime& runtime, Core& core, FakeLog::Control& control) {
    rt::TaskGroup group(runtime, "writers");
    for (int i = 0; i < 3000; i++) {
      group.Spawn("writer", [&core, i] { MustPut(core, "k" + std::to_string(i % 1500), std::to_string(i)); });
    }
    group.Join();
    ASSERT_GE(control.batches.size(), 3u);
    int64_t row = 0;
    for (const auto& batch : control.batches) {
      EXPECT_LE(batch.records.size(), 1024u);
      for (const auto& record : batch.records) EXPECT_EQ(record->row, ++row);
    }
    EXPECT_EQ(core.Latest()->revision(), 3001);
    EXPECT_EQ(core.stats().keys, 1500u);
  });
}

TEST(Core, HistoryIsBoundedByCount) {
  WithFakeLog({.history = {.events_max = 100}}, [](rt::Runtime&, Core& core, FakeLog::Control& control) {
    for (int i = 0; i < 700; i++) MustPut(core, "k" + std::to_string(i % 10), "v");
    EXPECT_EQ(core.stats().history_events, 100u);
    EXPECT_EQ(core.stats().compacted, 601);
    EXPECT_TRUE(core.At(600).Failed(Reason::kExpired));
    EXPECT_TRUE(core.At(601).ok());
    // Superseded rows go along with the writes that follow.
    size_t forgotten = 0;
    for (const auto& batch : control.batches) forgotten += batch.forget.size();
    EXPECT_GE(forgotten, 580u);
    EXPECT_LE(forgotten, 600u);
  });
}

TEST(Core, HistoryIsBoundedByAge) {
  WithFakeLog({.history = {.age_max = 10min}}, [](rt::Runtime& runtime, Core& core, FakeLog::Control&) {
    for (int i = 0; i < 30; i++) {
      MustPut(core, "k", std::to_string(i));
      ASSERT_TRUE(runtime.Sleep(1min).ok());
    }
    EXPECT_GE(core.stats().history_events, 9u);
    EXPECT_LE(core.stats().history_events, 11u);
  });
}

TEST(Core, HistoryIsBoundedByBytes) {
  WithFakeLog({.history = {.bytes_max = 1 << 20}}, [](rt::Runtime&, Core& core, FakeLog::Control&) {
    for (int i = 0; i < 50; i++) MustPut(core, "k", std::string(100 << 10, 'v'));
    EXPECT_LE(core.stats().history_events, 10u);
    EXPECT_GE(core.stats().history_events, 8u);
    EXPECT_EQ(core.stats().value_bytes, 100u << 10);
  });
}

TEST(Core, CompactionForgetsAValueBeforeTheDeleteThatHidesIt) {
  WithFakeLog({}, [](rt::Runtime& runtime, Core& core, FakeLog::Control& control) {
    for (int i = 0; i < 2500; i++) {
      MustPut(core, "k", "v");
      MustDelete(core, "k");
    }
    EXPECT_EQ(control.hurried, 0u);
    ASSERT_TRUE(core.Compact(core.Latest()->revision()).ok());
    ASSERT_TRUE(runtime.Sleep(2s).ok());
    std::vector<int64_t> forgotten;
    for (const auto& batch : control.batches) {
      EXPECT_LE(batch.forget.size(), 512u);
      forgotten.insert(forgotten.end(), batch.forget.begin(), batch.forget.end());
    }
    ASSERT_EQ(forgotten.size(), 5000u);
    for (size_t i = 0; i < forgotten.size(); i++) ASSERT_EQ(forgotten[i], static_cast<int64_t>(i + 1));
    // The disk is asked to follow, once all of it is said.
    EXPECT_EQ(control.hurried, 1u);
  });
}

// Who waits for room in the log waits for what the changes in front of his forget; yet it must keep up with them.
TEST(Core, WithoutRoomForThemOnlyThoseAreForgottenThatChangesGiveUp) {
  WithFakeLog({.disk_history_bytes_min = 1000}, [](rt::Runtime&, Core& core, FakeLog::Control& control) {
    control.forget_room = 0;
    for (int i = 0; i < 20; i++) {
      std::vector<Op> ops;
      for (int k = 0; k < 900; k++) ops.push_back(PutOp("k" + std::to_string(k), "v"));
      MUST(core.Txn({}, std::move(ops)));
    }
    size_t forgotten = 0;
    for (const auto& batch : control.batches) forgotten += batch.forget.size();
    // All but those of the last transaction and the history that stays.
    EXPECT_GE(forgotten, 900u * 18 - 500);
  });
}

TEST(Core, WhatACompactionGivesUpWaitsUntilTheLogHasRoom) {
  WithFakeLog({}, [](rt::Runtime& runtime, Core& core, FakeLog::Control& control) {
    for (int i = 0; i < 3000; i++) MustPut(core, "k" + std::to_string(i % 10), "v");
    const auto forgotten = [&] {
      size_t all = 0;
      for (const auto& batch : control.batches) all += batch.forget.size();
      return all;
    };
    control.forget_room = 0;
    ASSERT_TRUE(core.Compact(core.Latest()->revision()).ok());
    for (int i = 0; i < 20; i++) MustPut(core, "k1", "v");
    ASSERT_TRUE(runtime.Sleep(2s).ok());
    EXPECT_LE(forgotten(), 2u);
    EXPECT_EQ(control.hurried, 0u);
    control.forget_room = 100;
    control.changed();
    ASSERT_TRUE(runtime.Sleep(2s).ok());
    EXPECT_EQ(forgotten(), 2990u);
    EXPECT_EQ(control.hurried, 1u);
    for (const auto& batch : control.batches) EXPECT_LE(batch.forget.size(), 100u);
  });
}

TEST(Core, AReclaimGivesUpNoMoreThanTheLogCanForget) {
  WithFakeLog({}, [](rt::Runtime& runtime, Core& core, FakeLog::Control& control) {
    for (int i = 0; i < 5000; i++) MustPut(core, "k" + std::to_string(i % 10), "v");
    control.forget_room = 0;
    rt::TaskGroup group(runtime, "reclaim");
    Result<Reclaimed> done = Internal("not done");
    group.Spawn("reclaim", [&] { done = core.Reclaim(); });
    ASSERT_TRUE(runtime.Sleep(2s).ok());
    EXPECT_FALSE(done.ok());
    EXPECT_TRUE(core.At(4000).ok());
    control.forget_room = 512;
    control.changed();
    group.Join();
    EXPECT_TRUE(done.ok());
    EXPECT_FALSE(core.At(4000).ok());
    EXPECT_EQ(control.hurried, 2u);
  });
}

TEST(Core, OldStatesAreRebuiltFromCheckpoints) {
  WithFakeLog({.queue_max = 100000}, [](rt::Runtime& runtime, Core& core, FakeLog::Control&) {
    rt::TaskGroup group(runtime, "writers");
    int next = 0;
    for (int w = 0; w < 1000; w++) {
      group.Spawn("writer", [&core, &next] {
        for (int i = 0; i < 20; i++) {
          std::string key = "k" + std::to_string(next++ % 37);
          MustPut(core, key, "v");
        }
      });
    }
    group.Join();
    for (Revision revision : {1, 2, 38, 1000, 8192, 8193, 8194, 12345, 16385, 20000, 20001}) {
      for (int twice = 0; twice < 2; twice++) {
        auto snapshot = core.At(revision);
        ASSERT_TRUE(snapshot.ok());
        EXPECT_EQ((*snapshot)->revision(), revision);
        EXPECT_EQ((*snapshot)->Count(""), static_cast<size_t>(std::min<Revision>(revision - 1, 37)));
        (*snapshot)->Visit("", "", [&](std::string_view, const Bytes&, Revision mod) {
          EXPECT_LE(mod, revision);
          EXPECT_GT(mod, revision - 37);
          return true;
        });
      }
    }
  });
}

}  // namespace
}  // namespace knarr::store
