// Thousands of random clusters' worth of load on the store, one seed each: writers, watchers fast and slow, snapshots,
// compactions, a disk that is slow or full at times. What must hold whatever happens:
//   - what was acknowledged is there, what was refused is not, and no comparison of a change was false;
//   - a watch gives each change under its prefix once and in order, so a copy kept by it equals the state it stands at,
//     and so does one that catches up from the history in pieces;
//   - a snapshot never changes;
//   - the same seed does the same, bit for bit.

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>

#include "rt/sim.h"
#include "rt/sync.h"
#include "store/core.h"

namespace knarr::store {
namespace {

using namespace std::chrono_literals;
using State = std::map<std::string, std::string>;

State Read(const Snapshot& snapshot, const std::string& prefix) {
  State state;
  for (const KeyValue& item : snapshot.Range(prefix).items) state[item.key] = *item.value;
  return state;
}

/// One seed's world. Each fault and habit is on or off per seed.
struct Plan {
  explicit Plan(rt::Runtime& runtime) {
    auto up_to = [&](uint64_t bound) { return runtime.Random() % bound; };
    commit_time = std::chrono::milliseconds(up_to(2) == 0 ? 0 : up_to(20));
    disk_fills = up_to(3) == 0;
    compacts = up_to(2) == 0;
    keys = 1 + up_to(up_to(2) == 0 ? 8 : 200);
    writers = 1 + up_to(12);
    rounds = 10 + up_to(40);
    watchers = 1 + up_to(6);
    reads_history = up_to(2) == 0;
    options.queue_max = 1 + up_to(16);
    if (up_to(2) == 0) options.history.events_max = 10 + up_to(200);
    if (up_to(4) == 0) options.history.age_max = std::chrono::milliseconds(10 + up_to(500));
  }
  Duration commit_time{};
  bool disk_fills;
  bool compacts;
  uint64_t keys;
  uint64_t writers;
  uint64_t rounds;
  uint64_t watchers;
  bool reads_history;
  CoreOptions options;
};

class SimLog : public Log {
 public:
  SimLog(rt::Runtime& runtime, const Plan& plan) : runtime_(runtime), plan_(plan) {}
  Ok Append(const Batch& batch) override {
    if (plan_.commit_time > Duration::zero()) TRY(runtime_.Sleep(plan_.commit_time));
    if (plan_.disk_fills && runtime_.Random() % 10 == 0) {
      return Status(Reason::kServerTimeout, "disk full").WithCode(kInsufficientStorage);
    }
    for (const ItemRef& record : batch.records) CHECK(rows_.insert(record->row).second);
    for (int64_t row : batch.forget) CHECK(rows_.erase(row) == 1);
    return {};
  }
  Ok Recover(const std::function<Contents()>&, bool) override { return {}; }
  Ok Check(Scan& scan, CheckReport&) override {
    scan.done = true;
    return {};
  }
  int64_t disk_bytes() const override { return 0; }
  void Close() override {}

 private:
  rt::Runtime& runtime_;
  const Plan& plan_;
  std::set<int64_t> rows_;
};

class World {
 public:
  World(rt::Runtime& runtime, const Plan& plan) : runtime_(runtime), plan_(plan) {
    store_ = std::make_unique<Core>(runtime, plan.options, std::make_unique<SimLog>(runtime, plan), Recovered{});
  }

  State Run() {
    rt::TaskGroup writers(runtime_, "writers");
    rt::TaskGroup watchers(runtime_, "watchers");
    for (uint64_t i = 0; i < plan_.writers; i++) {
      writers.Spawn("writer", [this, i] { Write(i); });
    }
    for (uint64_t i = 0; i < plan_.watchers; i++) watchers.Spawn("watcher", [this] { Follow(); });
    if (plan_.reads_history) watchers.Spawn("reader", [this] { ReadHistory(); });
    writers.Join();
    last_ = store_->Latest()->revision();
    finished_ = true;
    watchers.Join();
    for (const auto& [snapshot, state] : held_) CHECK(Read(*snapshot, "") == state);
    State end = Read(*store_->Latest(), "");
    EXPECT_EQ(end, acknowledged_);
    for (const auto& [key, value] : end) EXPECT_FALSE(refused_.contains(value)) << value;
    store_->Close();
    return end;
  }

