#include "cli/console.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <optional>

namespace knarr::cli {
namespace {

constexpr size_t kBufferMax = 64 << 10;
constexpr size_t kReadSize = 32 << 10;

/// What the signal handler writes to; -1: nothing.
std::atomic<int> signalled_fd = -1;
static_assert(std::atomic<int>::is_always_lock_free, "signal handlers can't take locks");

void OnResize(int /*signal*/) {
  const int before = errno;
  const uint64_t one = 1;
  const int fd = signalled_fd;
  // Full means that it was told already.
  if (fd >= 0) [[maybe_unused]]
    ssize_t wrote = write(fd, &one, sizeof one);
  errno = before;
}

class ProcessConsole : public Console {
 public:
  explicit ProcessConsole(rt::Runtime& runtime) : runtime_(runtime) {}

  ~ProcessConsole() override {
    RestoreMode();
    if (resize_fd_ >= 0) {
      signal(SIGWINCH, SIG_DFL);
      signalled_fd = -1;
      runtime_.ForgetFd(resize_fd_);
      close(resize_fd_);
    }
  }

  Ok Out(std::string_view text) override {
    buffer_ += text;
    return buffer_.size() >= kBufferMax ? Flush() : Ok();
  }

  Ok Err(std::string_view text) override {
    TRY(Flush());
    return WriteAll(STDERR_FILENO, text);
  }

  Ok Flush() override {
    std::string text;
    text.swap(buffer_);
    return WriteAll(STDOUT_FILENO, text);
  }

  Result<std::string> Read() override {
    // Reading on the pool, not with O_NONBLOCK: that flag would stay on the terminal the shell goes on using.
    std::string out(kReadSize, '\0');
    ssize_t got = -1;
    int error = 0;
    Ok ready = WaitReadable();
    if (!ready.ok()) return ready.status();
    runtime_.Blocking([&] {
      got = read(STDIN_FILENO, out.data(), out.size());
      error = errno;
    });
    if (got < 0) return FromErrno(error, "read standard input");
    out.resize(static_cast<size_t>(got));
    return out;
  }

  bool InIsTerminal() const override { return isatty(STDIN_FILENO) != 0; }
  bool OutIsTerminal() const override { return isatty(STDOUT_FILENO) != 0; }

  WindowSize Size() const override {
    winsize size{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return {};
    return {size.ws_col, size.ws_row};
  }

  Ok WaitResize() override {
    if (resize_fd_ < 0) {
      resize_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
      if (resize_fd_ < 0) return FromErrno(errno, "eventfd");
      signalled_fd = resize_fd_;
      // A handler, not a signalfd: that would need the signal blocked in every thread of the process.
      struct sigaction action{};
      action.sa_handler = OnResize;
      action.sa_flags = SA_RESTART;
      if (sigaction(SIGWINCH, &action, nullptr) != 0) return FromErrno(errno, "sigaction");
    }
    TRY(runtime_.WaitFd(resize_fd_, rt::FdEvent::kReadable));
    uint64_t count = 0;
    while (read(resize_fd_, &count, sizeof count) > 0) {
    }
    return {};
  }

  Ok SetRawMode() override {
    if (saved_ || !InIsTerminal()) return {};
    termios mode{};
    if (tcgetattr(STDIN_FILENO, &mode) != 0) return FromErrno(errno, "tcgetattr");
    saved_ = mode;
    cfmakeraw(&mode);
    if (tcsetattr(STDIN_FILENO, TCSANOW, &mode) != 0) return FromErrno(errno, "tcsetattr");
    return {};
  }

  void RestoreMode() override {
    if (saved_) tcsetattr(STDIN_FILENO, TCSANOW, &*saved_);
    saved_.reset();
  }

 private:
  /// Regular files are always ready and can't be waited for (EPERM from the event loop).
  Ok WaitReadable() {
    Ok ready = runtime_.WaitFd(STDIN_FILENO, rt::FdEvent::kReadable);
    if (ready.Failed(Reason::kForbidden)) return {};
    return ready;
  }

  static Ok WriteAll(int fd, std::string_view text) {
    while (!text.empty()) {
      ssize_t wrote = write(fd, text.data(), text.size());
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0 && errno == EAGAIN) {
        // A pipe that somebody else made non-blocking.
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
        continue;
      }
      if (wrote < 0) return Unavailable(FromErrno(errno, "write").message());
      text.remove_prefix(static_cast<size_t>(wrote));
    }
    return {};
  }

  rt::Runtime& runtime_;
  std::string buffer_;
  std::optional<termios> saved_;
  int resize_fd_ = -1;
};

}  // namespace

Result<std::string> Console::ReadAll(size_t limit) {
  std::string out;
  while (true) {
    std::string part = TRY(Read());
    if (part.empty()) return out;
    out += part;
    if (out.size() > limit) return Status(Reason::kRequestEntityTooLarge, "standard input is too long");
  }
}

std::unique_ptr<Console> MakeProcessConsole(rt::Runtime& runtime) { return std::make_unique<ProcessConsole>(runtime); }

Ok MemoryConsole::Out(std::string_view text) {
  out += text;
  return {};
}

Ok MemoryConsole::Err(std::string_view text) {
  err += text;
  return {};
}

Result<std::string> MemoryConsole::Read() {
  std::string text;
  text.swap(input);
  return text;
}

}  // namespace knarr::cli
