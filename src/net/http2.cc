#include "net/http2.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "base/strings.h"

namespace knarr::net {
namespace {

constexpr size_t kBatchSize = 64 << 10;
constexpr size_t kReadSize = 16 << 10;
/// Bytes up to this are copied, so that the writing fiber need not wait; and this many may be pending.
constexpr size_t kCopyMax = 16 << 10;
constexpr size_t kPendingMax = 64 << 10;
/// Frames that wait to be written before we stop reading the ones that cause them.
constexpr size_t kFramesPendingMax = 1000;
constexpr size_t kKeptBuffer = 8 << 10;

struct SessionOptions {
  nghttp2_option* option = nullptr;
  SessionOptions() { CHECK(nghttp2_option_new(&option) == 0); }
  ~SessionOptions() { nghttp2_option_del(option); }
};

/// Headers that are different in nearly every message: to keep them in HPACK's table would push out those that repeat,
/// and make every later search in it longer.
bool IsFresh(std::string_view name) {
  constexpr std::string_view kFresh[] = {":path", "audit-id", "content-length", "date", "etag", "location"};
  return std::ranges::find(kFresh, name) != std::end(kFresh);
}

nghttp2_nv ToNv(std::string_view name, std::string_view value) {
  // nghttp2 copies both; its structure only lacks the const.
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          static_cast<uint8_t>(IsFresh(name) ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE)};
}

std::vector<nghttp2_nv> ToNvs(const HeaderList& headers) {
  std::vector<nghttp2_nv> out;
  out.reserve(headers.size());
  for (const auto& [name, value] : headers) out.push_back(ToNv(name, value));
  return out;
}

}  // namespace

void Http2Stream::MoveTo(std::string& batch, size_t size) {
  size_t own = std::min(size, out.size() - out_start);
  if (own > 0) {
    batch.append(out, out_start, own);
    out_start += own;
    size -= own;
    if (out_start == out.size()) {
      out.clear();
      out_start = 0;
    }
  }
  while (size > 0 && shared_size > 0) {
    std::string_view& piece = shared[shared_index].text;
    size_t count = std::min(size, piece.size());
    batch.append(piece.substr(0, count));
    piece.remove_prefix(count);
    shared_size -= count;
    size -= count;
    if (!piece.empty()) continue;
    shared[shared_index++].owner.reset();
    if (shared_size > 0) continue;
    shared.clear();
    shared_index = 0;
  }
  pieces_size -= size;
  while (size > 0) {
    std::string_view& piece = pieces[piece_index];
    size_t count = std::min(size, piece.size());
    batch.append(piece.substr(0, count));
    piece.remove_prefix(count);
    size -= count;
    if (piece.empty()) ++piece_index;
  }
}

/// nghttp2's callbacks, which find the session by their user data.
struct Http2Callbacks {
  static Http2Session& Self(void* user) { return *static_cast<Http2Session*>(user); }

  static ssize_t Send(nghttp2_session*, const uint8_t* data, size_t size, int, void* user) {
    std::string& batch = Self(user).batch_;
    if (batch.size() >= kBatchSize) return NGHTTP2_ERR_WOULDBLOCK;
    batch.append(reinterpret_cast<const char*>(data), size);
    return static_cast<ssize_t>(size);
  }

  /// How much of a stream's body goes into the next DATA frame.
  static ssize_t ReadBody(nghttp2_session*, int32_t, uint8_t*, size_t length, uint32_t* flags,
                          nghttp2_data_source* source, void*) {
    auto& stream = *static_cast<Http2Stream*>(source->ptr);
    if (stream.aborted) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t count = std::min(length, stream.pending());
    bool last = count == stream.pending() && stream.out_ended;
    if (count == 0 && !last) {
      stream.deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (last) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(count);
  }

  static int SendBody(nghttp2_session*, nghttp2_frame*, const uint8_t* head, size_t length, nghttp2_data_source* source,
                      void* user) {
    Http2Session& self = Self(user);
    auto& stream = *static_cast<Http2Stream*>(source->ptr);
    if (stream.aborted || length > stream.pending()) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (self.batch_.size() >= kBatchSize) return NGHTTP2_ERR_WOULDBLOCK;
    self.batch_.append(reinterpret_cast<const char*>(head), 9);
    stream.MoveTo(self.batch_, length);
    if (stream.pending() < kPendingMax) stream.changed.NotifyAll();
    return 0;
  }

  static int BeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Session& self = Self(user);
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    if (self.closed_) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    StreamPtr stream = self.NewStream();
    if (!stream) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    stream->id = frame->hd.stream_id;
    self.streams_[stream->id] = std::move(stream);
    return 0;
  }

