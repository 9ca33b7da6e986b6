#include "net/spdy.h"

#include <algorithm>
#include <deque>
#include <map>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "base/strings.h"
#include "net/http1.h"
#include "net/spdy_frame.h"
#include "rt/sync.h"

namespace knarr::net {
namespace {

// Codes of RST_STREAM and GOAWAY.
constexpr uint32_t kResetProtocolError = 1;
constexpr uint32_t kResetInvalidStream = 2;
constexpr uint32_t kResetRefused = 3;
constexpr uint32_t kResetCancel = 5;
constexpr uint32_t kGoAwayOk = 0;
constexpr uint32_t kGoAwayProtocolError = 1;

constexpr uint32_t kSettingWindow = 7;
constexpr int64_t kWindowStart = 64 << 10;
constexpr int64_t kWindowMax = 0x7fffffff;
constexpr uint32_t kStreamIdMax = 0x7fffffff;
constexpr size_t kDataFrameMax = 16 << 10;

class Session;

/// What session and stream share: the session may go first.
struct Core {
  Core(rt::Runtime& r, std::unique_ptr<Stream> s, SpdySide side_of, SpdyOptions o)
      : runtime(r), stream(std::move(s)), side(side_of), options(o), writing(r), changed(r), room(r) {}

  rt::Runtime& runtime;
  std::unique_ptr<Stream> stream;
  const SpdySide side;
  const SpdyOptions options;
  rt::Mutex writing;       // frames, and the packing of headers, are one after the other
  SpdyDeflater deflater;   // under `writing`
  rt::WaitQueue changed;   // streams, their input, windows, the end
  rt::WaitQueue room;      // some of what is buffered was read
  size_t buffered = 0;
  size_t theirs = 0;       // streams of the peer that somebody here still holds
  bool windows = false;    // the peer keeps to windows
  int64_t window_start = kWindowStart;
  int64_t session_window = kWindowStart;
  size_t session_read = 0;  // read since the last update of the session's window
  bool ended = false;

  Ok WriteFrame(SpdyHead head, std::string_view payload) {
    std::string frame;
    frame.reserve(kSpdyHeadSize + payload.size());
    head.length = static_cast<uint32_t>(payload.size());
    AppendSpdyHead(frame, head);
    frame += payload;
    const auto guard = TRY(writing.Lock());
    if (ended) return Unavailable("SPDY: the connection has ended");
    return stream->Write(frame);
  }
  Ok WriteNumbers(SpdyType type, std::initializer_list<uint32_t> numbers) {
    std::string payload;
    for (const uint32_t number : numbers) AppendU32(payload, number);
    return WriteFrame({.type = type}, payload);
  }
  /// A frame of headers, which begins with `numbers`; nobody else packs between packing and sending.
  Ok WriteHeaders(SpdyHead head, std::string payload, const Headers& headers) {
    const auto guard = TRY(writing.Lock());
    if (ended) return Unavailable("SPDY: the connection has ended");
    payload += deflater.Deflate(headers);
    std::string frame;
    head.length = static_cast<uint32_t>(payload.size());
    AppendSpdyHead(frame, head);
    return stream->Write(frame + payload);
  }
};

class StreamImpl : public SpdyStream {
 public:
  StreamImpl(std::shared_ptr<Core> core, uint32_t id, Headers headers, bool ours)
      : core_(std::move(core)),
        id_(id),
        headers_(std::move(headers)),
        ours_(ours),
        send_window_(core_->window_start) {
    if (!ours_) ++core_->theirs;
  }
  ~StreamImpl() override {
    Drop();
    if (!ours_) --core_->theirs;
  }

  uint32_t id() const override { return id_; }
  const Headers& headers() const override { return headers_; }
  std::string peer() const override { return core_->stream->peer(); }

