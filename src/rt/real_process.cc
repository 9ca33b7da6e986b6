// Child processes: started with posix_spawn (which shares our memory until the exec, so that its cost does not grow
// with ours) and waited for by pidfd.

#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/check.h"
#include "base/log.h"
#include "rt/real_loop.h"

extern char** environ;

namespace knarr::rt {
namespace {

int OpenPidfd(int pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

// What is known of a child; kept by its Process and by the loop's watch.
struct ChildState {
  ChildState(RealLoop& child_loop, int child_pid, int child_pidfd)
      : loop(child_loop), pid(child_pid), pidfd(child_pidfd), ended(child_loop) {}
  // Still open when the program ends before the child.
  ~ChildState() {
    if (pidfd >= 0) close(pidfd);
  }
  ChildState(const ChildState&) = delete;
  ChildState& operator=(const ChildState&) = delete;
  RealLoop& loop;
  int pid;
  int pidfd;
  Event ended;
  ExitStatus status;
};

// The loop calls it once the child has ended.
void Reap(const std::shared_ptr<ChildState>& child) {
  siginfo_t info{};
  int result = 0;
  do {
    result = waitid(P_PID, static_cast<id_t>(child->pid), &info, WEXITED | WNOHANG);
  } while (result != 0 && errno == EINTR);
  if (result == 0 && info.si_pid == child->pid) {
    if (info.si_code == CLD_EXITED) {
      child->status.code = info.si_status;
    } else {
      child->status.signal = info.si_status;
    }
  } else {
    LOG_ERROR("child process was reaped by somebody else", {"pid", child->pid});
    child->status.code = -1;
  }
  child->loop.ForgetFd(child->pidfd);
  close(child->pidfd);
  child->pidfd = -1;
  child->ended.Set();
}

class RealProcess : public Process {
 public:
  explicit RealProcess(std::shared_ptr<ChildState> child) : child_(std::move(child)) {}
  int pid() const override { return child_->pid; }
  Ok Kill(int signal) override {
    const std::string what = "kill process " + std::to_string(child_->pid);
    if (child_->pidfd < 0) return NotFound(what + ": it has ended");
    // By pidfd, so that a reused number is never hit.
    if (syscall(SYS_pidfd_send_signal, child_->pidfd, signal, nullptr, 0) == 0) return {};
    if (errno == ESRCH) return NotFound(what + ": it has ended");
    return FromErrno(errno, what);
  }
  Result<ExitStatus> Wait() override {
    TRY(child_->ended.Wait());
    return child_->status;
  }

 private:
  std::shared_ptr<ChildState> child_;
};

// posix_spawn's two argument objects, and the descriptors that live until the child has its copies.
class SpawnPlan {
 public:
  SpawnPlan() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
    for (const int fd : held_) close(fd);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  Ok Make(const ProcessSpec& spec) {
    TRY(PlaceDescriptors(spec));
    if (!spec.directory.empty()) posix_spawn_file_actions_addchdir_np(&actions_, spec.directory.c_str());
    // Signals as a new program expects them: nothing blocked, nothing ignored.
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (spec.new_session) flags |= POSIX_SPAWN_SETSID;
    posix_spawnattr_setflags(&attributes_, static_cast<short>(flags));

    for (const std::string& argument : spec.argv) arguments_.push_back(const_cast<char*>(argument.c_str()));
    arguments_.push_back(nullptr);
    if (spec.inherit_environment) {
      for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        if (!Overridden(*variable, spec.environment)) environment_.push_back(*variable);
      }
    }
    for (const std::string& variable : spec.environment) environment_.push_back(const_cast<char*>(variable.c_str()));
    environment_.push_back(nullptr);
    return {};
  }

  Result<int> Spawn() {
    pid_t pid = -1;
    const int error =
        posix_spawnp(&pid, arguments_[0], &actions_, &attributes_, arguments_.data(), environment_.data());
    if (error != 0) return FromErrno(error, std::string("start ") + arguments_[0]);
    return pid;
  }

 private:
  static bool Overridden(std::string_view variable, const std::vector<std::string>& by) {
    const std::string_view name = variable.substr(0, variable.find('=') + 1);
    return std::ranges::any_of(by, [&](const std::string& other) { return other.starts_with(name); });
  }

  // Sources are first copied above all targets, so that no target overwrites a source that is still needed.
  Ok PlaceDescriptors(const ProcessSpec& spec) {
    std::vector<std::pair<int, int>> places = {{spec.stdin_fd, 0}, {spec.stdout_fd, 1}, {spec.stderr_fd, 2}};
    places.insert(places.end(), spec.pass_fds.begin(), spec.pass_fds.end());
    int above = 3;
    for (const auto& [from, to] : places) above = std::max(above, to + 1);
    for (const auto& [from, to] : places) {
      int copy = -1;
      if (from < 0) {
        const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null < 0) return FromErrno(errno, "open /dev/null");
        copy = fcntl(null, F_DUPFD_CLOEXEC, above);
        close(null);
      } else {
        copy = fcntl(from, F_DUPFD_CLOEXEC, above);
      }
      if (copy < 0) return FromErrno(errno, "pass descriptor " + std::to_string(from));
      held_.push_back(copy);
      posix_spawn_file_actions_adddup2(&actions_, copy, to);
    }
    // Ours are all close-on-exec; a library's may not be.
    posix_spawn_file_actions_addclosefrom_np(&actions_, above);
    // What lies between the standard three and `above` without being passed would be inherited.
    for (int fd = 3; fd < above; ++fd) {
      const bool passed = std::ranges::any_of(spec.pass_fds, [fd](const auto& pair) { return pair.second == fd; });
      if (!passed) posix_spawn_file_actions_addclose(&actions_, fd);
    }
    return {};
  }

  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
  std::vector<int> held_;
  std::vector<char*> arguments_;
  std::vector<char*> environment_;
};

struct Pipe {
  int read = -1;
  int write = -1;
  Pipe() = default;
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    CloseRead();
    CloseWrite();
  }
  Ok Open() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return FromErrno(errno, "pipe");
    read = fds[0];
    write = fds[1];
    return {};
  }
  void CloseRead() {
    if (read >= 0) close(std::exchange(read, -1));
  }
  void CloseWrite() {
    if (write >= 0) close(std::exchange(write, -1));
  }
};

