#pragma once

// Runs one test body in the real and in the simulated runtime. For rt's own tests.

#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "rt/real.h"
#include "rt/sim.h"

namespace knarr::rt {

enum class World : uint8_t { kReal, kSim };

/// A parameterised test: In([&](Runtime& runtime) { … }).
class WorldTest : public testing::TestWithParam<World> {
 protected:
  void In(const std::function<void(Runtime& runtime)>& body) {
    if (GetParam() == World::kReal) {
      const auto runtime = RealRuntime::Create({}, BlockingPool::Create(4));
      runtime->Run([&] { body(*runtime); });
      return;
    }
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      const auto runtime = SimRuntime::Create({.seed = seed});
      runtime->Run([&] { body(*runtime); });
    }
  }
};

#define INSTANTIATE_WORLDS(suite)                                                     \
  INSTANTIATE_TEST_SUITE_P(Worlds, suite, testing::Values(World::kReal, World::kSim), \
                           [](const auto& world) { return world.param == World::kReal ? "Real" : "Sim"; })

}  // namespace knarr::rt
