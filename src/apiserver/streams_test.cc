#include "apiserver/streams.h"

#include "apiserver/test_server.h"

namespace knarr::apiserver {
namespace {

// A client whose watch is ended watches again at once, on the connection it still has: it must not hold up the stop.
TEST(StreamScopeTest, EndsWithTheServerWheneverItBegan) {
  InSim([](rt::Runtime& runtime) {
    const auto store = store::OpenMemory(runtime);
    {
      Local local(runtime, *store);
      {
        const StreamScope early(local, runtime);
        EXPECT_TRUE(runtime.CheckCancelled().ok());
        local.StopStreams();
        EXPECT_TRUE(runtime.CheckCancelled().Failed(Reason::kCancelled));
      }
      EXPECT_TRUE(runtime.CheckCancelled().ok());
      const StreamScope late(local, runtime);
      EXPECT_TRUE(runtime.CheckCancelled().Failed(Reason::kCancelled));
    }
    store->Close();
  });
}

}  // namespace
}  // namespace knarr::apiserver
