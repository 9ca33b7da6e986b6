#include <array>
#include <optional>

#include "apiserver/command_channels.h"
#include "apiserver/spdy_upgrade.h"
#include "base/strings.h"
#include "doc/json.h"
#include "rt/sync.h"

// One stream for each of stdin, stdout, stderr, the outcome and (from v3 on, of a terminal) its sizes; the client opens
// them all, in any order, and says with the header streamType which is which.

namespace knarr::apiserver {
namespace {

constexpr std::string_view kV4 = "v4.channel.k8s.io";
constexpr std::array<std::string_view, 4> kProtocols = {kV4, "v3.channel.k8s.io", "v2.channel.k8s.io",
                                                        "channel.k8s.io"};
/// How long the client may take to open its streams.
constexpr Duration kOpenLimit = 30s;
constexpr size_t kPart = 16 << 10;
constexpr size_t kSizeMax = 4 << 10;

enum Kind : size_t { kStdin, kStdout, kStderr, kError, kResize, kKinds };
constexpr std::array<std::string_view, kKinds> kNames = {"stdin", "stdout", "stderr", "error", "resize"};

class SpdyChannels : public CommandChannels {
 public:
  SpdyChannels(rt::Runtime& runtime, SpdyUpgrade upgrade)
      : runtime_(runtime), session_(std::move(upgrade.session)), protocol_(std::move(upgrade.protocol)) {}

  /// Waits for the streams that were asked for.
  Ok Begin(const CommandStreams& wanted) {
    const bool resizes = wanted.tty && protocol_ != "v2.channel.k8s.io" && protocol_ != "channel.k8s.io";
    const size_t count = 1U + wanted.stdin_open + wanted.stdout_open + wanted.stderr_open + resizes;
    const rt::CancelScope scope(runtime_, kOpenLimit);
    for (size_t open = 0; open < count;) {
      auto stream = session_->Accept();
      if (stream.Failed(Reason::kTimeout)) return Timeout("timed out waiting for client to create streams");
      const std::shared_ptr<net::SpdyStream> opened = TRY(std::move(stream));
      const auto at = std::ranges::find(kNames, opened->headers().Get("streamType"));
      if (at == kNames.end() || streams_[static_cast<size_t>(at - kNames.begin())] != nullptr) {
        opened->Close();
        return BadRequest("an unexpected stream was opened");
      }
      streams_[static_cast<size_t>(at - kNames.begin())] = opened;
      ++open;
    }
    return {};
  }

  Ok WriteOutput(int fd, std::string_view data) override {
    const auto& stream = streams_[fd == 2 ? kStderr : kStdout];
    return stream != nullptr ? stream->Write(data) : Ok();
  }

  Ok WriteOutcome(const Result<int>& exit) override {
    for (const Kind kind : {kStdout, kStderr}) {
      if (streams_[kind] != nullptr) TRY(streams_[kind]->CloseWrite());
    }
    if (streams_[kError] == nullptr) return {};
    const std::string text = protocol_ == kV4 ? OutcomeJson(exit) : OutcomeText(exit);
    if (!text.empty()) TRY(streams_[kError]->Write(text));
    return streams_[kError]->CloseWrite();
  }

  Ok ReadInput(const CommandInput& sink) override {
    Ok failed;
    rt::TaskGroup readers(runtime_, "spdy input");
    const auto spawn = [&](Kind kind, Ok (SpdyChannels::*read)(net::SpdyStream&, const CommandInput&)) {
      if (streams_[kind] == nullptr) return;
      readers.Spawn(kNames[kind], [&, kind, read] {
        const Ok ended = (this->*read)(*streams_[kind], sink);
        if (!ended.ok() && failed.ok()) failed = ended;
      });
    };
    spawn(kStdin, &SpdyChannels::ReadStdin);
    spawn(kResize, &SpdyChannels::ReadSizes);
    const Ok closed = session_->WaitClosed();
    readers.StopAndJoin();
    return closed.ok() ? Ok() : failed.ok() ? closed : failed;
  }

  void Close() override { session_->Close(); }

 private:
  Ok ReadStdin(net::SpdyStream& stream, const CommandInput& sink) {
    std::string part;
    for (;;) {
      part.resize(kPart);
      const Result<size_t> count = stream.Read(part.data(), part.size());
      if (count.Failed(Reason::kCancelled)) return count.status();
      // A connection that has ended is no end of the input: the client is gone.
      if (session_->closed()) return {};
      if (!count.ok() || *count == 0) return sink.end_of_input();
      TRY(sink.standard_input(std::string_view(part).substr(0, *count)));
    }
  }

  // The sizes are JSON objects one behind the other.
  Ok ReadSizes(net::SpdyStream& stream, const CommandInput& sink) {
    std::string text;
    for (;;) {
      std::array<char, 256> part;
      const size_t count = TRY(stream.Read(part.data(), part.size()));
      if (count == 0 || text.size() > kSizeMax) return {};
      text.append(part.data(), count);
      for (size_t end = text.find('}'); end != std::string::npos; end = text.find('}')) {
        const Result<doc::Document> parsed = doc::ParseJson(std::string_view(text).substr(0, end + 1));
        text.erase(0, end + 1);
        if (!parsed.ok()) return {};  // sizes that can't be read change nothing
        const TerminalSize size = ReadTerminalSize(parsed->root);
        TRY(sink.resize(size.columns, size.rows));
      }
    }
  }

  rt::Runtime& runtime_;
  std::unique_ptr<net::SpdySession> session_;
  const std::string protocol_;
  std::array<std::shared_ptr<net::SpdyStream>, kKinds> streams_;
};

}  // namespace

Result<std::unique_ptr<CommandChannels>> OpenSpdyChannels(Call& call, const CommandStreams& streams) {
  SpdyUpgrade upgrade = TRY(AcceptSpdy(call, kProtocols));
  if (upgrade.session == nullptr) return std::unique_ptr<CommandChannels>();
  auto channels = std::make_unique<SpdyChannels>(call.context.runtime, std::move(upgrade));
  const Ok begun = channels->Begin(streams);
  if (!begun.ok()) {
    (void)channels->WriteOutcome(begun.status());  // where there is a stream to say it on
    channels->Close();
    return std::unique_ptr<CommandChannels>();
  }
  return std::unique_ptr<CommandChannels>(std::move(channels));
}

}  // namespace knarr::apiserver
