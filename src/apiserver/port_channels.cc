#include <array>
#include <map>
#include <memory>

#include "apiserver/port_forwarding.h"
#include "base/strings.h"
#include "rt/sync.h"

namespace knarr::apiserver {
namespace {

constexpr size_t kPart = 16 << 10;

class PortChannels {
 public:
  PortChannels(rt::Runtime& runtime, net::WebSocket& socket, const std::vector<uint16_t>& ports, std::string_view pod,
               const PortDialer& dialer)
      : runtime_(runtime),
        socket_(socket),
        base64_(socket.protocol().find("base64") != std::string::npos),
        ports_(ports),
        pod_(pod),
        dialer_(dialer),
        connected_(runtime),
        streams_(ports.size()) {}

  void Run() {
    for (size_t i = 0; i < ports_.size(); ++i) {
      const std::string number = {static_cast<char>(ports_[i] & 0xff), static_cast<char>(ports_[i] >> 8)};
      if (!Write(2 * i, number).ok() || !Write(2 * i + 1, number).ok()) return;
    }
    rt::TaskGroup connections(runtime_, "port channels");
    for (size_t i = 0; i < ports_.size(); ++i) connections.Spawn("connection", [this, i] { Connect(i); });
    rt::TaskGroup reader(runtime_, "port channels input");
    reader.Spawn("read", [&] {
      const Ok read = ReadInput();
      if (!read.Failed(Reason::kCancelled)) connections.Stop();  // the client has gone
    });
    connections.Join();
    reader.StopAndJoin();
    if (runtime_.CheckCancelled().ok()) socket_.Close();
  }

 private:
  struct Port {
    std::unique_ptr<net::Stream> stream;
    bool over = false;  // not connected, or not any more
  };

  Ok Write(size_t channel, std::string_view data) {
    if (!base64_) return socket_.Write(std::string(1, static_cast<char>(channel)).append(data));
    return socket_.Write(std::string(1, static_cast<char>('0' + channel)) + Base64Encode(data), false);
  }

  void Connect(size_t index) {
    Port& port = streams_[index];
    auto stream = dialer_(ports_[index]);
    if (stream.ok()) {
      port.stream = std::move(*stream);
      connected_.NotifyAll();
      (void)CopyOut(index, *port.stream);  // that a connection breaks is one of its ways to end
    } else {
      (void)Write(2 * index + 1, ForwardError(ports_[index], pod_, stream.status()));
    }
    port.over = true;
    connected_.NotifyAll();
  }

  Ok CopyOut(size_t index, net::Stream& stream) {
    const auto part = std::make_unique_for_overwrite<char[]>(kPart);
    for (;;) {
      const size_t count = TRY(stream.Read(part.get(), kPart));
      if (count == 0) return {};
      TRY(Write(2 * index, {part.get(), count}));
    }
  }

  Ok ReadInput() {
    for (;;) {
      const net::WebSocketMessage message = TRY(socket_.Read());
      if (message.data.empty()) continue;
      size_t channel = static_cast<unsigned char>(message.data.front());
      std::string data = message.data.substr(1);
      if (base64_) {
        channel -= '0';
        data = TRY(Base64Decode(data));
      }
      if (channel % 2 != 0 || channel / 2 >= streams_.size()) continue;
      Port& port = streams_[channel / 2];
      TRY(connected_.WaitUntil([&] { return port.stream != nullptr || port.over; }));
      // What a connection does not take any more is dropped.
      if (!port.over && port.stream->Write(data).Failed(Reason::kCancelled)) return Cancelled("the server is stopping");
    }
  }

  rt::Runtime& runtime_;
  net::WebSocket& socket_;
  const bool base64_;
  const std::vector<uint16_t>& ports_;
  const std::string pod_;
  const PortDialer& dialer_;
  rt::WaitQueue connected_;
  std::vector<Port> streams_;
};

}  // namespace

void ForwardOverChannels(rt::Runtime& runtime, net::WebSocket& socket, const std::vector<uint16_t>& ports,
                         std::string_view pod, const PortDialer& dialer) {
  PortChannels(runtime, socket, ports, pod, dialer).Run();
}

}  // namespace knarr::apiserver
