#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/log.h"
#include "base/strings.h"
#include "runtime/engine_impl.h"
#include "runtime/kernel.h"
#include "runtime/oci_error.h"

namespace knarr::runtime {

namespace {

constexpr size_t kChunkSize = 16 << 10;
constexpr size_t kChunksMax = 4;

/// Whether stdout and stderr come as one stream.
enum class Streams : uint8_t { kApart, kTogether };

}  // namespace

/// An exec's streams are pipes (or the terminal) that reach from the process to us; the shim only starts it and tells
/// of its end.
class Session final : public ExecSession {
 public:
  Session(EngineImpl& engine, SandboxPtr sandbox)
      : engine_(engine),
        runtime_(engine.runtime_),
        sandbox_(std::move(sandbox)),
        id_(engine.NewId(16)),
        state_(std::make_shared<ExecState>(runtime_)),
        chunks_(runtime_, kChunksMax),
        readers_(runtime_, "exec") {}
  ~Session() override {
    Close();
    for (OwnedFd& fd : outputs_) Release(fd);
    Release(input_);
  }

  Ok Start(const ContainerEntry& container, const ExecSpec& spec, Streams streams);

  Result<Chunk> Read() override {
    auto chunk = chunks_.Pop();
    if (chunk.ok()) return chunk;
    TRY(runtime_.CheckCancelled());
    return Chunk{};  // the queue is closed: both streams have ended
  }
  Ok WriteStdin(std::string_view data) override;
  void CloseStdin() override {
    if (!tty_) Release(input_);
  }
  Ok Resize(uint16_t columns, uint16_t rows) override;
  Result<int> Wait() override {
    TRY(state_->exited.Wait());
    if (state_->lost) return Unavailable("exec " + id_ + ": the sandbox's shim has gone");
    return state_->code;
  }
  void Close() override;

 private:
  void Release(OwnedFd& fd) {
    if (fd.ok()) runtime_.ForgetFd(fd.get());
    fd.Reset();
  }
  void StartReaders();
  void ReadLoop(size_t index);

