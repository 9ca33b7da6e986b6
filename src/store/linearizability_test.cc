#include <gtest/gtest.h>

#include "store/store_suite.h"
#include "store/store_test_util.h"
#include "store/testing_linearizability.h"

namespace knarr::store {
namespace {

using Kind = RegisterCall::Kind;
using Value = RegisterCall::Value;

bool Check(std::vector<RegisterCall> calls) {
  RegisterHistory history;
  for (RegisterCall& call : calls) history.Add(std::move(call));
  return history.Linearizable();
}

// The checker itself: what it must let pass, and what it must find.
TEST(Linearizability, IsFoundOut) {
  const auto read = [](Value value, int64_t called, int64_t returned) {
    return RegisterCall{Kind::kRead, std::move(value), {}, called, returned};
  };
  const auto write = [](Value value, int64_t called, int64_t returned) {
    return RegisterCall{Kind::kWrite, std::move(value), {}, called, returned};
  };
  constexpr int64_t kNever = RegisterCall::kNever;
  EXPECT_TRUE(Check({write("a", 1, 2), read("a", 3, 4)}));
  EXPECT_FALSE(Check({write("a", 1, 2), read({}, 3, 4)}));                        // stale
  EXPECT_TRUE(Check({write("a", 1, 4), read({}, 2, 3)}));                         // at once
  EXPECT_FALSE(Check({write("a", 1, 6), read("a", 2, 3), read({}, 4, 5)}));       // back and forth
  EXPECT_TRUE(Check({write("a", 1, kNever), read({}, 2, 3), read("a", 4, 5)}));   // late
  EXPECT_TRUE(Check({write("a", 1, kNever), read({}, 2, 3)}));                    // never
  EXPECT_FALSE(Check({write("a", 1, kNever), read("a", 2, 3), read({}, 4, 5)}));  // and gone again
  EXPECT_FALSE(Check({write("a", 1, 2), write("b", 3, 4), read("a", 5, 6)}));     // lost
  const RegisterCall won{Kind::kSwap, "b", "a", 3, 6};
  EXPECT_TRUE(Check({write("a", 1, 2), won, read("b", 7, 8)}));
  EXPECT_FALSE(Check({write("a", 1, 2), won, {Kind::kSwap, "c", "a", 4, 5}}));  // both won
  EXPECT_TRUE(Check({write("a", 1, 2), won, {Kind::kFailedSwap, "c", "a", 4, 5}}));
  EXPECT_FALSE(Check({write("a", 1, 2), {Kind::kFailedSwap, "c", "a", 4, 5}}));  // nothing stood in its way
}

TEST_P(StoreTest, IsLinearizableForEachKey) {
  Run([](rt::Runtime& runtime, Store& store) {
    std::map<std::string, RegisterHistory> histories;
    int64_t clock = 0;
    int next = 0;
    const auto one = [&] {
      const std::string key = "k" + std::to_string(runtime.Random() % 4);
      RegisterCall call{.called = ++clock};
      if (runtime.Random() % 2 == 0) {
        MUST(store.CatchUp(runtime));
        const auto found = store.Latest()->Get(key);
        if (found) call.value = *found->value;
        call.returned = ++clock;
        histories[key].Add(std::move(call));
        return;
      }
      const auto present = store.Newest(key);
      const bool swaps = runtime.Random() % 2 == 0;
      call.kind = swaps ? Kind::kSwap : Kind::kWrite;
      std::vector<Compare> compares;
      if (swaps) compares.push_back({key, present ? present->mod_revision : 0});
      if (swaps && present) call.expected = *present->value;
      if (!present || runtime.Random() % 4 != 0) call.value = "v" + std::to_string(next++);
      const auto done = store.Txn(std::move(compares), {call.value ? PutOp(key, *call.value) : DeleteOp(key)});
      call.returned = ++clock;
      ASSERT_TRUE(done.ok() || done.Failed(Reason::kConflict));
      if (!done.ok()) call.kind = Kind::kFailedSwap;
      histories[key].Add(std::move(call));
    };
    rt::TaskGroup group(runtime, "clients");
    for (int i = 0; i < 6; ++i) {
      group.Spawn("client", [&] {
        for (int n = 0; n < 50; ++n) {
          one();
          if (runtime.Random() % 3 == 0) runtime.Yield();
        }
      });
    }
    group.Join();
    for (auto& [key, history] : histories) EXPECT_TRUE(history.Linearizable()) << key;
  });
}

}  // namespace
}  // namespace knarr::store
