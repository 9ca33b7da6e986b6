#include <fmt/format.h>

#include <algorithm>

#include "apiserver/errors.h"
#include "apiserver/http_face.h"
#include "apiserver/remote_call.h"
#include "apiserver/request_info.h"
#include "apiserver/streams.h"
#include "base/strings.h"
#include "doc/json.h"
#include "net/websocket.h"

// Exec over WebSocket: each message begins with the number of its channel (a byte, or a digit in the base64 forms):
// 0 stdin, 1 stdout, 2 stderr, 3 the outcome, 4 the terminal's size. v5 adds 255: the peer closes a channel.

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

/// The two directions of one exec.
class ExecSession {
 public:
  ExecSession(Call& call, rt::Runtime& there, std::unique_ptr<net::WebSocket> socket)
      : here_(call.context.runtime),
        there_(there),
        socket_(std::move(socket)),
        protocol_(ProtocolOf(socket_->protocol())) {}

  /// `stream` may be the node's refusal: the client learns it where it learns how commands end.
  void Run(Result<std::unique_ptr<client::ExecStream>> stream, const client::ExecOptions& options) {
    if (!stream.ok()) {
      (void)WriteOutcome(stream.status());
      socket_->Close();
      return;
    }
    stream_ = std::move(*stream);
    // Tells the client that the streams are there, as upstream does.
    (void)Write(options.stdout_open ? kStdout : options.stderr_open ? kStderr : kError, "");
    rt::TaskGroup input(here_, "exec-input");
    input.Spawn("input", [this] { ReadInput(); });
    const Result<int> exit = WriteOutput();
    if (!client_gone_) (void)WriteOutcome(exit);
    input.StopAndJoin();  // Close reads, too: one reader at a time
    if (!client_gone_) socket_->Close();
    rt::Shield shield(here_);
    rt::CallOn(here_, there_, [&] {
      stream_->Close();
      stream_.reset();
    });
  }

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

  Result<int> WriteOutput() {
    for (;;) {
      client::ExecStream::Chunk chunk = TRY(CallOnCancellable(here_, there_, [&] { return stream_->Read(); }));
      if (chunk.data.empty()) break;
      TRY(Write(chunk.fd == 2 ? kStderr : kStdout, chunk.data));
    }
    return CallOnCancellable(here_, there_, [&] { return stream_->Wait(); });
  }

  Ok WriteOutcome(const Result<int>& exit) {
    if (exit.ok() && *exit == 0) {
      return protocol_.status_object ? Write(kError, R"({"metadata":{},"status":"Success"})") : Ok();
    }
    const std::string message = exit.ok()
                                    ? fmt::format("command terminated with non-zero exit code: exit status {}", *exit)
                                    : exit.status().message();
    if (!protocol_.status_object) return Write(kError, message);
    std::string json = R"({"metadata":{},"status":"Failure","message":)";
    doc::WriteJsonString(message, json);
    if (exit.ok()) {
      json += fmt::format(
          R"(,"reason":"NonZeroExitCode","details":{{"causes":[{{"reason":"ExitCode","message":"{}"}}]}})", *exit);
    } else {
      json += R"(,"reason":"InternalError","code":500)";
    }
    return Write(kError, json + "}");
  }

  // Until the client closes, or the exec is over and this fiber is stopped.
  void ReadInput() {
    for (;;) {
      const Result<net::WebSocketMessage> message = socket_->Read();
      if (!message.ok()) {
        if (message.Failed(Reason::kCancelled)) return;
        client_gone_ = true;
        (void)CallOnCancellable(here_, there_, [&]() -> Ok {
          stream_->Close();
          return {};
        });
        return;
      }
      if (!TakeMessage(message->data).ok()) return;
    }
  }

  Ok TakeMessage(std::string_view data) {
    if (data.empty()) return {};
    unsigned char channel = static_cast<unsigned char>(data.front());
    std::string text(data.substr(1));
    if (protocol_.base64) {
      channel = static_cast<unsigned char>(channel - '0');
      text = TRY(Base64Decode(text));
    }
    if (channel == kStdin && !text.empty()) {
      return CallOnCancellable(here_, there_, [&] { return stream_->WriteStdin(text); });
    }
    if (channel == kClose && !text.empty() && static_cast<unsigned char>(text.front()) == kStdin) {
      return CallOnCancellable(here_, there_, [&]() -> Ok {
        stream_->CloseStdin();
        return {};
      });
    }
    if (channel == kResize) return Resize(text);
    return {};
  }

