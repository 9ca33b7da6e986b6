#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/log.h"
#include "runtime/engine_impl.h"

namespace knarr::runtime {

namespace {

constexpr size_t kChunkSize = 16 << 10;
constexpr size_t kChunksMax = 4;

}  // namespace

/// Pipes that the shim writes a container's output to as well, and the container's input itself.
class AttachSession final : public ExecSession {
 public:
  AttachSession(EngineImpl& engine, SandboxPtr sandbox, ContainerPtr container, const AttachSpec& spec)
      : runtime_(engine.runtime_),
        sandbox_(std::move(sandbox)),
        container_(std::move(container)),
        id_(container_->record.id),
        spec_(spec),
        chunks_(runtime_, kChunksMax),
        fibers_(runtime_, "attach") {}
  ~AttachSession() override {
    Close();
    for (OwnedFd& fd : outputs_) Release(fd);
    Release(input_);
  }

  Ok Start();

  Result<Chunk> Read() override {
    auto chunk = chunks_.Pop();
    if (chunk.ok()) return chunk;
    TRY(runtime_.CheckCancelled());
    return Chunk{};  // the queue is closed: the streams have ended
  }
  Ok WriteStdin(std::string_view data) override {
    if (!input_.ok() || !takes_input_) return BadRequest("container " + id_ + ": standard input is closed");
    return WriteAll(runtime_, input_.get(), data, "container " + id_ + ": write its standard input");
  }
  void CloseStdin() override;
  Ok Resize(uint16_t columns, uint16_t rows) override {
    const auto client = sandbox_->client;
    if (client == nullptr) return Unavailable("its sandbox is not running");
    TRY(client->Call({"resize", id_, std::to_string(columns), std::to_string(rows)}));
    return {};
  }
  Result<int> Wait() override { return 0; }
  void Close() override;

 private:
  void Release(OwnedFd& fd) {
    if (fd.ok()) runtime_.ForgetFd(fd.get());
    fd.Reset();
  }
  void ReadLoop(size_t index);
  bool ended() const { return container_->state == ContainerState::kExited; }

  rt::Runtime& runtime_;
  SandboxPtr sandbox_;
  ContainerPtr container_;
  const std::string id_;
  const AttachSpec spec_;
  bool tty_ = false;
  bool takes_input_ = false;
  bool input_over_ = false;
  OwnedFd input_;
  std::array<OwnedFd, 2> outputs_;
  size_t reading_ = 0;
  rt::Queue<Chunk> chunks_;
  rt::TaskGroup fibers_;
};

Ok AttachSession::Start() {
  std::string flags = "-";
  std::vector<OwnedFd> theirs;
  for (size_t i = 0; i < 2; i++) {
    if (i == 0 ? !spec_.stdout_open : (!spec_.stderr_open || container_->record.tty)) continue;
    auto [read_end, write_end] = TRY(MakePipe(PipeSide::kRead));
    outputs_[i] = std::move(read_end);
    theirs.push_back(std::move(write_end));
    flags += "oe"[i];
  }
  std::vector<int> fds;
  for (const OwnedFd& fd : theirs) fds.push_back(fd.get());
  const auto client = sandbox_->client;
  if (client == nullptr) return Unavailable("its sandbox is not running");
  auto reply = TRY(client->Call({"attach", id_, flags}, fds));
  if (reply.fields.size() != 2) return Internal("attach to container " + id_ + ": a malformed answer");
  tty_ = reply.fields[0] == "1";
  takes_input_ = spec_.stdin_open && reply.fields[1] == "1";
  if (takes_input_) {
    input_ = std::move(reply.fd);
    if (input_.ok()) fcntl(input_.get(), F_SETFL, (tty_ ? O_RDWR : O_WRONLY) | O_NONBLOCK);
  }
  for (const OwnedFd& fd : outputs_) reading_ += fd.ok() ? 1U : 0U;
  for (size_t i = 0; i < outputs_.size(); i++) {
    if (!outputs_[i].ok()) continue;
    fibers_.Spawn("attach output", [this, i] {
      ReadLoop(i);
      if (--reading_ == 0) chunks_.Close();
    });
  }
  if (reading_ > 0) return {};
  fibers_.Spawn("attach end", [this] {
    // Input alone: there is no stream whose end tells.
    if (container_->changed.WaitUntil([this] { return ended(); }).ok()) chunks_.Close();
  });
  return {};
}

void AttachSession::ReadLoop(size_t index) {
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
    if (got == 0 || errno != EAGAIN) return;
    if (!runtime_.WaitFd(fd, rt::FdEvent::kReadable).ok()) return;
  }
}

// The end of a client's input: also when the client goes away.
void AttachSession::CloseStdin() {
  if (std::exchange(input_over_, true) || !takes_input_) return;
  Release(input_);
  if (!spec_.stdin_once || tty_) {
    // The container's input goes on for the next who attaches: this one is through.
    if (!tty_) chunks_.Close();
    return;
  }
  const auto client = sandbox_->client;
  if (client == nullptr) return;
  const auto closed = client->Call({"close-stdin", id_});
  if (!closed.ok() && !closed.status().Is(Reason::kCancelled)) {
    LOG_WARN("a container's input was not closed", {"container", id_}, {"error", closed.status()});
  }
}

void AttachSession::Close() {
  const rt::Shield shield(runtime_);
  if (!ended()) CloseStdin();
  chunks_.Close();
  fibers_.StopAndJoin();
}

Result<std::unique_ptr<ExecSession>> EngineImpl::Attach(const std::string& id, const AttachSpec& spec) {
  const Found found = TRY(FindContainer(id));
  if (found.container->state != ContainerState::kRunning) return Conflict("container " + id + " is not running");
  auto session = std::make_unique<AttachSession>(*this, found.sandbox, found.container, spec);
  TRY(session->Start());
  return Result<std::unique_ptr<ExecSession>>(std::move(session));
}

}  // namespace knarr::runtime