  Result<size_t> Read(char* out, size_t size) override {
    TRY(WaitReadable());
    if (reset_ && input_.size() == start_) {
      if (by_peer_ && in_ended_) return size_t{0};
      return Unavailable("SPDY: the stream was reset");
    }
    const size_t count = std::min(size, input_.size() - start_);
    input_.copy(out, count, start_);
    start_ += count;
    if (start_ == input_.size()) {
      input_.clear();
      start_ = 0;
    }
    core_->buffered -= count;
    core_->room.NotifyAll();
    if (count > 0) Credit(count);
    return count;
  }

  Ok WaitReadable() override {
    return core_->changed.WaitUntil([this] { return reset_ || in_ended_ || core_->ended || input_.size() > start_; });
  }

  Ok Write(std::string_view bytes) override {
    while (!bytes.empty()) {
      TRY(core_->changed.WaitUntil([this] {
        return closed_for_us() || !core_->windows || (send_window_ > 0 && core_->session_window > 0);
      }));
      if (closed_for_us()) return Unavailable("SPDY: the stream has ended");
      size_t count = std::min(bytes.size(), kDataFrameMax);
      if (core_->windows) {
        count = static_cast<size_t>(std::min<int64_t>({static_cast<int64_t>(count), send_window_,
                                                       core_->session_window}));
      }
      send_window_ -= static_cast<int64_t>(count);
      core_->session_window -= static_cast<int64_t>(count);
      TRY(core_->WriteFrame({.stream = id_}, bytes.substr(0, count)));
      bytes.remove_prefix(count);
    }
    return {};
  }

  Ok CloseWrite() override {
    if (out_ended_ || reset_) return {};
    out_ended_ = true;
    return core_->WriteFrame({.stream = id_, .flags = kSpdyFlagFin}, {});
  }

  void Close() override {
    if (reset_ || (out_ended_ && in_ended_)) return;
    reset_ = true;
    Drop();
    core_->changed.NotifyAll();
    const rt::Shield shield(core_->runtime);
    const rt::CancelScope scope(core_->runtime, 1s);
    (void)core_->WriteNumbers(SpdyType::kRstStream, {id_, kResetCancel});  // a connection that is gone has no streams
  }

  // Of the session, which reads the connection.
  bool done() const { return reset_ || (in_ended_ && out_ended_); }
  bool takes_input() const { return !reset_ && !in_ended_; }
  void AddInput(std::string_view bytes) {
    if (start_ > kDataFrameMax) {
      input_.erase(0, start_);
      start_ = 0;
    }
    input_ += bytes;
    core_->buffered += bytes.size();
    core_->changed.NotifyAll();
  }
  void EndInput() {
    in_ended_ = true;
    core_->changed.NotifyAll();
  }
  // What came before it is there still: servers of the kubelet's kind end each stream so once they have written to it.
  void PeerReset() {
    by_peer_ = !reset_;
    reset_ = true;
    core_->changed.NotifyAll();
  }
  void EndOutput() { out_ended_ = true; }
  /// False for a window beyond what the protocol allows.
  bool MoveWindow(int64_t delta) {
    send_window_ += delta;
    core_->changed.NotifyAll();
    return send_window_ <= kWindowMax;
  }

 private:
  bool closed_for_us() const { return reset_ || out_ended_ || core_->ended; }
  void Drop() {
    core_->buffered -= input_.size() - start_;
    core_->room.NotifyAll();
    input_.clear();
    start_ = 0;
  }
  /// Tells the peer that it may send again as much as was read. What can't be told concerns nobody any more.
  void Credit(size_t count) {
    read_ += count;
    core_->session_read += count;
    const size_t step = core_->options.window / 2;
    if (core_->session_read >= step) {
      const auto delta = static_cast<uint32_t>(std::exchange(core_->session_read, 0));
      (void)core_->WriteNumbers(SpdyType::kWindowUpdate, {0, delta});
    }
    if (read_ < step || in_ended_) return;
    const auto delta = static_cast<uint32_t>(std::exchange(read_, 0));
    (void)core_->WriteNumbers(SpdyType::kWindowUpdate, {id_, delta});
  }