  Ok Resize(std::string_view text) {
    const Result<doc::Document> size = doc::ParseJson(text);
    if (!size.ok()) return {};  // a size that can't be read changes nothing
    const auto clamp = [&](std::string_view name) {
      return static_cast<uint16_t>(std::clamp<int64_t>(size->root.At(name).AsInt(), 0, UINT16_MAX));
    };
    const uint16_t columns = clamp("Width");
    const uint16_t rows = clamp("Height");
    if (columns == 0 || rows == 0) return {};
    return CallOnCancellable(here_, there_, [&] { return stream_->Resize(columns, rows); });
  }

  rt::Runtime& here_;
  rt::Runtime& there_;
  std::unique_ptr<client::ExecStream> stream_;
  std::unique_ptr<net::WebSocket> socket_;
  const Protocol& protocol_;
  bool client_gone_ = false;
};

Result<client::ExecOptions> ReadExecOptions(const Call& call, std::string container) {
  const net::Url& url = call.request.url;
  client::ExecOptions options;
  options.container = std::move(container);
  for (const auto& [name, value] : url.query) {
    if (name == "command") options.command.push_back(value);
  }
  options.stdin_open = QueryBool(url, "stdin");
  options.stdout_open = QueryBool(url, "stdout");
  options.tty = QueryBool(url, "tty");
  options.stderr_open = QueryBool(url, "stderr") && !options.tty;
  if (options.command.empty()) return BadRequest("you must specify at least one command for the container");
  if (!options.stdin_open && !options.stdout_open && !options.stderr_open) {
    return BadRequest("you must specify at least 1 of stdin, stdout, stderr");
  }
  return options;
}

Ok CheckUpgrade(const net::Request& request) {
  if (net::IsWebSocketUpgrade(request)) return {};
  const std::string upgrade = ToLower(request.headers.Get("Upgrade"));
  if (upgrade.starts_with("spdy/")) {
    return BadRequest(
        "this server streams over WebSocket, not SPDY: use a kubectl of version 1.31 or newer, or "
        "knarr kubectl");
  }
  return BadRequest("Upgrade request required");
}

}  // namespace

Ok ServeExec(Call& call, Core& core) {
  // What is wrong with the request comes first: a client whose WebSocket is refused tries SPDY, and shows that answer.
  const PodTarget target = TRY(FindPodTarget(call, core));
  const client::ExecOptions options = TRY(ReadExecOptions(call, target.container));
  const std::string_view phase = target.pod->tree().Get("status", "phase").AsString();
  if (phase == "Succeeded" || phase == "Failed") {
    return BadRequest(fmt::format("cannot exec into a container in a completed pod; current phase is {}", phase));
  }
  if (target.node.empty()) return BadRequest(fmt::format("pod {} does not have a host assigned", target.pod->name()));
  rt::Runtime& here = call.context.runtime;
  client::NodeAccess* node = core.FindNode(here, target.node);
  if (node == nullptr) {
    return Internal(fmt::format("the node {} of pod {} is not connected", target.node, target.pod->name()));
  }
  TRY(CheckUpgrade(call.request));
  net::WebSocketOptions socket_options;
  for (const Protocol& protocol : kProtocols) {
    if (!protocol.name.empty()) socket_options.protocols.emplace_back(protocol.name);
  }
  auto socket = TRY(net::AcceptWebSocket(here, call.request, call.response, socket_options));
  StreamScope scope(call.context.local, here);
  auto stream = CallOnCancellable(here, node->runtime(),
                                  [&] { return node->Exec(call.attributes.ns, call.attributes.name, options); });
  ExecSession(call, node->runtime(), std::move(socket)).Run(std::move(stream), options);
  return {};
}

}  // namespace knarr::apiserver
