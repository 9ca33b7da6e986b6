#include <map>
#include <set>

#include "apiserver/test_server.h"
#include "rt/sync.h"

namespace knarr::apiserver {
namespace {

using client::WatchEventType;

std::string Map(std::string_view name, std::string_view label, std::string_view data = "0") {
  return R"({"metadata":{"name":")" + std::string(name) + R"(","labels":{"l":")" + std::string(label) +
         R"("}},"data":{"d":")" + std::string(data) + R"("}})";
}

// "ADDED a@5 MODIFIED a@6": the next `count` events.
std::string Take(client::WatchStream& stream, size_t count) {
  std::string out;
  size_t seen = 0;
  while (seen < count) {
    const auto events = stream.Next();
    if (!events.ok()) return out + "!" + events.status().ToString();
    for (const client::WatchEvent& event : *events) {
      static constexpr std::string_view kNames[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"};
      if (!out.empty()) out += ' ';
      out += kNames[static_cast<size_t>(event.type)];
      out += ' ';
      out += event.object->name();
      ++seen;
    }
  }
  return out;
}

TEST(Watch, PresentThenChanges) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& kind = TestServer::Kind("ConfigMap");
    ASSERT_TRUE(server.Create("ConfigMap", Map("a", "x")).ok());
    auto stream = MUST(server.client().Watch(kind, "default", {}));
    EXPECT_EQ(Take(*stream, 1), "ADDED a");
    ASSERT_TRUE(server.Create("ConfigMap", Map("b", "x")).ok());
    MUST(server.client().Patch(kind, {"default", "a"}, client::PatchType::kMerge, R"({"data":{"d":"1"}})"));
    const auto gone = MUST(server.client().Delete(kind, {"default", "b"}));
    EXPECT_EQ(Take(*stream, 3), "ADDED b MODIFIED a DELETED b");
  });
}

TEST(Watch, SelectorTransitionsAreAddedAndDeleted) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& kind = TestServer::Kind("ConfigMap");
    client::WatchOptions options;
    options.label_selector = "l=x";
    auto stream = MUST(server.client().Watch(kind, "default", options));
    ASSERT_TRUE(server.Create("ConfigMap", Map("a", "y")).ok());
    const auto relabel = [&](std::string_view to) {
      return MUST(server.client().Patch(kind, {"default", "a"}, client::PatchType::kMerge,
                                        R"({"metadata":{"labels":{"l":")" + std::string(to) + R"("}}})"));
    };
    relabel("x");
    const auto left = relabel("z");
    relabel("x");
    std::vector<client::WatchEvent> first;
    while (first.size() < 3) {
      for (client::WatchEvent& event : MUST(stream->Next())) first.push_back(std::move(event));
    }
    ASSERT_EQ(first.size(), 3U);
    EXPECT_EQ(first[0].type, WatchEventType::kAdded);
    EXPECT_EQ(first[1].type, WatchEventType::kDeleted);
    // What it was, at the revision at which it left.
    EXPECT_EQ(first[1].object->tree().Get("metadata", "labels", "l").AsString(), "x");
    EXPECT_EQ(first[1].object->resource_version(), left->resource_version());
    EXPECT_EQ(first[2].type, WatchEventType::kAdded);
  });
}

TEST(Watch, FromARevisionMissesNothing) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& kind = TestServer::Kind("ConfigMap");
    const auto first = MUST(server.Create("ConfigMap", Map("a", "x")));
    ASSERT_TRUE(server.Create("ConfigMap", Map("b", "x")).ok());
    // Makes the hub begin here: the next watch starts before it.
    auto late = MUST(server.client().Watch(kind, "default", {}));
    EXPECT_EQ(Take(*late, 2), "ADDED a ADDED b");
    client::WatchOptions options;
    options.resource_version = first->resource_version();
    auto stream = MUST(server.client().Watch(kind, "default", options));
    ASSERT_TRUE(server.Create("ConfigMap", Map("c", "x")).ok());
    EXPECT_EQ(Take(*stream, 2), "ADDED b ADDED c");
    ASSERT_TRUE(server.Create("ConfigMap", Map("d", "x")).ok());
    EXPECT_EQ(Take(*stream, 1), "ADDED d");
    EXPECT_EQ(Take(*late, 2), "ADDED c ADDED d");
  });
}