  EngineImpl& engine_;
  rt::Runtime& runtime_;
  SandboxPtr sandbox_;
  std::string id_;
  std::shared_ptr<ExecState> state_;
  bool started_ = false;
  bool tty_ = false;
  OwnedFd input_;
  std::array<OwnedFd, 2> outputs_;
  std::array<rt::CancelScope*, 2> waits_ = {};  // a reader's wait, that the process' end cuts short
  size_t reading_ = 0;
  rt::Queue<Chunk> chunks_;
  rt::TaskGroup readers_;
};

Ok Session::Start(const ContainerEntry& container, const ExecSpec& spec, Streams streams) {
  tty_ = spec.tty;
  std::vector<OwnedFd> theirs;
  std::string flags = tty_ ? "t" : "-";
  if (!tty_ && spec.stdin_open) {
    auto [read_end, write_end] = TRY(MakePipe(PipeSide::kWrite));
    theirs.push_back(std::move(read_end));
    input_ = std::move(write_end);
    flags += 'i';
  }
  for (size_t i = 0; !tty_ && i < (streams == Streams::kApart ? 2U : 1U); i++) {
    auto [read_end, write_end] = TRY(MakePipe(PipeSide::kRead));
    outputs_[i] = std::move(read_end);
    theirs.push_back(std::move(write_end));
  }
  std::vector<int> fds;
  const auto& ids = sandbox_->record.spec.user_namespace;
  for (const OwnedFd& fd : theirs) {
    fds.push_back(fd.get());
    // What nobody in the pod owns can't be opened there by its name, /dev/stdout.
    if (ids && fchown(fd.get(), ids->first, ids->first) != 0) return FromErrno(errno, "give a pipe to the pod");
  }
  // The last step before the shim is asked, which removes the file when it is through.
  const std::string path = sandbox_->directory + "/" + id_ + ".json";
  TRY(engine_.InPool([&]() -> Ok {
    const auto config = kernel::ReadFile(container.directory + "/config.json", 16 << 20);
    const auto process = config.ok() ? MakeExecProcess(*config, spec.command, spec.tty) : config;
    return process.ok() ? kernel::ReplaceFile(path, *process) : Ok(process.status());
  }));
  const auto client = sandbox_->client;
  if (client == nullptr) return Unavailable("its sandbox is not running");
  sandbox_->execs[id_] = state_;
  started_ = true;  // also when the answer is not waited for
  auto reply = client->Call({"exec", id_, container.record.id, flags}, fds);
  if (!reply.ok()) {
    sandbox_->execs.erase(id_);
    if (!reply.status().Is(Reason::kInternalError)) return reply.status();
    started_ = false;
    const std::string program = spec.command.empty() ? "" : spec.command[0];
    return Internal(ExecErrorMessage(id_, TranslateOciError(reply.status().message(), program)));
  }
  if (tty_) outputs_[0] = std::move(reply->fd);
  StartReaders();
  return {};
}

void Session::StartReaders() {
  state_->on_exit = [this] {
    for (rt::CancelScope* wait : waits_) {
      if (wait != nullptr) wait->Stop();
    }
  };
  for (size_t i = 0; i < outputs_.size(); i++) {
    if (outputs_[i].ok()) reading_++;
  }
  if (reading_ == 0) chunks_.Close();
  for (size_t i = 0; i < outputs_.size(); i++) {
    if (!outputs_[i].ok()) continue;
    readers_.Spawn("exec output", [this, i] {
      ReadLoop(i);
      if (--reading_ == 0) chunks_.Close();
    });
  }
}

// Until the end of the stream; or, once the process has ended, until what it wrote is read: a child it left behind may
// hold the pipe open for ever.
void Session::ReadLoop(size_t index) {
  const int fd = outputs_[index].get();
  for (;;) {
    std::string data(kChunkSize, '\0');
    const ssize_t got = read(fd, data.data(), data.size());
    if (got > 0) {
      data.resize(static_cast<size_t>(got));
      if (!chunks_.Push({static_cast<int>(index) + 1, std::move(data)}).ok()) return;
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got == 0 || errno != EAGAIN || state_->exited.is_set()) return;  // a terminal's end is EIO
    rt::CancelScope wait(runtime_);
    waits_[index] = &wait;
    const Ok ready = runtime_.WaitFd(fd, rt::FdEvent::kReadable);
    waits_[index] = nullptr;
    if (!ready.ok() && !wait.stopped()) return;
  }
}

Ok Session::WriteStdin(std::string_view data) {
  const OwnedFd& fd = tty_ ? outputs_[0] : input_;
  if (!fd.ok()) return BadRequest("exec " + id_ + ": standard input is closed");
  return WriteAll(runtime_, fd.get(), data, "exec " + id_ + ": write its standard input");
}

Ok Session::Resize(uint16_t columns, uint16_t rows) {
  if (!tty_ || !outputs_[0].ok()) return BadRequest("exec " + id_ + " has no terminal");
  struct winsize size = {};
  size.ws_col = columns;
  size.ws_row = rows;
  if (ioctl(outputs_[0].get(), TIOCSWINSZ, &size) != 0) return FromErrno(errno, "resize the terminal of exec " + id_);
  return {};
}

void Session::Close() {
  const rt::Shield shield(runtime_);
  if (started_ && !state_->exited.is_set()) {
    if (const auto client = sandbox_->client; client != nullptr) {
      const auto killed = client->Call({"kill-exec", id_, std::to_string(SIGKILL)});
      if (!killed.ok()) LOG_WARN("an exec was not killed", {"exec", id_}, {"error", killed.status()});
    }
  }
  state_->on_exit = nullptr;
  chunks_.Close();
  readers_.StopAndJoin();
}

Ok WriteAll(rt::Runtime& runtime, int fd, std::string_view data, const std::string& what) {
  while (!data.empty()) {
    const ssize_t wrote = write(fd, data.data(), data.size());
    if (wrote > 0) data.remove_prefix(static_cast<size_t>(wrote));
    if (wrote >= 0 || errno == EINTR) continue;
    if (errno != EAGAIN) return FromErrno(errno, what);
    TRY(runtime.WaitFd(fd, rt::FdEvent::kWritable));
  }
  return {};
}

Result<std::unique_ptr<ExecSession>> EngineImpl::Exec(const std::string& id, const ExecSpec& spec) {
  const Found found = TRY(FindContainer(id));
  if (found.container->state != ContainerState::kRunning) {
    return Conflict("container " + id + " is not running");
  }
  auto session = std::make_unique<Session>(*this, found.sandbox);
  TRY(session->Start(*found.container, spec, Streams::kApart));
  return Result<std::unique_ptr<ExecSession>>(std::move(session));
}

Result<ExecResult> EngineImpl::ExecSync(const std::string& id, const std::vector<std::string>& command,
                                        Duration timeout, size_t output_max) {
  const Found found = TRY(FindContainer(id));
  if (found.container->state != ContainerState::kRunning) return Conflict("container " + id + " is not running");
  Session session(*this, found.sandbox);
  ExecResult out;
  const auto run = [&]() -> Ok {
    const rt::CancelScope scope(runtime_, timeout);
    TRY(session.Start(*found.container, {command, false, false}, Streams::kTogether));
    for (;;) {
      const auto chunk = TRY(session.Read());
      if (chunk.data.empty()) break;
      out.output.append(chunk.data, 0, output_max - std::min(output_max, out.output.size()));
    }
    out.exit_code = TRY(session.Wait());
    return {};
  };
  const Ok ran = run();
  if (ran.ok()) return out;
  if (ran.Failed(Reason::kTimeout)) {
    return Timeout("failed to exec in container: timeout " + FormatDuration(timeout) +
                   " exceeded: context deadline exceeded");
  }
  return ran.status();
}

}  // namespace knarr::runtime
