#include <fmt/format.h>

#include <algorithm>

#include "apiserver/command_channels.h"
#include "apiserver/errors.h"
#include "apiserver/http_face.h"
#include "apiserver/remote_call.h"
#include "apiserver/request_info.h"
#include "apiserver/streams.h"
#include "doc/json.h"
#include "net/spdy.h"
#include "net/websocket.h"

// Commands in containers, and attaching to what runs in them.

namespace knarr::apiserver {
namespace {

/// The two directions between a client and a command.
class CommandSession {
 public:
  /// `action` is what fails when it does: "executing command in".
  CommandSession(Call& call, rt::Runtime& there, std::unique_ptr<CommandChannels> channels, std::string_view action)
      : here_(call.context.runtime), there_(there), channels_(std::move(channels)), action_(action) {}

  /// `stream` may be the node's refusal: the client learns it where it learns how commands end.
  void Run(Result<std::unique_ptr<client::ExecStream>> stream) {
    if (!stream.ok()) {
      (void)channels_->WriteOutcome(Failure(stream.status()));
      channels_->Close();
      return;
    }
    stream_ = std::move(*stream);
    rt::TaskGroup input(here_, "exec-input");
    input.Spawn("input", [this] { ReadInput(); });
    const Result<int> exit = WriteOutput();
    if (!client_gone_) (void)channels_->WriteOutcome(exit.ok() ? exit : Result<int>(Failure(exit.status())));
    input.StopAndJoin();  // Close reads, too: one reader at a time
    if (!client_gone_) channels_->Close();
    rt::Shield shield(here_);
    rt::CallOn(here_, there_, [&] {
      stream_->Close();
      stream_.reset();
    });
  }

 private:
  /// As the kubelet words it: what it does not find it refuses before there is a connection.
  Status Failure(const Status& status) const {
    if (status.Is(Reason::kNotFound)) return InternalError("unable to upgrade connection: " + status.message());
    return InternalError(fmt::format("error {} container: {}", action_, status.message()));
  }

  Result<int> WriteOutput() {
    for (;;) {
      client::ExecStream::Chunk chunk = TRY(CallOnCancellable(here_, there_, [&] { return stream_->Read(); }));
      if (chunk.data.empty()) break;
      TRY(channels_->WriteOutput(chunk.fd, chunk.data));
    }
    return CallOnCancellable(here_, there_, [&] { return stream_->Wait(); });
  }

  // Until the client closes, or the command is over and this fiber is stopped.
  void ReadInput() {
    bool deaf = false;  // the command reads no more: what comes is dropped, as by a pipe that nobody reads
    CommandInput sink;
    sink.standard_input = [&](std::string_view data) -> Ok {
      if (deaf) return {};
      const Ok written = CallOnCancellable(here_, there_, [&] { return stream_->WriteStdin(data); });
      if (written.Failed(Reason::kCancelled)) return written;
      deaf = !written.ok();
      return {};
    };
    sink.end_of_input = [this] {
      return CallOnCancellable(here_, there_, [this]() -> Ok {
        stream_->CloseStdin();
        return {};
      });
    };
    sink.resize = [this](uint16_t columns, uint16_t rows) -> Ok {
      if (columns == 0 || rows == 0) return {};
      // Sizes of what has no terminal change nothing.
      (void)CallOnCancellable(here_, there_, [&] { return stream_->Resize(columns, rows); });
      return {};
    };
    const Ok read = channels_->ReadInput(sink);
    if (read.Failed(Reason::kCancelled)) return;
    client_gone_ = true;
    (void)CallOnCancellable(here_, there_, [this]() -> Ok {
      stream_->Close();
      return {};
    });
  }