  static int Header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t, void* user) {
    Http2Session& self = Self(user);
    StreamPtr stream = self.Find(frame->hd.stream_id);
    if (!stream) return 0;
    stream->header_bytes += name_size + value_size + 32;
    // A side that wants to answer a little too much politely still can; beyond that the stream is cut off.
    if (stream->header_bytes > 4 * size_t{self.options_.header_list_max}) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (stream->header_bytes > self.options_.header_list_max) return 0;
    const std::string_view name_text(reinterpret_cast<const char*>(name), name_size);
    const std::string_view value_text(reinterpret_cast<const char*>(value), value_size);
    stream->headers_done ? self.OnTrailer(*stream, name_text, value_text)
                         : self.OnHeader(*stream, name_text, value_text);
    return 0;
  }

  static int InvalidHeader(nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t, const uint8_t*, size_t,
                           uint8_t, void*) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int Data(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* data, size_t size, void* user) {
    Http2Session& self = Self(user);
    // The connection's window opens at once, so that one slow reader does not stop the others; the stream's own window
    // opens as the bytes are read.
    nghttp2_session_consume_connection(session, size);
    StreamPtr stream = self.Find(id);
    if (!stream) {
      nghttp2_session_consume_stream(session, id, size);
      return 0;
    }
    stream->in.append(reinterpret_cast<const char*>(data), size);
    stream->changed.NotifyAll();
    return 0;
  }

  static int Frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Session& self = Self(user);
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    bool message = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (StreamPtr stream = message ? self.Find(frame->hd.stream_id) : nullptr; stream) {
      if (end) stream->in_ended = true;
      if (frame->hd.type == NGHTTP2_HEADERS && !stream->headers_done) self.OnHeaders(stream);
      stream->changed.NotifyAll();
    }
    self.OnFrame(frame->hd.type, frame->hd.stream_id, frame->hd.length, end);
    return 0;
  }

  static int FrameSent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Http2Session& self = Self(user);
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    bool message = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (!end || !message || !self.options_.server) return 0;
    // Answered in full before the request was: we want no more of it.
    StreamPtr stream = self.Find(frame->hd.stream_id);
    if (stream && !stream->in_ended) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, kHttp2NoError);
    }
    return 0;
  }

  static int Closed(nghttp2_session*, int32_t id, uint32_t code, void* user) {
    Http2Session& self = Self(user);
    auto found = self.streams_.find(id);
    if (found == self.streams_.end()) return 0;
    StreamPtr stream = std::move(found->second);
    self.streams_.erase(found);
    stream->closed = true;
    stream->error_code = code;
    stream->changed.NotifyAll();
    self.OnClosed(stream);
    return 0;
  }

  static nghttp2_session_callbacks* All() {
    nghttp2_session_callbacks* all = nullptr;
    CHECK(nghttp2_session_callbacks_new(&all) == 0);
    nghttp2_session_callbacks_set_send_callback(all, Send);
    nghttp2_session_callbacks_set_send_data_callback(all, SendBody);
    nghttp2_session_callbacks_set_on_begin_headers_callback(all, BeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback(all, Header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(all, InvalidHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(all, Data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(all, Frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(all, FrameSent);
    nghttp2_session_callbacks_set_on_stream_close_callback(all, Closed);
    return all;
  }
};

Http2Session::Http2Session(rt::Runtime& runtime, std::unique_ptr<Stream> stream, const Options& options)
    : runtime_(runtime), stream_(std::move(stream)), options_(options), writer_(runtime), drained_(runtime) {
  SessionOptions settings;
  nghttp2_option_set_no_auto_window_update(settings.option, 1);
  nghttp2_option_set_no_closed_streams(settings.option, 1);
  // We stop reading long before; this only has to be more than one read can ask for on top.
  nghttp2_option_set_max_outbound_ack(settings.option, 4 * kFramesPendingMax);
  nghttp2_session_callbacks* callbacks = Http2Callbacks::All();
  int made = options.server ? nghttp2_session_server_new2(&session_, callbacks, this, settings.option)
                            : nghttp2_session_client_new2(&session_, callbacks, this, settings.option);
  nghttp2_session_callbacks_del(callbacks);
  CHECK(made == 0);
  std::vector<nghttp2_settings_entry> entries = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.streams_max},
                                                 {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.stream_window},
                                                 {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options.header_list_max}};
  if (!options.server) entries.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries.data(), entries.size()) == 0);
  CHECK(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                              static_cast<int32_t>(options.connection_window)) == 0);
}

Http2Session::~Http2Session() { nghttp2_session_del(session_); }

StreamPtr Http2Session::Find(int32_t id) const {
  auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second;
}

uint32_t Http2Session::peer_streams_max() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool Http2Session::accepts_requests() const { return !closed_ && nghttp2_session_check_request_allowed(session_) != 0; }

void Http2Session::Wake() {
  if (std::exchange(wake_, true)) return;
  writer_.NotifyAll();
}