 private:
  uint64_t UpTo(uint64_t bound) { return runtime_.Random() % bound; }
  std::string Key() { return "/" + std::to_string(UpTo(3)) + "/" + std::to_string(UpTo(plan_.keys)); }

  void Write(uint64_t writer) {
    for (uint64_t round = 0; round < plan_.rounds; round++) {
      if (UpTo(4) == 0) (void)runtime_.Sleep(std::chrono::milliseconds(UpTo(30)));
      // A store that is read-only for the moment is not compacted.
      if (plan_.compacts && UpTo(20) == 0 && store_->Health().ok()) {
        ASSERT_TRUE(store_->Compact(std::max<Revision>(store_->Latest()->revision() - UpTo(50), 1)).ok());
      }
      if (UpTo(20) == 0) held_.emplace_back(store_->Latest(), Read(*store_->Latest(), ""));
      std::string value = "w" + std::to_string(writer) + "." + std::to_string(round);
      std::set<std::string> keys;
      for (uint64_t n = 1 + UpTo(3); n > 0; n--) keys.insert(Key());
      std::vector<Compare> compares;
      std::vector<Op> ops;
      for (const std::string& key : keys) {
        auto present = store_->Newest(key);
        compares.push_back({key, present ? present->mod_revision : 0});
        bool put = !present || UpTo(3) != 0;
        ops.push_back({.key = key, .value = put ? std::optional(value) : std::nullopt});
      }
      const bool in_vain = UpTo(10) == 0;
      // Of a revision that never comes.
      if (in_vain) compares.insert(compares.begin() + 1, {Key(), Revision{1} << 40});
      auto result = store_->Txn(compares, ops);
      EXPECT_FALSE(in_vain && result.ok()) << "a comparison that fails was left out";
      if (!result.ok()) {
        ASSERT_TRUE(result.Failed(Reason::kConflict) || result.status().code() == 500) << result.status().ToString();
        refused_.insert(value);
        continue;
      }
      Acknowledge(result->revision, ops);
      CheckCompared(result->revision, compares);
    }
  }

  /// What it was compared with is what was there just before it.
  void CheckCompared(Revision revision, const std::vector<Compare>& compares) {
    const auto before = store_->At(revision - 1);
    if (!before.ok()) return;  // compacted
    for (const Compare& compare : compares) {
      const auto there = (*before)->Get(compare.key);
      EXPECT_EQ(there ? there->mod_revision : 0, compare.mod_revision) << compare.key << " before " << revision;
    }
  }

  /// Writers of one group may learn of it in any order: a key's newest value is the one of the highest revision.
  void Acknowledge(Revision revision, const std::vector<Op>& ops) {
    EXPECT_GE(store_->Latest()->revision(), revision);
    for (const Op& op : ops) {
      Revision& known = acknowledged_at_[op.key];
      if (known > revision) continue;
      known = revision;
      if (op.value) {
        acknowledged_[op.key] = *op.value;
      } else {
        acknowledged_.erase(op.key);
      }
    }
  }

  void Follow() {
    const std::string prefixes[] = {"", "/0/", "/1/", "/2/1", "/none/"};
    std::string prefix = prefixes[UpTo(std::size(prefixes))];
    bool slow = UpTo(3) == 0;
    size_t backlog = UpTo(2) == 0 ? 1000000 : 1 + UpTo(40);
    while (true) {
      if (UpTo(4) == 0) ComeAndGo();
      // Some begin behind a revision that is still to come.
      const auto later = static_cast<Revision>(UpTo(4) == 0 ? 1 + UpTo(3) : 0);
      auto start = store_->Latest();
      const Revision after = start->revision() + later;
      State copy = Read(*start, prefix);
      if (later == 0 && UpTo(2) == 0) (void)runtime_.Sleep(std::chrono::milliseconds(UpTo(60)));
      auto watch = store_->StartWatch(runtime_, {.prefix = prefix, .after = after, .backlog_max = backlog});
      if (!watch.ok()) {
        ASSERT_TRUE(watch.Failed(Reason::kExpired));
        continue;
      }
      if (later > 0) {
        while (store_->Latest()->revision() < after && !finished_) (void)runtime_.Sleep(5ms);
        const auto state = store_->At(after);
        if (!state.ok()) continue;  // it never came, or is compacted
        copy = Read(**state, prefix);
      }
      if (FollowOne(**watch, prefix, after, slow, copy)) return;
    }
  }

