// What a hostile server may answer to gRPC calls: whole HTTP/2 connections (odd first byte; a SETTINGS frame is put in
// front), or the bytes of a body and a message for people.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "net/grpc.h"
#include "rt/sim.h"

namespace {

using namespace knarr;  // a fuzz target is a program of its own

void Connection(std::string_view script) {
  std::string bytes("\0\0\0\x04\0\0\0\0\0", 9);
  bytes.append(script);
  auto runtime = rt::SimRuntime::Create({});
  runtime->Run([&] {
    auto ends = net::MemoryPipe(*runtime, 1 << 20);
    rt::TaskGroup group(*runtime, "grpc");
    group.Spawn("server", [&] {
      (void)runtime->Sleep(1ms);
      (void)ends.second->Write(bytes);
      (void)runtime->Sleep(1s);
      (void)ends.second->CloseWrite();
    });
    net::GrpcOptions options;
    options.endpoint = {"h", 1, {}};
    options.message_max = 1 << 20;
    auto connection = net::GrpcConnection::Over(*runtime, group, options, std::move(ends.first));
    bool sent = false;
    (void)connection->Unary({"/a/b", {}, 2s}, "question", sent);
    auto call = connection->Open({"/a/c", {}, {}});
    if (call.ok()) {
      (void)(*call)->Send("question");
      for (auto message = (*call)->Receive(); message.ok() && message->has_value(); message = (*call)->Receive()) {
        CHECK((*message)->size() <= options.message_max);
      }
      call->reset();
    }
    connection.reset();
    group.StopAndJoin();
  });
}

void Body(std::string_view bytes) {
  size_t at = 0;
  while (true) {
    const size_t before = at;
    const auto message = net::NextGrpcMessage(bytes, at, 1 << 10);
    if (!message.ok() || !message->has_value()) break;
    CHECK(at > before && at <= bytes.size() && (*message)->size() <= 1 << 10);
  }
  (void)net::DecodeGrpcMessage(bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  data[0] % 2 == 1 ? Connection(rest) : Body(rest);
  return 0;
}
