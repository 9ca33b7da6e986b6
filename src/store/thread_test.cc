// Readers and watchers on other threads while the world thread writes. Meant for the thread sanitizer as much as for
// its own checks.

#include <gtest/gtest.h>

#include <atomic>
#include <map>

#include "rt/real.h"
#include "store/store_test_util.h"

namespace knarr::store {
namespace {

using namespace std::chrono_literals;

constexpr int kAccounts = 64;
constexpr int kTransfers = 2000;
constexpr int kMoney = 1000;

std::string Account(int number) { return "/account/" + std::to_string(1000 + number); }

/// Moves money between two accounts in one transaction, so that every revision has the same sum.
void Transfer(rt::Runtime& runtime, Store& store) {
  while (true) {
    std::string from = Account(static_cast<int>(runtime.Random() % kAccounts));
    std::string to = Account(static_cast<int>(runtime.Random() % kAccounts));
    if (from == to) continue;
    auto source = store.Newest(from);
    auto target = store.Newest(to);
    auto done = store.Txn({{from, source->mod_revision}, {to, target->mod_revision}},
                          {PutOp(from, std::to_string(std::stoi(*source->value) - 1)),
                           PutOp(to, std::to_string(std::stoi(*target->value) + 1))});
    if (done.ok()) return;
    CHECK(done.Failed(Reason::kConflict));
  }
}

int Sum(const Snapshot& snapshot) {
  int sum = 0;
  int count = 0;
  snapshot.Visit("/account/", "", [&](std::string_view, const Bytes& value, Revision mod) {
    CHECK(mod <= snapshot.revision());
    sum += std::stoi(*value);
    count++;
    return true;
  });
  CHECK(count == 0 || count == kAccounts);
  return count == 0 ? 0 : sum - kAccounts * kMoney;
}

/// What a thread beside the world does.
struct Side {
  std::unique_ptr<rt::RealRuntime> runtime;
  std::atomic<bool> started = false;
  std::atomic<bool> ended = false;
  std::atomic<uint64_t> rounds = 0;
};

void ReadAll(Side& side, Store& store, const std::atomic<bool>& stop) {
  side.started = true;
  do {
    auto latest = store.Latest();
    ASSERT_EQ(Sum(*latest), 0);
    ASSERT_EQ(latest->Count("/account/"), latest->Range("/account/").items.size());
    Revision back = static_cast<Revision>(side.runtime->Random() % 500);
    auto older = store.At(std::max<Revision>(latest->revision() - back, 1));
    if (older.ok()) {
      ASSERT_EQ(Sum(**older), 0);
    } else {
      ASSERT_TRUE(older.Failed(Reason::kExpired));
    }
    (void)store.stats();
    side.rounds++;
    side.runtime->Yield();
  } while (!stop);
}

/// Follows all changes from a snapshot on and holds its own copy of the state against each.
void FollowAll(Side& side, Store& store, Revision last) {
  auto start = store.Latest();
  std::map<std::string, std::string> copy;
  for (const KeyValue& item : start->Range("/account/").items) copy[item.key] = *item.value;
  auto watch = store.StartWatch(*side.runtime, {.prefix = "/account/", .after = start->revision()});
  ASSERT_TRUE(watch.ok()) << watch.status().ToString();
  side.started = true;
  Revision seen = start->revision();
  while ((*watch)->progress() < last) {
    auto events = (*watch)->Next(7, side.runtime->Mono() + 20ms);
    ASSERT_TRUE(events.ok()) << events.status().ToString();
    for (const EventPtr& event : *events) {
      ASSERT_GE(event->revision, seen);
      auto known = copy.find(event->key);
      ASSERT_EQ(known == copy.end() ? "" : known->second, event->previous ? *event->previous : "");
      copy[event->key] = *event->value;
      seen = event->revision;
      side.rounds++;
    }
    ASSERT_GE((*watch)->progress(), seen - 1);
  }
  ASSERT_EQ(seen, last);
  auto snapshot = store.At(seen);
  ASSERT_TRUE(snapshot.ok());
  for (const KeyValue& item : (*snapshot)->Range("/account/").items) ASSERT_EQ(*item.value, copy[item.key]);
}

class ThreadTest : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Engines, ThreadTest, testing::Bool(),
                         [](const auto& embedded) { return embedded.param ? "Embedded" : "Memory"; });

TEST_P(ThreadTest, ReadersAndWatchersSeeWholeTransactionsInOrder) {
  ScratchFolder folder;
  auto pool = rt::BlockingPool::Create(4);
  auto world = rt::RealRuntime::Create({}, pool);
  std::vector<std::unique_ptr<Side>> sides;
  for (int i = 0; i < 4; i++) {
    sides.push_back(std::make_unique<Side>());
    sides.back()->runtime = rt::RealRuntime::Create({.name = "side"}, pool);
    sides.back()->runtime->StartThread();
  }
  world->Run([&] {
    auto store = GetParam() ? MUST(OpenEmbedded(*world, {.directory = folder.path()})) : OpenMemory(*world);
    std::vector<Op> open;
    for (int i = 0; i < kAccounts; i++) open.push_back(PutOp(Account(i), std::to_string(kMoney)));
    Revision first = MUST(store->Txn({}, std::move(open))).revision;
    Revision last = first + kTransfers;

    std::atomic<bool> stop = false;
    for (size_t i = 0; i < sides.size(); i++) {
      Side& side = *sides[i];
      side.runtime->Post([&, i] {
        if (i % 2 == 0) {
          ReadAll(side, *store, stop);
        } else {
          FollowAll(side, *store, last);
        }
        side.ended = true;
      });
    }
    // On a busy machine the writers could be done before another thread has had a turn.
    for (const auto& side : sides) {
      while (!side->started) ASSERT_TRUE(world->Sleep(1ms).ok());
    }
    rt::TaskGroup group(*world, "writers");
    for (int w = 0; w < 8; w++) {
      group.Spawn("writer", [&] {
        for (int i = 0; i < kTransfers / 8; i++) {
          Transfer(*world, *store);
          if (i % 50 == 49) (void)store->Compact(std::max<Revision>(store->Latest()->revision() - 300, 1));
        }
      });
    }
    group.Join();
    stop = true;
    EXPECT_EQ(store->Latest()->revision(), last);
    for (const auto& side : sides) {
      for (int i = 0; i < 3000 && !side->ended; i++) ASSERT_TRUE(world->Sleep(10ms).ok());
      EXPECT_TRUE(side->ended);
      EXPECT_GT(side->rounds, 0u);
    }
    store->Close();
  });
  for (const auto& side : sides) side->runtime->StopThread();
}

TEST(Threads, WatchesComeAndGoWhileEventsFly) {
  auto pool = rt::BlockingPool::Create(4);
  auto world = rt::RealRuntime::Create({}, pool);
  auto side = rt::RealRuntime::Create({.name = "side"}, pool);
  side->StartThread();
  world->Run([&] {
    auto store = OpenMemory(*world);
    std::atomic<bool> stop = false;
    std::atomic<int> left = 8;
    for (int i = 0; i < 8; i++) {
      side->Post([&] {
        while (!stop) {
          Revision from = store->Latest()->revision();
          auto watch = store->StartWatch(*side, {.prefix = "k", .after = from});
          CHECK(watch.ok());
          Revision next = from + 1;
          // Every change is under the prefix, so the revisions come without a gap.
          for (int round = 0; round < 3; round++) {
            auto events = (*watch)->Next(16, side->Mono() + 2ms);
            CHECK(events.ok());
            for (const EventPtr& event : *events) CHECK(event->revision == next++);
          }
        }
        left--;
      });
    }
    for (int i = 0; i < 3000; i++) MustPut(*store, "k" + std::to_string(i % 10), "v");
    stop = true;
    while (left > 0) ASSERT_TRUE(world->Sleep(1ms).ok());
    // A watch on another thread hears that the store closes.
    std::atomic<bool> told = false;
    std::atomic<bool> waits = false;
    side->Post([&] {
      auto watch = MUST(store->StartWatch(*side, {.prefix = "k", .after = store->Latest()->revision()}));
      waits = true;
      CHECK(watch->Next().Failed(Reason::kServiceUnavailable));
      watch.reset();
      told = true;
    });
    while (!waits) ASSERT_TRUE(world->Sleep(1ms).ok());
    store->Close();
    while (!told) ASSERT_TRUE(world->Sleep(1ms).ok());
  });
  side->StopThread();
}

}  // namespace
}  // namespace knarr::store
