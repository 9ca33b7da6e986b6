// What a hostile server may answer: to HTTP/2 requests (odd first byte; a SETTINGS frame is put in front) or to one of
// HTTP/1.1.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "net/http1_client.h"
#include "net/http2_client.h"
#include "rt/sim.h"

namespace {

using namespace knarr;  // a fuzz target is a program of its own

net::ClientRequest MakeRequest() {
  net::ClientRequest request;
  request.method = "POST";
  request.url.scheme = "https";
  request.url.host = "h";
  request.url.path = "/x";
  request.body = "body";
  return request;
}

void Http1(rt::Runtime&, std::unique_ptr<net::Stream> stream) {
  auto connection = std::make_unique<net::Http1Client>(std::move(stream));
  auto head = net::Exchange(*connection, MakeRequest());
  if (!head.ok() || head->code == 101) return;
  auto response = net::MakeHttp1Response(std::move(connection), std::move(*head), [](auto) {});
  (void)response->ReadAll(1 << 20);
}

void Http2(rt::Runtime& runtime, std::unique_ptr<net::Stream> stream) {
  auto client = std::make_shared<net::Http2Client>(runtime, std::move(stream), 90s);
  rt::TaskGroup fibers(runtime, "client");
  fibers.Spawn("read", [client] { client->ReadLoop({}); });
  fibers.Spawn("write", [client] { client->WriteLoop(); });
  for (int i = 0; i < 3; ++i) {
    bool refused = false;
    auto response = client->Send(MakeRequest(), refused);
    if (response.ok()) (void)(*response)->ReadAll(1 << 20);
  }
  fibers.StopAndJoin();
  CHECK(client->stream_count() == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  bool http2 = data[0] % 2 == 1;
  std::string bytes;
  if (http2) bytes = std::string_view("\0\0\0\x04\0\0\0\0\0", 9);
  bytes.append(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto runtime = rt::SimRuntime::Create({});
  runtime->Run([&] {
    auto ends = net::MemoryPipe(*runtime, 1 << 20);
    rt::TaskGroup group(*runtime, "server");
    group.Spawn("write", [&] {
      (void)runtime->Sleep(1ms);
      (void)ends.second->Write(bytes);
      (void)runtime->Sleep(1s);
      (void)ends.second->CloseWrite();
    });
    http2 ? Http2(*runtime, std::move(ends.first)) : Http1(*runtime, std::move(ends.first));
    group.Join();
  });
  return 0;
}