  std::shared_ptr<Core> core_;
  const uint32_t id_;
  const Headers headers_;
  const bool ours_;
  std::string input_;
  size_t start_ = 0;
  size_t read_ = 0;
  bool in_ended_ = false;
  bool out_ended_ = false;
  bool reset_ = false;
  bool by_peer_ = false;  // it was
  int64_t send_window_;
};

using StreamPtr = std::shared_ptr<StreamImpl>;

class SessionImpl : public SpdySession {
 public:
  SessionImpl(rt::Runtime& runtime, std::unique_ptr<Stream> stream, SpdySide side, SpdyOptions options)
      : core_(std::make_shared<Core>(runtime, std::move(stream), side, options)),
        input_(core_->stream.get()),
        next_id_(side == SpdySide::kClient ? 1 : 2),
        fibers_(runtime, "spdy") {
    fibers_.Spawn("read", [this] {
      const Ok read = ReadLoop();
      if (read.Failed(Reason::kBadRequest)) {
        LOG_DEBUG("a SPDY connection is given up", {"peer", core_->stream->peer()}, {"error", read.status()});
        (void)core_->WriteNumbers(SpdyType::kGoAway, {last_id_, kGoAwayProtocolError});
      }
      End();
    });
  }
  ~SessionImpl() override {
    fibers_.StopAndJoin();
    core_->stream->Close();
  }

  Result<std::shared_ptr<SpdyStream>> Accept() override {
    TRY(core_->changed.WaitUntil([this] { return !accepted_.empty() || goodbye_ || core_->ended; }));
    if (accepted_.empty()) return Gone("SPDY: the peer opens no streams any more");
    std::shared_ptr<SpdyStream> out = std::move(accepted_.front());
    accepted_.pop_front();
    return out;
  }

  Result<std::shared_ptr<SpdyStream>> Open(const Headers& headers) override {
    const auto guard = TRY(opening_.Lock());  // ids are sent in their order
    if (core_->ended || goodbye_) return Unavailable("SPDY: the connection has ended");
    if (next_id_ > kStreamIdMax) return Unavailable("SPDY: no stream ids are left on this connection");
    Forget();
    auto stream = std::make_shared<StreamImpl>(core_, next_id_, headers, true);
    streams_[next_id_] = stream;
    next_id_ += 2;
    std::string numbers;
    AppendU32(numbers, stream->id());
    AppendU32(numbers, 0);  // belongs to no other stream
    numbers.append(2, '\0');  // priority, slot
    TRY(core_->WriteHeaders({.type = SpdyType::kSynStream}, std::move(numbers), headers));
    return std::shared_ptr<SpdyStream>(std::move(stream));
  }

  Ok WaitClosed() override {
    return core_->changed.WaitUntil([this] { return core_->ended; });
  }
  bool closed() const override { return core_->ended; }

  void Close() override {
    {
      const rt::CancelScope scope(core_->runtime, core_->options.linger);
      // The peer may be gone already. What it still sends is read and dropped, for a reset would take from it what it
      // has not read yet.
      dropping_ = true;
      core_->room.NotifyAll();
      if (core_->WriteNumbers(SpdyType::kGoAway, {last_id_, kGoAwayOk}).ok()) (void)WaitClosed();
    }
    fibers_.StopAndJoin();
    End();
  }

 private:
  void End() {
    if (core_->ended) return;
    core_->ended = true;
    core_->stream->Close();
    core_->changed.NotifyAll();
    core_->room.NotifyAll();
  }

