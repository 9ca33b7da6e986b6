#include "net/stream.h"

#include <algorithm>
#include <cstring>

#include "base/ip.h"
#include "base/strings.h"
#include "rt/sync.h"

namespace knarr::net {

Result<Endpoint> Endpoint::Parse(std::string_view text) {
  Endpoint endpoint;
  std::string_view path = text;
  if (ConsumePrefix(path, "unix:")) {
    if (path.starts_with("//")) path.remove_prefix(2);
    if (!path.starts_with('/')) return BadRequest("address \"" + std::string(text) + "\": the path must be absolute");
    // sun_path holds 108 bytes with its end mark.
    if (path.size() > 107)
      return BadRequest("address \"" + std::string(text) + "\": the path is longer than 107 bytes");
    endpoint.unix_path = path;
    return endpoint;
  }
  HostPort parts = TRY(SplitHostPort(text));
  auto port = ParseInt<uint16_t>(parts.port);
  if (!port.ok()) return BadRequest("address \"" + std::string(text) + "\": invalid port");
  endpoint.host = std::move(parts.host);
  endpoint.port = *port;
  return endpoint;
}

std::string Endpoint::ToString() const {
  if (!unix_path.empty()) return "unix:" + unix_path;
  return JoinHostPort(host, port);
}

namespace {

/// One direction of a pipe.
struct Half {
  Half(rt::Runtime& runtime, size_t bound_bytes) : readers(runtime), writers(runtime), bound(bound_bytes) {}
  std::string bytes;
  size_t start = 0;  // what is before has been read
  bool ended = false;
  rt::WaitQueue readers;
  rt::WaitQueue writers;
  size_t bound;

  size_t size() const { return bytes.size() - start; }
  void End() {
    ended = true;
    readers.NotifyAll();
    writers.NotifyAll();
  }
};

struct Pipe {
  Pipe(rt::Runtime& runtime, size_t bound) : a_to_b(runtime, bound), b_to_a(runtime, bound) {}
  Half a_to_b;
  Half b_to_a;
};

class PipeStream : public Stream {
 public:
  PipeStream(std::shared_ptr<Pipe> pipe, Half& in, Half& out) : pipe_(std::move(pipe)), in_(in), out_(out) {}
  ~PipeStream() override { Close(); }

  Result<size_t> Read(char* out, size_t size) override {
    TRY(WaitReadable());
    if (closed_) return Unavailable("read: the stream was closed");
    size_t count = std::min(size, in_.size());
    if (count == 0) return size_t{0};
    std::memcpy(out, in_.bytes.data() + in_.start, count);
    in_.start += count;
    if (in_.start == in_.bytes.size()) {
      in_.bytes.clear();
      in_.start = 0;
    }
    in_.writers.NotifyAll();
    return count;
  }

  Ok WaitReadable() override {
    return in_.readers.WaitUntil([this] { return closed_ || in_.ended || in_.size() > 0; });
  }

  Ok Write(std::string_view bytes) override {
    while (!bytes.empty()) {
      TRY(out_.writers.WaitUntil([this] { return closed_ || out_.ended || out_.size() < out_.bound; }));
      if (closed_ || out_.ended) return Unavailable("write: the stream was closed");
      size_t count = std::min(bytes.size(), out_.bound - out_.size());
      if (out_.start > out_.bound) {
        out_.bytes.erase(0, out_.start);
        out_.start = 0;
      }
      out_.bytes.append(bytes.substr(0, count));
      bytes.remove_prefix(count);
      out_.readers.NotifyAll();
    }
    return {};
  }

  Ok CloseWrite() override {
    out_.End();
    return {};
  }

  void Close() override {
    if (closed_) return;
    closed_ = true;
    out_.End();
    in_.End();
  }

  std::string peer() const override { return "memory"; }

 private:
  std::shared_ptr<Pipe> pipe_;
  Half& in_;
  Half& out_;
  bool closed_ = false;
};

}  // namespace

std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> MemoryPipe(rt::Runtime& runtime, size_t bound) {
  auto pipe = std::make_shared<Pipe>(runtime, std::max<size_t>(bound, 1));
  auto a = std::make_unique<PipeStream>(pipe, pipe->b_to_a, pipe->a_to_b);
  auto b = std::make_unique<PipeStream>(pipe, pipe->a_to_b, pipe->b_to_a);
  return {std::move(a), std::move(b)};
}

}  // namespace knarr::net
