#include "rt/background.h"

#include <gtest/gtest.h>
#include <sched.h>

#include "rt/real.h"
#include "rt/sim.h"

namespace knarr::rt {
namespace {

TEST(Background, AThreadOfThePoolStepsBackAndIsAsBeforeAfterwards) {
  const auto runtime = RealRuntime::Create({}, BlockingPool::Create(1));
  runtime->Run([&] {
    for (int i = 0; i < 2; i++) {
      runtime->Blocking([&] {
        const int before = sched_getscheduler(0);
        {
          const Background background(*runtime);
          EXPECT_EQ(sched_getscheduler(0), before == SCHED_OTHER ? SCHED_BATCH : before);
        }
        EXPECT_EQ(sched_getscheduler(0), before);
      });
    }
  });
}

TEST(Background, TheRuntimesOwnThreadStaysAsItIs) {
  const auto runtime = SimRuntime::Create({.seed = 1});
  runtime->Run([&] {
    const int before = sched_getscheduler(0);
    runtime->Blocking([&] {
      const Background background(*runtime);
      EXPECT_EQ(sched_getscheduler(0), before);
    });
  });
}

}  // namespace
}  // namespace knarr::rt
