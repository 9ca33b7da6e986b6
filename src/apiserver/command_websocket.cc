#include "apiserver/command_channels.h"
#include "base/strings.h"
#include "doc/json.h"
#include "net/websocket.h"

// Each message begins with the number of its channel (a byte, or a digit in the base64 forms): 0 stdin, 1 stdout,
// 2 stderr, 3 the outcome, 4 the terminal's size. v5 adds 255: the peer closes a channel.

namespace knarr::apiserver {
namespace {

enum Channel : unsigned char { kStdin = 0, kStdout = 1, kStderr = 2, kError = 3, kResize = 4, kClose = 255 };

struct Protocol {
  std::string_view name;
  bool base64;
  bool status_object;  // v4 on: the outcome is a Status object
};
constexpr Protocol kProtocols[] = {
    {"v5.channel.k8s.io", false, true},       {"v4.channel.k8s.io", false, true},
    {"v4.base64.channel.k8s.io", true, true}, {"channel.k8s.io", false, false},
    {"base64.channel.k8s.io", true, false},   {"", false, false},
};

const Protocol& ProtocolOf(std::string_view name) {
  for (const Protocol& protocol : kProtocols) {
    if (protocol.name == name) return protocol;
  }
  return kProtocols[std::size(kProtocols) - 1];
}

class WebSocketChannels : public CommandChannels {
 public:
  explicit WebSocketChannels(std::unique_ptr<net::WebSocket> socket)
      : socket_(std::move(socket)), protocol_(ProtocolOf(socket_->protocol())) {}

  /// Tells the client that the streams are there, as upstream does.
  Ok Begin(const CommandStreams& streams) {
    return Write(streams.stdout_open ? kStdout : streams.stderr_open ? kStderr : kError, "");
  }

  Ok WriteOutput(int fd, std::string_view data) override { return Write(fd == 2 ? kStderr : kStdout, data); }

  Ok WriteOutcome(const Result<int>& exit) override {
    if (protocol_.status_object) return Write(kError, OutcomeJson(exit));
    const std::string text = OutcomeText(exit);
    return text.empty() ? Ok() : Write(kError, text);
  }

  Ok ReadInput(const CommandInput& sink) override {
    for (;;) {
      const Result<net::WebSocketMessage> message = socket_->Read();
      if (message.Failed(Reason::kCancelled)) return message.status();
      if (!message.ok()) return {};
      TRY(TakeMessage(message->data, sink));
    }
  }

  void Close() override { socket_->Close(); }

 private:
  Ok Write(Channel channel, std::string_view data) {
    std::string message;
    if (protocol_.base64) {
      message += static_cast<char>('0' + channel);
      message += Base64Encode(data);
    } else {
      message += static_cast<char>(channel);
      message += data;
    }
    return socket_->Write(message, !protocol_.base64);
  }

  Ok TakeMessage(std::string_view data, const CommandInput& sink) const {
    if (data.empty()) return {};
    unsigned char channel = static_cast<unsigned char>(data.front());
    std::string text(data.substr(1));
    if (protocol_.base64) {
      channel = static_cast<unsigned char>(channel - '0');
      text = TRY(Base64Decode(text));
    }
    if (channel == kStdin && !text.empty()) return sink.standard_input(text);
    if (channel == kClose && !text.empty() && static_cast<unsigned char>(text.front()) == kStdin) {
      return sink.end_of_input();
    }
    if (channel != kResize) return {};
    const Result<doc::Document> parsed = doc::ParseJson(text);
    if (!parsed.ok()) return {};  // a size that can't be read changes nothing
    const TerminalSize size = ReadTerminalSize(parsed->root);
    return sink.resize(size.columns, size.rows);
  }

  std::unique_ptr<net::WebSocket> socket_;
  const Protocol& protocol_;
};

}  // namespace

Result<std::unique_ptr<CommandChannels>> OpenWebSocketChannels(Call& call, const CommandStreams& streams) {
  net::WebSocketOptions options;
  for (const Protocol& protocol : kProtocols) {
    if (!protocol.name.empty()) options.protocols.emplace_back(protocol.name);
  }
  auto channels = std::make_unique<WebSocketChannels>(
      TRY(net::AcceptWebSocket(call.context.runtime, call.request, call.response, options)));
  (void)channels->Begin(streams);  // a client that has gone is seen by the first read
  return std::unique_ptr<CommandChannels>(std::move(channels));
}

}  // namespace knarr::apiserver
