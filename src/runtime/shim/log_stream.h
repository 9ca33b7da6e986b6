#pragma once

// A container's log in CRI's form, one line a line of output:
//
//   2026-11-21T10:00:00.123456789Z stdout F the text
//
// with P instead of F for a piece of a line longer than 16 KiB, or for what a stream ended with without a newline. At
// most one piece a stream is held in memory, however much is written, and nothing is when the output ends in newlines.

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

namespace knarr::shim {

inline constexpr size_t kLineMax = 16384;

/// The file. A write that fails (a full disk) is undone, so that the file always ends with a whole line, and what it
/// held is counted as lost; the container is never held up.
class LogFile {
 public:
  /// 0 or errno. "" is a log that keeps nothing.
  int Open(const char* path);
  void Close();
  void Write(struct iovec* parts, int count);
  uint64_t lost_bytes() const { return lost_bytes_; }
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
  uint64_t lost_bytes_ = 0;
};

/// One stream's way into the file.
class LogStream {
 public:
  void Start(LogFile* file, const char* name) {
    file_ = file;
    name_ = name;
  }
  /// Takes output read at `now_ns` (since 1970).
  void Feed(const char* data, size_t size, int64_t now_ns);
  /// The stream has ended: what is left becomes a partial line.
  void Finish(int64_t now_ns);

 private:
  void Keep(const char* data, size_t size);

  LogFile* file_ = nullptr;
  const char* name_ = "stdout";
  char* partial_ = nullptr;  // kLineMax bytes while a line is unfinished
  size_t partial_size_ = 0;
};

/// Writes "2026-11-21T10:00:00.123456789Z" and a NUL. REQUIRES: 0 <= ns.
void FormatLogTime(int64_t ns, char out[31]);

}  // namespace knarr::shim
