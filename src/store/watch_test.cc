// Watches: each change under the prefix once, in order, from any revision that is kept, on any runtime.

#include "store/watch.h"

#include <gtest/gtest.h>

#include "store/core.h"
#include "store/store_test_util.h"

namespace knarr::store {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

TEST(Watch, BeginsInHistoryAndGoesOnLive) {
  RunSim(1, [](rt::Runtime& runtime) {
    auto store = OpenMemory(runtime);
    for (int i = 0; i < 5; i++) MustPut(*store, "a/" + std::to_string(i), "old");
    MustPut(*store, "b/1", "old");
    auto watch = MUST(store->StartWatch(runtime, {.prefix = "a/", .after = 4}));
    EXPECT_EQ(watch->progress(), 4);
    MustPut(*store, "a/9", "new");
    MustPut(*store, "b/9", "new");
    EXPECT_EQ(Dump(MUST(watch->Next(2))), (Lines{"+a/3=old@5", "+a/4=old@6"}));
    EXPECT_EQ(watch->progress(), 7);
    EXPECT_EQ(Dump(MUST(watch->Next())), Lines{"+a/9=new@8"});
    EXPECT_EQ(watch->progress(), 9);
    MustDelete(*store, "a/0");
    auto events = MUST(watch->Next());
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0]->type, Event::Type::kDelete);
    EXPECT_EQ(events[0]->value, nullptr);
    EXPECT_EQ(*events[0]->previous, "old");
    store->Close();
  });
}

TEST(Watch, EventsCarryWhatWasBefore) {
  RunSim(1, [](rt::Runtime& runtime) {
    auto store = OpenMemory(runtime);
    auto watch = MUST(store->StartWatch(runtime, {.prefix = "", .after = 1}));
    auto other = MUST(store->StartWatch(runtime, {.prefix = "", .after = 1}));
    MustPut(*store, "a", "1");
    MustPut(*store, "a", "2");
    auto events = MUST(watch->Next());
    auto same = MUST(other->Next());
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[0]->previous, nullptr);
    EXPECT_EQ(*events[1]->previous, "1");
    // One copy for all: of the event, and of the value.
    EXPECT_EQ(events[1], same[1]);
    EXPECT_EQ(events[1]->value, store->Latest()->Get("a")->value);
    store->Close();
  });
}

TEST(Watch, WaitsUntilItsTime) {
  RunSim(1, [](rt::Runtime& runtime) {
    auto store = OpenMemory(runtime, 10ms);
    auto watch = MUST(store->StartWatch(runtime, {.prefix = "a", .after = 1}));
    MonoTime begin = runtime.Mono();
    EXPECT_TRUE(MUST(watch->Next(10, begin + 1s)).empty());
    EXPECT_EQ(runtime.Mono(), begin + 1s);
    MustPut(*store, "b", "1");
    EXPECT_TRUE(MUST(watch->Next(10, runtime.Mono() + 1s)).empty());
    EXPECT_EQ(watch->progress(), 2);

    rt::TaskGroup group(runtime, "writer");
    group.Spawn("writer", [&] { MustPut(*store, "a", "1"); });
    EXPECT_EQ(Dump(MUST(watch->Next(10, runtime.Mono() + 1s))), Lines{"+a=1@3"});
    group.Join();
    store->Close();
  });
}

TEST(Watch, EndsWithItsFiber) {
  RunSim(1, [](rt::Runtime& runtime) {
    auto store = OpenMemory(runtime);
    auto watch = MUST(store->StartWatch(runtime, {.prefix = "a", .after = 1}));
    rt::TaskGroup group(runtime, "watcher");
    std::optional<Status> end;
    group.Spawn("watcher", [&] { end = watch->Next().status(); });
    (void)runtime.Sleep(1s);
    group.StopAndJoin();
    EXPECT_TRUE(end && end->Is(Reason::kCancelled));
    {
      rt::CancelScope scope(runtime, 1s);
      EXPECT_TRUE(watch->Next().Failed(Reason::kTimeout));
    }
    MustPut(*store, "a", "1");
    EXPECT_EQ(Dump(MUST(watch->Next())), Lines{"+a=1@2"});
    store->Close();
    EXPECT_TRUE(watch->Next().Failed(Reason::kServiceUnavailable));
  });
}