void MakeNonBlocking(int fd) { (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

enum class Drained : uint8_t { kEnd, kEmptyNow, kMore };

// Reads what there is, but not more than a pipe can hold: who writes as fast as this reads must not keep the loop.
// Beyond `limit` it is dropped.
Drained Drain(int fd, std::string& out, size_t limit) {
  constexpr size_t kOnceMax = 1 << 20;  // the kernel's own bound for a pipe
  char buffer[16 << 10];
  for (size_t taken = 0; taken < kOnceMax;) {
    const ssize_t got = read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return Drained::kEmptyNow;
    if (got <= 0) return Drained::kEnd;
    taken += static_cast<size_t>(got);
    out.append(buffer, std::min(static_cast<size_t>(got), limit - std::min(limit, out.size())));
  }
  return Drained::kMore;
}

// A child whose end nobody would hear of must not run.
Status Abandon(int pid, Status why) {
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  return why;
}

class RealProcesses : public Processes {
 public:
  explicit RealProcesses(RealLoop& loop) : loop_(loop) {}

  Result<std::unique_ptr<Process>> Start(const ProcessSpec& spec) override {
    if (spec.argv.empty()) return BadRequest("start a process: no command");
    SpawnPlan plan;
    TRY(plan.Make(spec));
    Result<int> pid = Internal("not started");
    loop_.Blocking([&] { pid = plan.Spawn(); });
    if (!pid.ok()) return pid.status();
    // Nobody else reaps our children, so the number is still this child's.
    const int pidfd = OpenPidfd(*pid);
    if (pidfd < 0) return Abandon(*pid, FromErrno(errno, "pidfd_open " + spec.argv[0]));
    (void)fcntl(pidfd, F_SETFD, FD_CLOEXEC);
    auto child = std::make_shared<ChildState>(loop_, *pid, pidfd);
    const Ok watched = loop_.WatchOnce(pidfd, [child] { Reap(child); });
    if (!watched.ok()) return Abandon(*pid, watched.status());
    return std::unique_ptr<Process>(std::make_unique<RealProcess>(std::move(child)));
  }

  Result<Output> Run(const ProcessSpec& spec, std::string_view input, size_t limit) override {
    Pipe in;
    Pipe out;
    Pipe err;
    TRY(in.Open());
    TRY(out.Open());
    TRY(err.Open());
    ProcessSpec with_pipes = spec;
    with_pipes.stdin_fd = in.read;
    with_pipes.stdout_fd = out.write;
    with_pipes.stderr_fd = err.write;
    const std::unique_ptr<Process> process = TRY(Start(with_pipes));
    in.CloseRead();
    out.CloseWrite();
    err.CloseWrite();
    MakeNonBlocking(in.write);
    MakeNonBlocking(out.read);
    MakeNonBlocking(err.read);

    Output output;
    TaskGroup streams(loop_, "streams of " + spec.argv[0]);
    streams.Spawn("stdin", [&] { Feed(in, input); });
    streams.Spawn("stdout", [&] { Collect(out.read, output.out, limit); });
    streams.Spawn("stderr", [&] { Collect(err.read, output.err, limit); });
    Result<ExitStatus> status = process->Wait();
    if (!status.ok()) {
      const Shield shield(loop_);
      (void)process->Kill(SIGKILL);  // it may have ended by itself
      (void)process->Wait();
    }
    streams.StopAndJoin();
    // What the process wrote last is still in the pipes. Their end is not waited for: a grandchild may hold them open.
    (void)Drain(out.read, output.out, limit);
    (void)Drain(err.read, output.err, limit);
    for (const int fd : {in.write, out.read, err.read}) loop_.ForgetFd(fd);
    if (!status.ok()) return status.status();
    output.status = *status;
    return output;
  }

  Ok WaitForeign(int pid) override {
    const int pidfd = OpenPidfd(pid);
    if (pidfd < 0 && errno == ESRCH) return NotFound("process " + std::to_string(pid) + " is gone");
    if (pidfd < 0) return FromErrno(errno, "pidfd_open " + std::to_string(pid));
    (void)fcntl(pidfd, F_SETFD, FD_CLOEXEC);
    Ok waited = loop_.WaitFd(pidfd, FdEvent::kReadable);
    loop_.ForgetFd(pidfd);
    close(pidfd);
    return waited;
  }

 private:
  void Feed(Pipe& in, std::string_view input) {
    while (!input.empty()) {
      const ssize_t written = write(in.write, input.data(), input.size());
      if (written >= 0) {
        input.remove_prefix(static_cast<size_t>(written));
      } else if (errno == EAGAIN) {
        if (!loop_.WaitFd(in.write, FdEvent::kWritable).ok()) return;
      } else if (errno != EINTR) {
        break;  // the process does not read its input
      }
    }
    loop_.ForgetFd(in.write);
    in.CloseWrite();
  }

  void Collect(int fd, std::string& out, size_t limit) {
    while (Drain(fd, out, limit) != Drained::kEnd) {
      if (!loop_.WaitFd(fd, FdEvent::kReadable).ok()) return;
    }
  }

  RealLoop& loop_;
};

}  // namespace

std::unique_ptr<Processes> MakeRealProcesses(RealLoop& loop) { return std::make_unique<RealProcesses>(loop); }

}  // namespace knarr::rt
