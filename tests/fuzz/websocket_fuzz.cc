// Bytes after a WebSocket upgrade, read as a server (even first byte) or as a client would.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/unicode.h"
#include "net/websocket.h"
#include "rt/sim.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr;  // a fuzz target is a program of its own
  if (size == 0) return 0;
  bool client = data[0] % 2 == 1;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto runtime = rt::SimRuntime::Create({});
  runtime->Run([&] {
    constexpr size_t kMessageMax = 4096;
    auto ends = net::MemoryPipe(*runtime, 1 << 20);
    auto socket = net::MakeWebSocket(*runtime, std::move(ends.first), client, "", kMessageMax);
    (void)ends.second->Write(bytes);
    (void)ends.second->CloseWrite();
    while (true) {
      auto message = socket->Read();
      if (!message.ok()) break;
      CHECK(message->data.size() <= kMessageMax);
      CHECK(message->binary || IsValidUtf8(message->data));
      if (!socket->Write(message->data, message->binary).ok()) break;
    }
    socket->Close();
  });
  return 0;
}
