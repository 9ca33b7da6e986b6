#include "image/byte_source.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

namespace knarr::image {
namespace {

constexpr size_t kBufferSize = 256 << 10;
// A frame that needs a larger window than this is refused (zstd's own default for decoders is 128 MiB).
constexpr int kZstdWindowLogMax = 27;

class FdSource : public ByteSource {
 public:
  explicit FdSource(int fd) : fd_(fd) {}
  ~FdSource() override { close(fd_); }
  Result<size_t> Read(char* out, size_t size) override {
    while (true) {
      const ssize_t got = read(fd_, out, size);
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) return FromErrno(errno, "read archive");
    }
  }

 private:
  int fd_;
};

class TextSource : public ByteSource {
 public:
  explicit TextSource(std::string_view bytes) : left_(bytes) {}
  Result<size_t> Read(char* out, size_t size) override {
    const size_t count = std::min(size, left_.size());
    if (count > 0) std::memcpy(out, left_.data(), count);
    left_.remove_prefix(count);
    return count;
  }

 private:
  std::string_view left_;
};

// Gives back the bytes that were looked at first.
class Rewound : public ByteSource {
 public:
  Rewound(std::string head, std::unique_ptr<ByteSource> rest) : head_(std::move(head)), rest_(std::move(rest)) {}
  Result<size_t> Read(char* out, size_t size) override {
    if (head_.empty()) return rest_->Read(out, size);
    const size_t count = std::min(size, head_.size());
    std::memcpy(out, head_.data(), count);
    head_.erase(0, count);
    return count;
  }

 private:
  std::string head_;
  std::unique_ptr<ByteSource> rest_;
};

// The input buffer and the growth rule that both decompressors share.
class Expander : public ByteSource {
 public:
  Expander(std::unique_ptr<ByteSource> source, ExpansionLimit limit)
      : source_(std::move(source)), limit_(limit), buffer_(kBufferSize) {}

 protected:
  // False at the end of the input.
  Result<bool> Fill() {
    const size_t got = TRY(source_->Read(buffer_.data(), buffer_.size()));
    at_ = 0;
    size_ = got;
    in_ += static_cast<int64_t>(got);
    return got > 0;
  }
  Ok Count(size_t made) {
    out_ += static_cast<int64_t>(made);
    if (out_ > limit_.least && out_ / limit_.ratio > in_) {
      return BadRequest("compressed data grows beyond " + std::to_string(limit_.ratio) + " times its size");
    }
    return {};
  }

  std::unique_ptr<ByteSource> source_;
  ExpansionLimit limit_;
  std::vector<char> buffer_;
  size_t at_ = 0;
  size_t size_ = 0;
  int64_t in_ = 0;
  int64_t out_ = 0;
};

class GzipSource : public Expander {
 public:
  using Expander::Expander;
  ~GzipSource() override {
    if (open_) inflateEnd(&stream_);
  }
  Result<size_t> Read(char* out, size_t size) override {
    if (!open_ && !ended_) TRY(Open());
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(std::min(size, kBufferSize));
    const uInt asked = stream_.avail_out;
    while (stream_.avail_out == asked && !ended_) TRY(Step());
    const size_t made = asked - stream_.avail_out;
    TRY(Count(made));
    return made;
  }

 private:
  Ok Open() {
    if (inflateInit2(&stream_, 15 + 16) != Z_OK) return Internal("zlib: out of memory");
    open_ = true;
    return {};
  }
  Ok Step() {
    if (at_ == size_ && !TRY(Fill())) {
      if (!between_members_) return BadRequest("gzip: unexpected end of data");
      ended_ = true;
      return {};
    }
    if (between_members_) {
      // As gzip itself does: what follows the last member and is no member is left alone.
      if (static_cast<unsigned char>(buffer_[at_]) != 0x1f) {
        ended_ = true;
        return {};
      }
      inflateReset(&stream_);
      between_members_ = false;
    }
    stream_.next_in = reinterpret_cast<Bytef*>(buffer_.data() + at_);
    stream_.avail_in = static_cast<uInt>(size_ - at_);
    const int code = inflate(&stream_, Z_NO_FLUSH);
    at_ = size_ - stream_.avail_in;
    if (code == Z_STREAM_END) {
      between_members_ = true;
      return {};
    }
    if (code == Z_OK || code == Z_BUF_ERROR) return {};
    return BadRequest(std::string("gzip: ") + (stream_.msg != nullptr ? stream_.msg : "invalid data"));
  }

  z_stream stream_{};
  bool open_ = false;
  bool between_members_ = false;
  bool ended_ = false;
};

class ZstdSource : public Expander {
 public:
  ZstdSource(std::unique_ptr<ByteSource> source, ExpansionLimit limit)
      : Expander(std::move(source), limit), stream_(ZSTD_createDStream()) {
    if (stream_ != nullptr) ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kZstdWindowLogMax);
  }
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }
  Result<size_t> Read(char* out, size_t size) override {
    if (stream_ == nullptr) return Internal("zstd: out of memory");
    ZSTD_outBuffer made{out, size, 0};
    while (made.pos == 0) {
      if (at_ == size_ && !full_ && !TRY(Fill())) {
        if (inside_frame_) return BadRequest("zstd: unexpected end of data");
        return size_t{0};
      }
      ZSTD_inBuffer input{buffer_.data(), size_, at_};
      const size_t code = ZSTD_decompressStream(stream_, &made, &input);
      at_ = input.pos;
      if (ZSTD_isError(code) != 0) return BadRequest(std::string("zstd: ") + ZSTD_getErrorName(code));
      inside_frame_ = code != 0;
      full_ = made.pos == made.size && inside_frame_;
    }
    TRY(Count(made.pos));
    return made.pos;
  }

 private:
  ZSTD_DStream* stream_;
  bool inside_frame_ = false;
  bool full_ = false;  // the decoder may hold more output than there was room for
};

}  // namespace

Result<std::unique_ptr<ByteSource>> OpenFileSource(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return FromErrno(errno, "open " + path);
  return FileSource(fd);
}

std::unique_ptr<ByteSource> FileSource(int fd) { return std::make_unique<FdSource>(fd); }

std::unique_ptr<ByteSource> MemorySource(std::string_view bytes) { return std::make_unique<TextSource>(bytes); }

Result<std::unique_ptr<ByteSource>> Decompress(std::unique_ptr<ByteSource> source, ExpansionLimit limit) {
  std::string head(4, '\0');
  size_t have = 0;
  while (have < head.size()) {
    const size_t got = TRY(source->Read(head.data() + have, head.size() - have));
    if (got == 0) break;
    have += got;
  }
  head.resize(have);
  auto rewound = std::make_unique<Rewound>(head, std::move(source));
  if (head.starts_with("\x1f\x8b\x08")) {
    return std::unique_ptr<ByteSource>(std::make_unique<GzipSource>(std::move(rewound), limit));
  }
  if (head == "\x28\xb5\x2f\xfd") {
    return std::unique_ptr<ByteSource>(std::make_unique<ZstdSource>(std::move(rewound), limit));
  }
  return std::unique_ptr<ByteSource>(std::move(rewound));
}

}  // namespace knarr::image