void Http2Session::Fail(std::string_view why) {
  if (std::exchange(closed_, true)) return;
  why_ = why;
  auto streams = std::move(streams_);
  streams_.clear();
  for (auto& [id, stream] : streams) {
    stream->closed = true;
    stream->error_code = kHttp2Cancel;
    stream->changed.NotifyAll();
    OnClosed(stream);
  }
  stream_->Close();
  writer_.NotifyAll();
  drained_.NotifyAll();
}

void Http2Session::GoAway(uint32_t code) {
  if (closed_) return;
  if (code == kHttp2NoError) {
    int32_t last = nghttp2_session_get_last_proc_stream_id(session_);
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last, code, nullptr, 0);
  } else {
    nghttp2_session_terminate_session(session_, code);
  }
  Wake();
}

bool Http2Session::Receive(std::string_view bytes) {
  ssize_t used = nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (nghttp2_session_want_write(session_) != 0) Wake();
  if (used < 0) {
    LOG_DEBUG("bad HTTP/2", {"peer", stream_->peer()}, {"error", nghttp2_strerror(static_cast<int>(used))});
    Fail(nghttp2_strerror(static_cast<int>(used)));
    return false;
  }
  Ok drained = drained_.WaitUntil(
      [this] { return closed_ || nghttp2_session_get_outbound_queue_size(session_) <= kFramesPendingMax; });
  if (!drained.ok()) Fail(drained.status().message());
  return !closed_;
}

void Http2Session::ReadLoop(std::string prefix) {
  if (!prefix.empty() && !Receive(prefix)) return;
  prefix = {};
  while (!closed_) {
    auto go_on = WaitInput();
    if (!go_on.ok()) return Fail(go_on.status().message());
    if (!*go_on) continue;
    auto buffer = std::make_unique_for_overwrite<char[]>(kReadSize);
    auto count = stream_->Read(buffer.get(), kReadSize);
    if (!count.ok()) return Fail(count.status().message());
    if (*count == 0) return Fail("the peer closed the connection");
    if (!Receive({buffer.get(), *count})) return;
  }
}

void Http2Session::WriteLoop() {
  while (!closed_) {
    wake_ = false;
    batch_.clear();
    int sent = nghttp2_session_send(session_);
    if (sent != 0) return Fail(nghttp2_strerror(sent));
    drained_.NotifyAll();
    if (!batch_.empty()) {
      rt::CancelScope scope(runtime_, options_.write_timeout);
      Ok written = stream_->Write(batch_);
      if (!written.ok()) return Fail(written.status().message());
      continue;
    }
    if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) {
      (void)stream_->CloseWrite();  // both sides said goodbye: whether the peer still hears it does not matter
      return Fail("the connection was shut down");
    }
    if (batch_.capacity() > kKeptBuffer) batch_ = {};
    Ok woken = writer_.WaitUntil([this] { return wake_ || closed_; });
    if (!woken.ok()) return Fail(woken.status().message());
  }
}

Status Http2Session::Broken(const Http2Stream& stream) const {
  if (closed_) return Unavailable("the HTTP/2 connection to " + stream_->peer() + " ended: " + why_);
  if (stream.error_code == kHttp2NoError) return Unavailable("the HTTP/2 stream was closed");
  return Unavailable(std::string("the HTTP/2 stream was reset: ") + nghttp2_http2_strerror(stream.error_code));
}

void Http2Session::Resume(Http2Stream& stream) {
  if (!stream.deferred || stream.closed) return;
  stream.deferred = false;
  nghttp2_session_resume_data(session_, stream.id);
  Wake();
}

Ok Http2Session::WaitPieces(const StreamPtr& stream) {
  Ok waited = stream->changed.WaitUntil([&] { return stream->closed || stream->pieces_size == 0; });
  bool whole = stream->pieces_size == 0;
  stream->pieces.clear();
  stream->piece_index = 0;
  stream->pieces_size = 0;
  if (waited.ok() && whole) return {};
  if (waited.ok()) return Broken(*stream);
  // The bytes are not ours and the caller goes away: what was promised of them can't be sent any more.
  stream->aborted = true;
  Reset(*stream, kHttp2Internal);
  return waited;
}

Ok Http2Session::Write(const StreamPtr& stream, std::string_view bytes) {
  TRY(stream->changed.WaitUntil([&] { return stream->closed || stream->pending() < kPendingMax; }));
  if (stream->closed) return Broken(*stream);
  if (bytes.empty()) return {};
  if (bytes.size() <= kCopyMax) {
    if (stream->shared_size == 0) {
      stream->out.append(bytes);
    } else {
      auto copy = std::make_shared<const std::string>(bytes);
      stream->shared.push_back({copy, *copy});
      stream->shared_size += bytes.size();
    }
    Resume(*stream);
    return {};
  }
  stream->pieces = {bytes};
  stream->piece_index = 0;
  stream->pieces_size = bytes.size();
  Resume(*stream);
  return WaitPieces(stream);
}

