#include "cri/streaming.h"

#include <array>
#include <optional>
#include <utility>

#include "client/http_pods.h"
#include "net/spdy_client.h"
#include "rt/sync.h"

namespace knarr::cri {
namespace {

constexpr const char* kProtocol = "v4.channel.k8s.io";
constexpr Duration kOpenTimeout = 30s;
constexpr size_t kChunksMax = 4;
constexpr size_t kChunk = 16 << 10;
constexpr size_t kOutcomeMax = 64 << 10;

using StreamPtr = std::shared_ptr<net::SpdyStream>;

class StreamSession : public runtime::ExecSession {
 public:
  StreamSession(rt::Runtime& runtime, std::unique_ptr<net::SpdySession> session)
      : runtime_(runtime),
        session_(std::move(session)),
        chunks_(runtime, kChunksMax),
        outcome_(runtime),
        fibers_(runtime, "cri streams") {}
  ~StreamSession() override {
    chunks_.Close();
    fibers_.StopAndJoin();
  }

  /// In the order that runtimes want them in: the outcome's stream first.
  Ok Open(const StreamsWanted& wanted) {
    error_ = TRY(OpenOne("error"));
    if (wanted.stdin_open) stdin_ = TRY(OpenOne("stdin"));
    if (wanted.stdout_open) Follow(1, TRY(OpenOne("stdout")));
    if (wanted.stderr_open) Follow(2, TRY(OpenOne("stderr")));
    if (wanted.tty) resize_ = TRY(OpenOne("resize"));
    if (following_ == 0) chunks_.Close();
    fibers_.Spawn("outcome", [this] { outcome_.Set(ReadOutcome()); });
    return {};
  }

  Result<Chunk> Read() override {
    auto chunk = chunks_.Pop();
    if (chunk.ok()) return chunk;
    TRY(runtime_.CheckCancelled());
    return Chunk{};  // the queue is closed: the streams have ended
  }
  Ok WriteStdin(std::string_view data) override {
    if (stdin_ == nullptr) return BadRequest("standard input is not open");
    const Ok written = stdin_->Write(data);
    // Who read it has ended; how, the outcome says.
    return written.Failed(Reason::kServiceUnavailable) ? Ok() : written;
  }
  void CloseStdin() override {
    // One that is gone needs no end.
    if (stdin_ != nullptr) (void)stdin_->CloseWrite();
  }
  Ok Resize(uint16_t columns, uint16_t rows) override {
    if (resize_ == nullptr) return BadRequest("there is no terminal");
    return resize_->Write("{\"Width\":" + std::to_string(columns) + ",\"Height\":" + std::to_string(rows) + "}\n");
  }
  Result<int> Wait() override { return *TRY(outcome_.Wait()); }
  void Close() override {
    chunks_.Close();
    fibers_.Stop();
    for (const StreamPtr& stream : {stdin_, error_, resize_}) {
      if (stream != nullptr) stream->Close();
    }
  }

 private:
  Result<StreamPtr> OpenOne(const char* type) {
    net::Headers headers;
    headers.Set("streamType", type);
    return session_->Open(headers);
  }

  void Follow(int fd, StreamPtr stream) {
    following_++;
    fibers_.Spawn(fd == 1 ? "stdout" : "stderr", [this, fd, stream = std::move(stream)] {
      while (true) {
        Chunk chunk{fd, std::string(kChunk, '\0')};
        const Result<size_t> count = stream->Read(chunk.data.data(), chunk.data.size());
        if (!count.ok() || *count == 0) break;
        chunk.data.resize(*count);
        if (!chunks_.Push(std::move(chunk)).ok()) break;
      }
      if (--following_ == 0) chunks_.Close();
    });
  }

  Result<int> ReadOutcome() {
    std::string text;
    std::array<char, 4096> part;
    while (text.size() < kOutcomeMax) {
      const Result<size_t> count = error_->Read(part.data(), part.size());
      if (count.Failed(Reason::kCancelled)) return count.status();
      if (!count.ok() || *count == 0) break;  // servers reset it behind the outcome
      text.append(part.data(), *count);
    }
    if (text.empty()) return Unavailable("the connection ended before the command");
    return client::ExitCodeOf(text);
  }

  rt::Runtime& runtime_;
  std::unique_ptr<net::SpdySession> session_;
  StreamPtr error_;
  StreamPtr stdin_;
  StreamPtr resize_;
  int following_ = 0;
  rt::Queue<Chunk> chunks_;
  rt::OneShot<Result<int>> outcome_;
  rt::TaskGroup fibers_;
};

}  // namespace

Result<std::unique_ptr<runtime::ExecSession>> OpenStreams(rt::Runtime& runtime, const std::string& url,
                                                          const StreamsWanted& wanted) {
  net::ClientRequest request{.method = "POST"};
  request.url = TRY(net::Url::Parse(url).Context("the runtime's streaming URL"));
  if (request.url.scheme != "http") return Unavailable("the container runtime streams at " + url + ", want http");
  auto opened = TRY(net::OpenSpdy(runtime, request, kProtocol, kOpenTimeout));
  auto session = std::make_unique<StreamSession>(runtime, std::move(opened));
  TRY(session->Open(wanted));
  return std::unique_ptr<runtime::ExecSession>(std::move(session));
}

}  // namespace knarr::cri