  // Until the connection ends. BadRequest for what breaks the protocol.
  Ok ReadLoop() {
    std::string window;
    for (const uint32_t number : {uint32_t{1}, kSettingWindow, core_->options.window}) AppendU32(window, number);
    TRY(core_->WriteFrame({.type = SpdyType::kSettings}, window));
    for (;;) {
      if (!TRY(FillTo(kSpdyHeadSize))) return {};
      const SpdyHead head = TRY(ParseSpdyHead(input_.bytes()));
      input_.Consume(kSpdyHeadSize);
      if (head.type == SpdyType::kData) {
        TRY(TakeData(head));
        continue;
      }
      if (!TRY(FillTo(head.length))) return {};
      const std::string payload(input_.bytes().substr(0, head.length));
      input_.Consume(head.length);
      TRY(TakeControl(head, payload));
    }
  }

  /// False when the connection ends before.
  Result<bool> FillTo(size_t size) {
    while (input_.bytes().size() < size) {
      if (!TRY(input_.Fill())) return false;
    }
    return true;
  }

  Ok TakeData(const SpdyHead& head) {
    StreamPtr stream = Find(head.stream);
    const bool ours = head.stream % 2 == next_id_ % 2;
    if (stream == nullptr && (ours ? head.stream >= next_id_ : head.stream > last_id_)) {
      TRY(core_->WriteNumbers(SpdyType::kRstStream, {head.stream, kResetInvalidStream}));
    }
    for (uint32_t left = head.length; left > 0;) {
      if (input_.bytes().empty() && !TRY(FillTo(1))) return Unavailable("SPDY: the connection ended in a frame");
      // The reader of this stream, or of another, makes room.
      TRY(core_->room.WaitUntil([&] {
        return core_->buffered < core_->options.buffer_max || dropping_ || core_->ended || stream == nullptr ||
               !stream->takes_input();
      }));
      const std::string_view part = input_.bytes().substr(0, left);
      if (stream != nullptr && stream->takes_input() && !dropping_) stream->AddInput(part);
      left -= static_cast<uint32_t>(part.size());
      input_.Consume(part.size());
    }
    if (stream != nullptr && (head.flags & kSpdyFlagFin) != 0) stream->EndInput();
    return {};
  }

  Ok TakeControl(const SpdyHead& head, std::string_view payload) {
    const auto need = [&](size_t size) {
      return payload.size() >= size ? Ok() : Ok(BadRequest("SPDY: a control frame is too short"));
    };
    switch (head.type) {
      case SpdyType::kSynStream:
        TRY(need(10));
        return TakeSynStream(head, payload);
      case SpdyType::kSynReply:
      case SpdyType::kHeaders: {
        TRY(need(4));
        // Nobody asks for these headers, but what is packed later builds on them.
        (void)TRY(inflater_.Inflate(payload.substr(4)));
        const StreamPtr stream = Find(ReadU32(payload) & kStreamIdMax);
        if (stream != nullptr && (head.flags & kSpdyFlagFin) != 0) stream->EndInput();
        return {};
      }
      case SpdyType::kRstStream: {
        TRY(need(8));
        const StreamPtr stream = Find(ReadU32(payload) & kStreamIdMax);
        if (stream != nullptr) stream->PeerReset();
        streams_.erase(ReadU32(payload) & kStreamIdMax);
        return {};
      }
      case SpdyType::kSettings:
        TRY(need(4));
        return TakeSettings(payload);
      case SpdyType::kPing:
        TRY(need(4));
        // Our own ones come back, if we sent any; the peer's are answered.
        if (ReadU32(payload) % 2 == next_id_ % 2) return {};
        return core_->WriteNumbers(SpdyType::kPing, {ReadU32(payload)});
      case SpdyType::kGoAway:
        goodbye_ = true;
        core_->changed.NotifyAll();
        return {};
      case SpdyType::kWindowUpdate:
        TRY(need(8));
        return TakeWindowUpdate(ReadU32(payload) & kStreamIdMax, ReadU32(payload, 4) & kStreamIdMax);
      case SpdyType::kData:
        break;
    }
    return {};  // what is not known is skipped
  }