  /// Many others, whose prefixes are as long as some that stay: the store tidies up behind them.
  void ComeAndGo() {
    for (int i = 0; i < 40; i++) {
      const std::string prefix = "/" + std::to_string(3 + UpTo(4)) + "/";
      EXPECT_TRUE(store_->StartWatch(runtime_, {.prefix = prefix, .after = store_->Latest()->revision()}).ok());
    }
  }

  void ReadHistory() {
    const std::string prefix = UpTo(2) == 0 ? "" : "/1/";
    auto start = store_->Latest();
    Revision at = start->revision();
    State copy = Read(*start, prefix);
    while (true) {
      const bool finished = finished_;
      const auto changes = store_->ChangesAfter(at, prefix, 1 + UpTo(5));
      if (changes.Failed(Reason::kExpired)) {
        start = store_->Latest();
        at = start->revision();
        copy = Read(*start, prefix);
        continue;
      }
      CHECK(changes.ok());
      for (const EventPtr& event : changes->events) Apply(*event, copy);
      EXPECT_GE(changes->through, at);
      at = changes->through;
      const auto state = store_->At(at);
      if (state.ok()) {
        EXPECT_EQ(copy, Read(**state, prefix));
      }
      if (!changes->events.empty()) continue;
      if (finished && at >= last_) return;
      (void)runtime_.Sleep(std::chrono::milliseconds(UpTo(100)));
    }
  }

  /// True at the end of the story, false when cut off.
  bool FollowOne(Watch& watch, const std::string& prefix, Revision seen, bool slow, State& copy) {
    Revision progress = watch.progress();
    while (true) {
      bool finished = finished_;
      auto events = watch.Next(1 + UpTo(10), runtime_.Mono() + 50ms);
      if (events.Failed(Reason::kExpired)) return false;
      CHECK(events.ok());
      for (const EventPtr& event : *events) {
        EXPECT_TRUE(event->key.starts_with(prefix));
        EXPECT_GE(event->revision, seen);
        EXPECT_GT(event->revision, progress);
        Apply(*event, copy);
        seen = event->revision;
      }
      EXPECT_GE(watch.progress(), progress);
      progress = watch.progress();
      EXPECT_LE(progress, store_->Latest()->revision());
      // At its progress, the copy is the state, unless it has seen a part of the transaction behind.
      auto state = store_->At(progress);
      if (seen <= progress && state.ok()) {
        EXPECT_EQ(copy, Read(**state, prefix));
      }
      if (finished && progress >= last_) return true;
      if (slow) (void)runtime_.Sleep(std::chrono::milliseconds(UpTo(200)));
    }
  }

  static void Apply(const Event& event, State& copy) {
    auto known = copy.find(event.key);
    if (event.previous == nullptr) {
      EXPECT_EQ(known, copy.end());
    } else {
      ASSERT_NE(known, copy.end());
      EXPECT_EQ(known->second, *event.previous);
    }
    if (event.type == Event::Type::kPut) {
      copy[event.key] = *event.value;
    } else {
      copy.erase(event.key);
    }
  }

  rt::Runtime& runtime_;
  const Plan& plan_;
  std::unique_ptr<Core> store_;
  State acknowledged_;
  std::map<std::string, Revision> acknowledged_at_;
  std::set<std::string> refused_;
  std::vector<std::pair<std::shared_ptr<const Snapshot>, State>> held_;
  bool finished_ = false;
  Revision last_ = 0;
};

uint64_t RunSeed(uint64_t seed) {
  auto runtime = rt::SimRuntime::Create({.seed = seed});
  runtime->Run([&] {
    Plan plan(*runtime);
    World(*runtime, plan).Run();
  });
  return runtime->trace_hash();
}

constexpr uint64_t kSeeds = KNARR_STORE_SEEDS;

TEST(StoreSim, InvariantsHoldForManySeeds) {
  for (uint64_t seed = 1; seed <= kSeeds; seed++) {
    RunSeed(seed);
    ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
  }
}

TEST(StoreSim, ASeedReplaysBitForBit) {
  for (uint64_t seed = 1; seed <= 20; seed++) {
    uint64_t hash = RunSeed(seed);
    EXPECT_EQ(hash, RunSeed(seed));
    EXPECT_NE(hash, RunSeed(seed + 1));
  }
}

}  // namespace
}  // namespace knarr::store