TEST(Watch, CompactedIsExpiredAndTheFutureIsWaitedFor) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& kind = TestServer::Kind("ConfigMap");
    const auto first = MUST(server.Create("ConfigMap", Map("a", "x")));
    ASSERT_TRUE(server.Create("ConfigMap", Map("b", "x")).ok());
    ASSERT_TRUE(server.Create("ConfigMap", Map("c", "x")).ok());
    MUST(server.store().Compact(server.store().Latest()->revision()));
    client::WatchOptions options;
    options.resource_version = first->resource_version();
    EXPECT_TRUE(server.client().Watch(kind, "default", options).Failed(Reason::kExpired));
    options.resource_version = std::to_string(server.store().Latest()->revision() + 1);
    auto stream = MUST(server.client().Watch(kind, "default", options));
    ASSERT_TRUE(server.Create("ConfigMap", Map("d", "x")).ok());
    ASSERT_TRUE(server.Create("ConfigMap", Map("e", "x")).ok());
    EXPECT_EQ(Take(*stream, 1), "ADDED e");
  });
}

TEST(Watch, BookmarksCarryTheStoresRevision) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    client::WatchOptions options;
    options.bookmarks = true;
    options.resource_version = std::to_string(server.store().Latest()->revision());
    auto stream = MUST(server.client().Watch(TestServer::Kind("ConfigMap"), "default", options));
    const auto other = MUST(server.Create("Secret", R"({"metadata":{"name":"s"}})"));
    const auto events = MUST(stream->Next());
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].type, WatchEventType::kBookmark);
    EXPECT_EQ(events[0].object->resource_version(), other->resource_version());
  });
}

TEST(Watch, EndsInTime) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    client::WatchOptions options;
    options.timeout = 5s;
    options.resource_version = std::to_string(server.store().Latest()->revision());
    const MonoTime began = runtime.Mono();
    auto stream = MUST(server.client().Watch(TestServer::Kind("ConfigMap"), "default", options));
    EXPECT_TRUE(stream->Next().Failed(Reason::kServiceUnavailable));
    EXPECT_EQ(runtime.Mono() - began, Duration(5s));
  });
}

TEST(Watch, WhatAHubHasYetToSeeDoesNotComeTwice) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    InSim(
        [](rt::Runtime& runtime) {
          TestServer server(runtime);
          const api::KindInfo& kind = TestServer::Kind("ConfigMap");
          auto first = MUST(server.client().Watch(kind, "default", {}));  // makes the hub
          // The write is visible here before the hub's fiber has read it.
          ASSERT_TRUE(server.Create("ConfigMap", Map("a", "x")).ok());
          auto stream = MUST(server.client().Watch(kind, "default", {}));
          ASSERT_TRUE(server.Create("ConfigMap", Map("b", "x")).ok());
          EXPECT_EQ(Take(*stream, 2), "ADDED a ADDED b");
        },
        seed);
  }
}

// A copy kept by list and watch, which checks that every event fits to what it has.
void Follow(rt::Runtime& runtime, TestServer& server, std::string_view selector, const bool& done,
            std::map<std::string, std::string>& copy) {
  const api::KindInfo& kind = TestServer::Kind("ConfigMap");
  MUST(runtime.Sleep(Duration(static_cast<int64_t>(runtime.Random() % 20'000'000))));
  client::ListOptions list_options;
  list_options.label_selector = selector;
  const auto list = MUST(server.client().List(kind, "", list_options));
  for (const auto& item : list.items) copy.emplace(item->name(), item->resource_version());
  client::WatchOptions options;
  options.label_selector = selector;
  options.resource_version = list.resource_version;
  options.timeout = 10s;
  int64_t last = std::stoll(list.resource_version);
  auto stream = MUST(server.client().Watch(kind, "default", options));
  for (;;) {
    const auto events = stream->Next();
    if (!events.ok()) break;
    for (const client::WatchEvent& event : *events) {
      const int64_t revision = std::stoll(std::string(event.object->resource_version()));
      EXPECT_GT(revision, last);
      last = revision;
      const std::string name(event.object->name());
      EXPECT_EQ(copy.contains(name), event.type != WatchEventType::kAdded) << name;
      if (event.type == WatchEventType::kDeleted) {
        copy.erase(name);
      } else {
        copy[name] = event.object->resource_version();
      }
    }
    if (runtime.Random() % 4 == 0) MUST(runtime.Sleep(1ms));
  }
  EXPECT_TRUE(done);
}

