#pragma once

// What holds for every engine (store_test.cc). An engine joins by a line in a test file of its own:
//   INSTANTIATE_TEST_SUITE_P(Etcd, StoreTest, testing::Values(EtcdTestEngine()), TestEngineName);

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "rt/runtime.h"
#include "store/store.h"

namespace knarr::store {

/// An engine as the suite sees it.
struct TestEngine {
  std::string name;
  /// Runs `body` on a fiber with a new, empty store, which it closes afterwards.
  std::function<void(const std::function<void(rt::Runtime&, Store&)>& body)> run;
  /// Writers who wait share a flush, which stats() counts.
  bool groups_commits = true;
  /// Newest has what is under way, so that a comparison made with it holds: nobody else writes.
  bool exclusive = true;
};

inline std::string TestEngineName(const testing::TestParamInfo<TestEngine>& engine) { return engine.param.name; }
inline void PrintTo(const TestEngine& engine, std::ostream* out) { *out << engine.name; }

class StoreTest : public testing::TestWithParam<TestEngine> {
 protected:
  void Run(const std::function<void(rt::Runtime&, Store&)>& body) { GetParam().run(body); }
};

}  // namespace knarr::store