Ok Http2Session::WriteShared(const StreamPtr& stream, std::vector<SharedPiece> pieces) {
  TRY(stream->changed.WaitUntil([&] { return stream->closed || stream->pending() < kPendingMax; }));
  if (stream->closed) return Broken(*stream);
  // A stream that is never quite drained must not keep what it has sent.
  stream->shared.erase(stream->shared.begin(), stream->shared.begin() + static_cast<ptrdiff_t>(stream->shared_index));
  stream->shared_index = 0;
  for (SharedPiece& piece : pieces) {
    if (piece.text.empty()) continue;
    stream->shared_size += piece.text.size();
    stream->shared.push_back(std::move(piece));
  }
  if (stream->shared_size > 0) Resume(*stream);
  return {};
}

Ok Http2Session::WriteLast(const StreamPtr& stream, std::vector<std::string_view> pieces) {
  if (stream->closed) return Broken(*stream);
  std::erase_if(pieces, [](std::string_view piece) { return piece.empty(); });
  size_t size = 0;
  for (std::string_view piece : pieces) size += piece.size();
  stream->out_ended = true;
  if (size <= kCopyMax && stream->shared_size == 0) {
    stream->out.reserve(stream->out.size() + size);
    for (std::string_view piece : pieces) stream->out.append(piece);
    Resume(*stream);
    return {};
  }
  stream->pieces = std::move(pieces);
  stream->piece_index = 0;
  stream->pieces_size = size;
  Resume(*stream);
  return WaitPieces(stream);
}

void Http2Session::EndWrite(Http2Stream& stream) {
  stream.out_ended = true;
  Resume(stream);
}

Result<size_t> Http2Session::Read(const StreamPtr& stream, char* out, size_t size) {
  TRY(stream->changed.WaitUntil(
      [&] { return stream->closed || stream->in_ended || stream->in.size() > stream->in_start; }));
  size_t count = std::min(size, stream->in.size() - stream->in_start);
  if (count == 0) {
    if (stream->in_ended) return size_t{0};
    return Broken(*stream);
  }
  std::copy_n(stream->in.data() + stream->in_start, count, out);
  stream->in_start += count;
  if (stream->in_start == stream->in.size()) {
    stream->in.clear();
    stream->in_start = 0;
  } else if (stream->in_start > (64 << 10)) {
    stream->in.erase(0, stream->in_start);
    stream->in_start = 0;
  }
  if (!stream->closed && !closed_) {
    nghttp2_session_consume_stream(session_, stream->id, count);
    if (nghttp2_session_want_write(session_) != 0) Wake();
  }
  return count;
}

void Http2Session::Reset(Http2Stream& stream, uint32_t code) {
  if (stream.closed || closed_) return;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, code);
  Wake();
}

Ok Http2Session::SubmitResponse(Http2Stream& stream, const HeaderList& headers, bool has_body) {
  if (stream.closed || closed_) return Broken(stream);
  std::vector<nghttp2_nv> nvs = ToNvs(headers);
  nghttp2_data_provider body{{.ptr = &stream}, Http2Callbacks::ReadBody};
  int done = nghttp2_submit_response(session_, stream.id, nvs.data(), nvs.size(), has_body ? &body : nullptr);
  if (done != 0) return Internal(std::string("HTTP/2 response: ") + nghttp2_strerror(done));
  Wake();
  return {};
}

Ok Http2Session::SubmitInformational(Http2Stream& stream, int code) {
  if (stream.closed || closed_) return Broken(stream);
  std::string text = std::to_string(code);
  nghttp2_nv status = ToNv(":status", text);
  int done = nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream.id, nullptr, &status, 1, nullptr);
  if (done != 0) return Internal(std::string("HTTP/2 headers: ") + nghttp2_strerror(done));
  Wake();
  return {};
}

Ok Http2Session::SubmitRequest(const StreamPtr& stream, const HeaderList& headers, bool has_body) {
  if (closed_) return Broken(*stream);
  std::vector<nghttp2_nv> nvs = ToNvs(headers);
  nghttp2_data_provider body{{.ptr = stream.get()}, Http2Callbacks::ReadBody};
  int32_t id = nghttp2_submit_request(session_, nullptr, nvs.data(), nvs.size(), has_body ? &body : nullptr, nullptr);
  if (id < 0) return Internal(std::string("HTTP/2 request: ") + nghttp2_strerror(id));
  stream->id = id;
  streams_[id] = stream;
  Wake();
  return {};
}

void Http2Session::SubmitPing() {
  if (closed_) return;
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  Wake();
}

}  // namespace knarr::net