  Ok TakeSynStream(const SpdyHead& head, std::string_view payload) {
    const uint32_t id = ReadU32(payload) & kStreamIdMax;
    Headers headers = TRY(inflater_.Inflate(payload.substr(10)));
    if (id % 2 == next_id_ % 2 || id <= last_id_) {
      return core_->WriteNumbers(SpdyType::kRstStream, {id, kResetProtocolError});
    }
    last_id_ = id;
    Forget();
    if (core_->theirs >= core_->options.streams_max || dropping_) {
      return core_->WriteNumbers(SpdyType::kRstStream, {id, kResetRefused});
    }
    auto stream = std::make_shared<StreamImpl>(core_, id, std::move(headers), false);
    std::string number;
    AppendU32(number, id);
    // Before anybody can write to it: peers drop data that comes before the reply.
    TRY(core_->WriteHeaders({.type = SpdyType::kSynReply}, std::move(number), {}));
    if ((head.flags & kSpdyFlagFin) != 0) stream->EndInput();
    if ((head.flags & kSpdyFlagUnidirectional) != 0) stream->EndOutput();
    streams_[id] = stream;
    accepted_.push_back(std::move(stream));
    core_->changed.NotifyAll();
    return {};
  }

  Ok TakeSettings(std::string_view payload) {
    const uint32_t count = ReadU32(payload);
    if (payload.size() != 4 + size_t{8} * count) return BadRequest("SPDY: malformed settings");
    for (uint32_t i = 0; i < count; ++i) {
      if ((ReadU32(payload, 4 + size_t{8} * i) & 0xffffff) != kSettingWindow) continue;
      const int64_t window = ReadU32(payload, 8 + size_t{8} * i);
      if (window > kWindowMax) return BadRequest("SPDY: a window that is too large");
      core_->windows = true;
      const int64_t delta = window - std::exchange(core_->window_start, window);
      for (const auto& [id, weak] : streams_) {
        const StreamPtr stream = weak.lock();
        if (stream != nullptr && !stream->MoveWindow(delta)) return BadRequest("SPDY: a window that is too large");
      }
    }
    return {};
  }

  Ok TakeWindowUpdate(uint32_t id, uint32_t delta) {
    core_->windows = true;
    if (id == 0) {
      core_->session_window += delta;
      core_->changed.NotifyAll();
      return core_->session_window <= kWindowMax ? Ok() : Ok(BadRequest("SPDY: a window that is too large"));
    }
    const StreamPtr stream = Find(id);
    if (stream == nullptr || stream->MoveWindow(delta)) return {};
    return BadRequest("SPDY: a window that is too large");
  }

  StreamPtr Find(uint32_t id) {
    const auto at = streams_.find(id);
    return at == streams_.end() ? nullptr : at->second.lock();
  }
  /// Streams that nobody holds, or that have ended.
  void Forget() {
    std::erase_if(streams_, [](const auto& entry) {
      const StreamPtr stream = entry.second.lock();
      return stream == nullptr || stream->done();
    });
  }

  std::shared_ptr<Core> core_;
  InputBuffer input_;
  SpdyInflater inflater_;
  std::map<uint32_t, std::weak_ptr<StreamImpl>> streams_;
  std::deque<StreamPtr> accepted_;
  rt::Mutex opening_{core_->runtime};
  uint32_t next_id_;
  uint32_t last_id_ = 0;
  bool goodbye_ = false;   // the peer has said goodbye
  bool dropping_ = false;  // we have
  rt::TaskGroup fibers_;
};

}  // namespace

std::unique_ptr<SpdySession> SpdySession::Create(rt::Runtime& runtime, std::unique_ptr<Stream> stream, SpdySide side,
                                                 SpdyOptions options) {
  return std::make_unique<SessionImpl>(runtime, std::move(stream), side, options);
}

bool IsSpdyUpgrade(const Request& request) {
  return HasToken(request.headers, "Connection", "upgrade") &&
         ToLower(request.headers.Get("Upgrade")).find("spdy/3.1") != std::string::npos;
}

}  // namespace knarr::net