TEST(Watch, CopiesComeOutRightWheneverTheyBegin) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    InSim(
        [&](rt::Runtime& runtime) {
          auto store = store::OpenMemory(runtime, 300us);  // commits take time: readers and writers meet
          TestServer server(runtime, {}, std::move(store));
          const api::KindInfo& kind = TestServer::Kind("ConfigMap");
          bool done = false;
          std::map<std::string, std::string> copies[8];
          rt::TaskGroup group(runtime, "followers");
          for (size_t i = 0; i < std::size(copies); ++i) {
            group.Spawn("follow", [&, i] { Follow(runtime, server, i % 2 == 0 ? "" : "l=x", done, copies[i]); });
          }
          for (int i = 0; i < 120; ++i) {
            const std::string name = "m" + std::to_string(runtime.Random() % 6);
            const std::string_view label = runtime.Random() % 2 == 0 ? "x" : "y";
            if (runtime.Random() % 4 == 0) {
              (void)server.client().Delete(kind, {"default", name});
            } else if (!server.Create("ConfigMap", Map(name, label, std::to_string(i))).ok()) {
              (void)server.client().Patch(kind, {"default", name}, client::PatchType::kMerge,
                                          Map(name, label, std::to_string(i)));
            }
          }
          done = true;
          group.Join();
          for (size_t i = 0; i < std::size(copies); ++i) {
            client::ListOptions options;
            options.label_selector = i % 2 == 0 ? "" : "l=x";
            std::map<std::string, std::string> expected;
            for (const auto& item : MUST(server.client().List(kind, "", options)).items) {
              expected.emplace(item->name(), item->resource_version());
            }
            EXPECT_EQ(copies[i], expected) << i;
          }
        },
        seed);
  }
}

TEST(Watch, ASlowWatcherFallsBackToTheStore) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& kind = TestServer::Kind("ConfigMap");
    auto slow = MUST(server.client().Watch(kind, "default", {}));
    constexpr int kWrites = 3000;  // more than the hub's ring holds
    ASSERT_TRUE(server.Create("ConfigMap", Map("a", "x")).ok());
    EXPECT_EQ(Take(*slow, 1), "ADDED a");
    for (int i = 1; i <= kWrites; ++i) {
      MUST(server.client().Patch(kind, {"default", "a"}, client::PatchType::kMerge,
                                 R"({"data":{"d":")" + std::to_string(i) + R"("}})"));
    }
    int seen = 0;
    while (seen < kWrites) {
      for (const client::WatchEvent& event : MUST(slow->Next())) {
        EXPECT_EQ(event.object->tree().Get("data", "d").AsString(), std::to_string(++seen));
      }
    }
  });
}

