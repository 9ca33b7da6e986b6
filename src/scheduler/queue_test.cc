#include "scheduler/queue.h"

#include <gtest/gtest.h>

#include "doc/json.h"
#include "rt/sim.h"

namespace knarr::scheduler {
namespace {

api::ObjectPtr Pod(const std::string& uid, int priority = 0) {
  return api::Object::FromDocument(
      MUST(doc::ParseJson(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + uid + R"(","uid":")" + uid +
                          R"("},"spec":{"priority":)" + std::to_string(priority) + "}}")));
}

void InSim(const std::function<void(rt::Runtime&)>& body) {
  const auto runtime = rt::SimRuntime::Create({.seed = 7});
  runtime->Run([&] { body(*runtime); });
}

/// The next pod's uid and how long it took to come.
std::pair<std::string, Duration> Pop(rt::Runtime& runtime, Queue& queue) {
  const MonoTime start = runtime.Mono();
  Result<PodInfoPtr> pod = queue.Pop();
  return {pod.ok() ? std::string((*pod)->object->uid()) : "", runtime.Mono() - start};
}

TEST(Queue, PriorityThenAge) {
  InSim([](rt::Runtime& runtime) {
    Queue queue(runtime);
    for (const auto& [uid, priority] : {std::pair("a", 0), {"b", 10}, {"c", 0}, {"d", 10}}) {
      queue.Add(Pod(uid, priority));
    }
    for (const char* uid : {"b", "d", "a", "c"}) EXPECT_EQ(Pop(runtime, queue).first, uid);
  });
}

TEST(Queue, WhatFitsNowhereWaitsFiveMinutes) {
  InSim([](rt::Runtime& runtime) {
    Queue queue(runtime);
    queue.Add(Pod("a"));
    EXPECT_EQ(Pop(runtime, queue).second, Duration(0));
    queue.SetUnschedulable(Pod("a"));
    EXPECT_EQ(Pop(runtime, queue).second, Duration(5min));
  });
}

TEST(Queue, AChangeEndsTheWaitButNotTheBackOff) {
  InSim([](rt::Runtime& runtime) {
    Queue queue(runtime);
    queue.Add(Pod("a"));
    ASSERT_TRUE(queue.Pop().ok());
    for (const Duration wait : {1s, 2s, 4s, 8s, 10s, 10s}) {
      queue.SetUnschedulable(Pod("a"));
      queue.MoveIf([](const PodInfo&) { return true; });
      EXPECT_EQ(Pop(runtime, queue).second, wait);
    }
  });
}

TEST(Queue, AChangeDuringTheTryCounts) {
  InSim([](rt::Runtime& runtime) {
    Queue queue(runtime);
    queue.Add(Pod("a"));
    ASSERT_TRUE(queue.Pop().ok());
    queue.MoveIf([](const PodInfo&) { return true; });
    queue.SetUnschedulable(Pod("a"));
    EXPECT_EQ(Pop(runtime, queue).second, Duration(1s));
  });
}

TEST(Queue, AChangeMovesOnlyThoseItHelps) {
  InSim([](rt::Runtime& runtime) {
    Queue queue(runtime);
    for (const char* uid : {"a", "b"}) {
      queue.Add(Pod(uid));
      EXPECT_EQ(Pop(runtime, queue).first, uid);
      queue.SetUnschedulable(Pod(uid));
    }
    queue.MoveIf([](const PodInfo& pod) { return pod.object->uid() == "b"; });
    EXPECT_EQ(Pop(runtime, queue), (std::pair<std::string, Duration>("b", 1s)));
    EXPECT_EQ(Pop(runtime, queue), (std::pair<std::string, Duration>("a", 5min - 1s)));
  });
}

TEST(Queue, RemovedPodsDoNotCome) {
  InSim([](rt::Runtime& runtime) {
    Queue queue(runtime);
    for (const char* uid : {"a", "b"}) queue.Add(Pod(uid));
    queue.Remove("a");
    EXPECT_EQ(Pop(runtime, queue).first, "b");
    queue.Remove("b");
    queue.SetUnschedulable(Pod("b"));  // removed while it was tried
    EXPECT_EQ(queue.size(), 0U);
  });
}

}  // namespace
}  // namespace knarr::scheduler
