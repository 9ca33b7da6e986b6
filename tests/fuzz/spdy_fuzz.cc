// Bytes after a SPDY upgrade, read as a server (even first byte) or as a client would; every stream is echoed.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/check.h"
#include "net/spdy.h"
#include "rt/sim.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr;  // a fuzz target is a program of its own
  if (size == 0) return 0;
  const auto side = data[0] % 2 == 1 ? net::SpdySide::kClient : net::SpdySide::kServer;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto runtime = rt::SimRuntime::Create({});
  runtime->Run([&] {
    constexpr size_t kStreamsMax = 16;
    auto ends = net::MemoryPipe(*runtime, 1 << 20);
    auto session =
        net::SpdySession::Create(*runtime, std::move(ends.first), side,
                                 {.streams_max = kStreamsMax, .buffer_max = 4096, .linger = std::chrono::seconds(1)});
    rt::TaskGroup echoes(*runtime, "echoes");
    echoes.Spawn("drain", [&] {
      char part[4096];
      for (;;) {
        const auto count = ends.second->Read(part, sizeof part);
        if (!count.ok() || *count == 0) return;
      }
    });
    if (side == net::SpdySide::kClient) (void)session->Open({});
    (void)ends.second->Write(bytes);
    (void)ends.second->CloseWrite();
    for (;;) {
      auto stream = session->Accept();
      if (!stream.ok()) break;
      CHECK(echoes.size() <= kStreamsMax + 1);
      echoes.Spawn("echo", [stream = *stream] {
        char part[512];
        for (;;) {
          const auto count = stream->Read(part, sizeof part);
          if (!count.ok() || *count == 0 || !stream->Write({part, *count}).ok()) break;
        }
        (void)stream->CloseWrite();
        stream->Close();
      });
    }
    session->Close();
    echoes.StopAndJoin();
  });
  return 0;
}