  rt::Runtime& here_;
  rt::Runtime& there_;
  std::unique_ptr<client::ExecStream> stream_;
  std::unique_ptr<CommandChannels> channels_;
  const std::string_view action_;
  bool client_gone_ = false;
};

Ok CheckUpgrade(const net::Request& request) {
  if (net::IsWebSocketUpgrade(request) || net::IsSpdyUpgrade(request)) return {};
  return BadRequest("Upgrade request required");
}

Result<CommandStreams> ReadStreams(const net::Url& url) {
  CommandStreams out;
  out.stdin_open = QueryBool(url, "stdin");
  out.stdout_open = QueryBool(url, "stdout");
  out.tty = QueryBool(url, "tty");
  out.stderr_open = QueryBool(url, "stderr") && !out.tty;
  if (!out.stdin_open && !out.stdout_open && !out.stderr_open) {
    return BadRequest("you must specify at least 1 of stdin, stdout, stderr");
  }
  return out;
}

/// Agrees on a protocol with the client (its upgrade is checked), and runs what `start` makes on the node.
template <typename Start>
Ok ServeCommand(Call& call, client::NodeAccess& node, const CommandStreams& streams, std::string_view action,
                Start start) {
  rt::Runtime& here = call.context.runtime;
  std::unique_ptr<CommandChannels> channels;
  if (net::IsWebSocketUpgrade(call.request)) {
    channels = TRY(OpenWebSocketChannels(call, streams));
  } else {
    channels = TRY(OpenSpdyChannels(call, streams));
  }
  if (channels == nullptr) return {};
  StreamScope scope(call.context.local, here);
  auto stream = CallOnCancellable(here, node.runtime(), start);
  CommandSession(call, node.runtime(), std::move(channels), action).Run(std::move(stream));
  return {};
}

}  // namespace

std::string OutcomeText(const Result<int>& exit) {
  if (!exit.ok()) return exit.status().message();
  return *exit == 0 ? "" : fmt::format("command terminated with non-zero exit code: exit status {}", *exit);
}

std::string OutcomeJson(const Result<int>& exit) {
  const std::string message = OutcomeText(exit);
  if (exit.ok() && *exit == 0) return R"({"metadata":{},"status":"Success"})";
  std::string json = R"({"metadata":{},"status":"Failure","message":)";
  doc::WriteJsonString(message, json);
  if (exit.ok()) {
    json += fmt::format(
        R"(,"reason":"NonZeroExitCode","details":{{"causes":[{{"reason":"ExitCode","message":"{}"}}]}})", *exit);
  } else {
    json += R"(,"reason":"InternalError")";
    if (const auto& causes = exit.status().details().causes; !causes.empty()) {
      json += R"(,"details":{"causes":[{"message":)";
      doc::WriteJsonString(causes.front().message, json);
      json += "}]}";
    }
    json += R"(,"code":500)";
  }
  return json + "}";
}

TerminalSize ReadTerminalSize(const doc::Value& size) {
  const auto clamp = [&](std::string_view name) {
    return static_cast<uint16_t>(std::clamp<int64_t>(size.At(name).AsInt(), 0, UINT16_MAX));
  };
  return {clamp("Width"), clamp("Height")};
}

Ok ServeExec(Call& call, Core& core) {
  TRY(MayConnect(call, core));
  const PodTarget target = TRY(FindPodTarget(call, core));
  TRY(CheckUpgrade(call.request));
  const CommandStreams streams = TRY(ReadStreams(call.request.url));
  client::ExecOptions options{.container = target.container,
                              .stdin_open = streams.stdin_open,
                              .stdout_open = streams.stdout_open,
                              .stderr_open = streams.stderr_open,
                              .tty = streams.tty};
  for (const auto& [name, value] : call.request.url.query) {
    if (name == "command") options.command.push_back(value);
  }
  if (options.command.empty()) return BadRequest("you must specify at least one command for the container");
  const std::string_view phase = target.pod->tree().Get("status", "phase").AsString();
  if (phase == "Succeeded" || phase == "Failed") {
    return BadRequest(fmt::format("cannot exec into a container in a completed pod; current phase is {}", phase));
  }
  client::NodeAccess& node = TRY(FindPodNode(call, core, target)).get();
  return ServeCommand(call, node, streams, "executing command in",
                      [&] { return node.Exec(call.attributes.ns, call.attributes.name, options); });
}

Ok ServeAttach(Call& call, Core& core) {
  TRY(MayConnect(call, core));
  const PodTarget target = TRY(FindPodTarget(call, core));
  TRY(CheckUpgrade(call.request));
  const CommandStreams streams = TRY(ReadStreams(call.request.url));
  client::NodeAccess& node = TRY(FindPodNode(call, core, target)).get();
  const client::AttachOptions options{.container = target.container,
                                      .stdin_open = streams.stdin_open,
                                      .stdout_open = streams.stdout_open,
                                      .stderr_open = streams.stderr_open,
                                      .tty = streams.tty};
  return ServeCommand(call, node, streams, "attaching to",
                      [&] { return node.Attach(call.attributes.ns, call.attributes.name, options); });
}

}  // namespace knarr::apiserver