TEST(Watch, ASlowOneIsCutOffAndTheOthersAreNot) {
  RunSim(1, [](rt::Runtime& runtime) {
    auto store = OpenMemory(runtime);
    auto slow = MUST(store->StartWatch(runtime, {.prefix = "a", .after = 1, .backlog_max = 10}));
    auto patient = MUST(store->StartWatch(runtime, {.prefix = "a", .after = 1, .backlog_max = 11}));
    auto elsewhere = MUST(store->StartWatch(runtime, {.prefix = "b", .after = 1, .backlog_max = 1}));
    MustPut(*store, "a", "0");
    // What was taken but not returned counts too.
    EXPECT_EQ(MUST(slow->Next(1)).size(), 1u);
    for (int i = 1; i <= 11; i++) MustPut(*store, "a", std::to_string(i));
    auto cut = slow->Next();
    ASSERT_TRUE(cut.Failed(Reason::kExpired));
    EXPECT_TRUE(slow->Next().Failed(Reason::kExpired));
    EXPECT_EQ(slow->progress(), 1);
    EXPECT_TRUE(patient->Next().Failed(Reason::kExpired));
    EXPECT_EQ(elsewhere->progress(), 13);

    // Too far behind from the beginning.
    EXPECT_TRUE(store->StartWatch(runtime, {.prefix = "a", .after = 2, .backlog_max = 10}).Failed(Reason::kExpired));
    auto again = MUST(store->StartWatch(runtime, {.prefix = "a", .after = 3, .backlog_max = 10}));
    EXPECT_EQ(MUST(again->Next()).size(), 10u);
    store->Close();
  });
}

TEST(Watch, IsExpiredExactlyWhenHistoryIsMissing) {
  RunSim(1, [](rt::Runtime& runtime) {
    auto store = OpenMemory(runtime);
    for (int i = 0; i < 10; i++) MustPut(*store, "a", std::to_string(i));
    auto held = MUST(store->StartWatch(runtime, {.prefix = "a", .after = 1}));
    ASSERT_TRUE(store->Compact(6).ok());
    for (Revision after = 0; after <= 11; after++) {
      auto watch = store->StartWatch(runtime, {.prefix = "a", .after = after});
      ASSERT_EQ(watch.Failed(Reason::kExpired), after < 6) << after;
      if (watch.ok() && after < 11) {
        EXPECT_EQ(MUST((*watch)->Next())[0]->revision, after + 1);
      }
    }
    // One that began before keeps what it has.
    EXPECT_EQ(MUST(held->Next()).size(), 10u);
    store->Close();
  });
}

TEST(Watch, FromARevisionStillToCome) {
  RunSim(1, [](rt::Runtime& runtime) {
    auto store = OpenMemory(runtime);
    auto watch = MUST(store->StartWatch(runtime, {.prefix = "", .after = 3}));
    for (int i = 2; i <= 5; i++) MustPut(*store, "a", std::to_string(i));
    EXPECT_EQ(Dump(MUST(watch->Next())), (Lines{"+a=4@4", "+a=5@5"}));
    store->Close();
  });
}

TEST(Watch, ThoseThatEndedAreForgotten) {
  RunSim(1, [](rt::Runtime& runtime) {
    auto store = OpenMemory(runtime);
    auto stays = MUST(store->StartWatch(runtime, {.prefix = "a", .after = 1}));
    for (int i = 0; i < 1000; i++) {
      auto watch = MUST(store->StartWatch(runtime, {.prefix = i % 2 == 0 ? "a" : "other", .after = 1}));
      if (i % 10 == 0) MustPut(*store, "a", std::to_string(i));
    }
    EXPECT_EQ(MUST(stays->Next()).size(), 100u);
    store->Close();
  });
}

TEST(WatchIndex, DeliversByPrefixAndSweeps) {
  RunSim(1, [](rt::Runtime& runtime) {
    auto waker = std::make_shared<Waker>(runtime);
    WatchIndex index;
    std::vector<std::shared_ptr<Watcher>> watchers;
    for (const char* prefix : {"", "/a/", "/a/b/", "/ab/", "/a/b/c"}) {
      WatchOptions options{.prefix = prefix, .after = 1};
      watchers.push_back(std::make_shared<Watcher>(waker, options, std::vector<EventPtr>{}, 1));
      index.Add(watchers.back());
    }
    auto deliver = [&](const char* key) {
      std::vector<std::shared_ptr<Watcher>> ready;
      index.Deliver(std::make_shared<Event>(Event{.key = key, .revision = 2}), &ready);
      Lines prefixes;
      for (const auto& watcher : ready) {
        prefixes.push_back(watcher->prefix());
        EXPECT_EQ(MUST(watcher->Next(10, MonoTime::max())).size(), 1u);
      }
      return prefixes;
    };
    EXPECT_EQ(deliver("/a/b/c"), (Lines{"", "/a/", "/a/b/", "/a/b/c"}));
    EXPECT_EQ(deliver("/a/b/"), (Lines{"", "/a/", "/a/b/"}));
    EXPECT_EQ(deliver("/ab/c"), (Lines{"", "/ab/"}));
    EXPECT_EQ(deliver("x"), (Lines{""}));
    watchers[0]->Leave();
    watchers[2]->Leave();
    index.Sweep();
    EXPECT_EQ(index.size(), 3u);
    EXPECT_EQ(deliver("/a/b/c"), (Lines{"/a/", "/a/b/c"}));
  });
}

}  // namespace
}  // namespace knarr::store
