#include "cli/console.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <optional>

namespace knarr::cli {
namespace {

constexpr size_t kBufferMax = 64 << 10;
constexpr size_t kReadSize = 32 << 10;

class ProcessConsole : public Console {
 public:
  explicit ProcessConsole(rt::Runtime& runtime) : runtime_(runtime) {}

  ~ProcessConsole() override {
    RestoreMode();
    if (resize_fd_ >= 0) {
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
      sigset_t set;
      sigemptyset(&set);
      sigaddset(&set, SIGWINCH);
      sigprocmask(SIG_BLOCK, &set, nullptr);
      resize_fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
      if (resize_fd_ < 0) return FromErrno(errno, "signalfd");
    }
    TRY(runtime_.WaitFd(resize_fd_, rt::FdEvent::kReadable));
    signalfd_siginfo info;
    while (read(resize_fd_, &info, sizeof info) > 0) {
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
