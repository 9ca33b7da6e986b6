// Bytes a client might send, to a whole server on a pipe in simulated time: HTTP/2 (the first byte is odd, the preface
// and a SETTINGS frame are put in front) or whatever the bytes are. Nothing may crash or hang.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "net/http.h"
#include "net/websocket.h"
#include "rt/sim.h"

namespace {

using namespace knarr;  // a fuzz target is a program of its own

void Handle(rt::Runtime& runtime, net::Request& request, net::Response& response) {
  if (net::IsWebSocketUpgrade(request)) {
    auto socket = net::AcceptWebSocket(runtime, request, response, {{"a"}, 4096});
    while (socket.ok()) {
      auto message = (*socket)->Read();
      if (!message.ok() || !(*socket)->Write(message->data, message->binary).ok()) break;
    }
    if (socket.ok()) return;
  }
  auto body = request.read_body(1 << 20);
  if (request.url.Query("stream") == "1") {
    if (!response.Start(200, {}).ok()) return;
    for (int i = 0; i < 10 && response.Write(std::string(10'000, 'x')).ok(); ++i) (void)runtime.Sleep(1ms);
    (void)response.Finish();
  } else {
    (void)response.Send(200, {}, body.ok() ? *body : body.status().message());
  }
}

void Run(std::string_view bytes) {
  auto runtime = rt::SimRuntime::Create({});
  runtime->Run([&] {
    auto ends = net::MemoryPipe(*runtime);
    rt::TaskGroup group(*runtime, "fuzz");
    group.Spawn("server", [&] {
      net::ServeConnection(*runtime, std::move(ends.first), {},
                           [&](net::Request& q, net::Response& p) { Handle(*runtime, q, p); });
    });
    group.Spawn("read", [&] {
      char part[4096];
      while (true) {
        auto count = ends.second->Read(part, sizeof part);
        if (!count.ok() || *count == 0) return;
      }
    });
    (void)ends.second->Write(bytes);
    (void)runtime->Sleep(10s);
    (void)ends.second->CloseWrite();
    group.Join();
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string bytes;
  if (data[0] % 2 == 1) {
    bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    bytes += std::string_view("\0\0\0\x04\0\0\0\0\0", 9);
  }
  bytes.append(reinterpret_cast<const char*>(data) + 1, size - 1);
  Run(bytes);
  return 0;
}