// A transaction has one revision, but watchers take changes in batches: what comes in the second is not old.
TEST(Watch, ATransactionLargerThanABatchIsSeenWhole) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& kind = TestServer::Kind("ConfigMap");
    auto attached = MUST(server.client().Watch(kind, "default", {}));
    ASSERT_TRUE(server.Create("ConfigMap", Map("a", "x")).ok());
    EXPECT_EQ(Take(*attached, 1), "ADDED a");
    const store::Revision before = server.store().Latest()->revision();
    constexpr size_t kObjects = 600;
    std::vector<store::Op> ops;
    for (size_t i = 0; i < kObjects; ++i) {
      const std::string name = "m" + std::to_string(i);
      const std::string head = R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":")" + name +
                               R"(","namespace":"default","uid":"u","resourceVersion":")";
      ops.push_back({"/registry/core/configmaps/default/" + name, head + R"("}})", head.size()});
    }
    auto slow = MUST(server.client().Watch(kind, "default", {.resource_version = std::to_string(before)}));
    ASSERT_TRUE(server.store().Txn({}, std::move(ops)).ok());
    MUST(runtime.Sleep(1ms));
    std::set<std::string> seen;
    for (const client::WatchEvent& event : MUST(slow->Next())) seen.emplace(event.object->name());
    auto later = MUST(server.client().Watch(kind, "default", {.resource_version = std::to_string(before)}));
    for (client::WatchStream* stream : {attached.get(), later.get()}) {
      std::set<std::string> names;
      while (names.size() < kObjects) {
        const rt::CancelScope limit(runtime, 1s);
        const auto events = stream->Next();
        ASSERT_TRUE(events.ok()) << names.size();
        for (const client::WatchEvent& event : *events) names.emplace(event.object->name());
      }
    }
    // One that has read a part, and then falls out of the ring.
    for (int i = 0; i < 2500; ++i) {
      MUST(server.client().Patch(kind, {"default", "a"}, client::PatchType::kMerge,
                                 R"({"data":{"d":")" + std::to_string(i) + R"("}})"));
    }
    while (seen.size() < kObjects) {
      const rt::CancelScope limit(runtime, 1s);
      const auto events = slow->Next();
      ASSERT_TRUE(events.ok()) << seen.size();
      for (const client::WatchEvent& event : *events) {
        if (event.object->name() != "a") seen.emplace(event.object->name());
      }
    }
  });
}

// Watchers by node are woken for their own pods only; what they miss in their sleep must not be missed.
TEST(Watch, SleepersSeeWhatIsTheirs) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& kind = TestServer::Kind("ConfigMap");
    constexpr int kWatchers = 20;
    std::vector<std::unique_ptr<client::WatchStream>> streams;
    for (int i = 0; i < kWatchers; ++i) {
      streams.push_back(MUST(server.client().Watch(kind, "default", {.label_selector = "l=x" + std::to_string(i)})));
    }
    rt::TaskGroup group(runtime, "watchers");
    std::vector<std::string> seen(kWatchers);
    for (int i = 0; i < kWatchers; ++i) {
      group.Spawn("watcher", [&, i] { seen[static_cast<size_t>(i)] = Take(*streams[static_cast<size_t>(i)], 4); });
    }
    EXPECT_TRUE(runtime.Sleep(1ms).ok());
    // Many more changes of others than the hub's ring holds lie between the ones of each.
    for (int round = 0; round < 2; ++round) {
      for (int i = 0; i < kWatchers; ++i) {
        const std::string name = "m" + std::to_string(i);
        const std::string label = "x" + std::to_string(i);
        if (round == 0) {
          ASSERT_TRUE(server.Create("ConfigMap", Map(name, label)).ok());
          ASSERT_TRUE(server.Create("ConfigMap", Map(name + "-other", "y")).ok());
        } else {
          const auto relabel = [&](std::string_view to) {
            MUST(server.client().Patch(kind, {"default", name}, client::PatchType::kMerge,
                                       R"({"metadata":{"labels":{"l":")" + std::string(to) + "\"}}}"));
          };
          relabel("y");
          relabel(label);
          MUST(server.client().Delete(kind, {"default", name}));
        }
        for (int other = 0; other < 150; ++other) {
          MUST(server.client().Patch(kind, {"default", name + "-other"}, client::PatchType::kMerge,
                                     R"({"data":{"d":")" + std::to_string(round * 1000 + other) + "\"}}"));
        }
      }
    }
    group.Join();
    for (int i = 0; i < kWatchers; ++i) {
      const std::string name = "m" + std::to_string(i);
      EXPECT_EQ(seen[static_cast<size_t>(i)],
                "ADDED " + name + " DELETED " + name + " ADDED " + name + " DELETED " + name);
    }
  });
}

}  // namespace
}  // namespace knarr::apiserver
