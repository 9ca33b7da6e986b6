#include <fmt/format.h>

#include "api/core_v1.h"
#include "base/ip.h"
#include "net/socket.h"
#include "node/agent.h"

// Commands in containers, attaching to them, and connections to their ports.

namespace knarr::node {
namespace {

using api::core_v1::Pod;

/// What the API server sees of the streams of a container.
class ExecAdapter : public client::ExecStream {
 public:
  explicit ExecAdapter(std::unique_ptr<runtime::ExecSession> session) : session_(std::move(session)) {}
  Result<Chunk> Read() override {
    runtime::ExecSession::Chunk chunk = TRY(session_->Read());
    return Chunk{chunk.fd, std::move(chunk.data)};
  }
  Ok WriteStdin(std::string_view data) override { return session_->WriteStdin(data); }
  void CloseStdin() override { session_->CloseStdin(); }
  Ok Resize(uint16_t columns, uint16_t rows) override { return session_->Resize(columns, rows); }
  Result<int> Wait() override { return session_->Wait(); }
  void Close() override { session_->Close(); }

 private:
  std::unique_ptr<runtime::ExecSession> session_;
};

/// Whether the input of a container ends with that of the first who attaches.
bool TakesInputOnce(const api::Object& pod, std::string_view name) {
  for (auto container : Pod(pod.tree()).spec().containers()) {
    if (container.name() == name) return container.stdin_once();
  }
  for (auto container : Pod(pod.tree()).spec().ephemeral_containers()) {
    if (container.name() == name) return container.stdin_once();
  }
  return false;
}

}  // namespace

Result<std::string> Agent::FindRunning(std::string_view ns, std::string_view pod, std::string_view container) {
  PodWorker* worker = FindWorker(ns, pod);
  if (worker == nullptr) return NotFound(fmt::format("pod \"{}\" not found on node {}", pod, options_.node_name));
  const ContainerRecord* record = TRY(PickContainer(*worker, container));
  if (!record->running()) return NotFound(fmt::format("container not found (\"{}\")", record->name));
  return record->current->id;
}

Result<std::unique_ptr<client::ExecStream>> Agent::Exec(std::string_view ns, std::string_view pod,
                                                        const client::ExecOptions& options) {
  const std::string id = TRY(FindRunning(ns, pod, options.container));
  const runtime::ExecSpec spec{.command = options.command, .stdin_open = options.stdin_open, .tty = options.tty};
  auto session = TRY(containers_.Exec(id, spec));
  return std::unique_ptr<client::ExecStream>(new ExecAdapter(std::move(session)));
}

Result<std::unique_ptr<client::ExecStream>> Agent::Attach(std::string_view ns, std::string_view pod,
                                                          const client::AttachOptions& options) {
  const std::string id = TRY(FindRunning(ns, pod, options.container));
  const runtime::AttachSpec spec{.stdin_open = options.stdin_open,
                                 .stdout_open = options.stdout_open,
                                 .stderr_open = options.stderr_open,
                                 .stdin_once = TakesInputOnce(FindWorker(ns, pod)->pod(), options.container)};
  auto session = TRY(containers_.Attach(id, spec));
  return std::unique_ptr<client::ExecStream>(new ExecAdapter(std::move(session)));
}

Result<std::unique_ptr<net::Stream>> Agent::Dial(std::string_view ns, std::string_view pod, uint16_t port) {
  PodWorker* worker = FindWorker(ns, pod);
  if (worker == nullptr) return NotFound("pod does not exist");
  if (!worker->sandbox() || !worker->state().sandbox_ready) {
    return NotFound(fmt::format("failed to find sandbox of pod \"{}\"", pod));
  }
  const std::string place = worker->sandbox()->network_namespace;
  std::string failures;
  for (const IpAddress& ip : {IpAddress::V4(0x7f000001), MUST(IpAddress::Parse("::1"))}) {  // constants are addresses
    auto stream = place.empty() ? net::Connect(runtime_, {ip.ToString(), port, {}})
                                : net::ConnectInside(runtime_, place, ip, port);
    if (stream.ok()) return stream;
    TRY(runtime_.CheckCancelled());
    failures += fmt::format("{}{}: {}", failures.empty() ? "" : " ", ip.is_v4() ? "IPv4" : "IPv6",
                            stream.status().message());
  }
  const std::string inside = place.empty() ? "" : fmt::format(" inside namespace \"{}\"", place);
  return Unavailable(fmt::format("failed to connect to localhost:{}{}, {}", port, inside, failures));
}

}  // namespace knarr::node
