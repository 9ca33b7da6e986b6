#include "node/probe.h"

#include <fmt/format.h>

#include "base/strings.h"
#include "net/http_client.h"

namespace knarr::node {
namespace {

using api::core_v1::Container;
using api::core_v1::Probe;

// Upstream reads at most this much of a probe's answer.
constexpr size_t kBodyMax = 10 << 10;

Duration TimeoutOf(Probe probe) { return std::chrono::seconds(std::max(1, probe.timeout_seconds())); }

Result<ProbeOutcome> TryExec(runtime::Runtime& containers, Probe probe, const ProbeTarget& target) {
  std::vector<std::string> command;
  for (std::string_view word : probe.exec().command()) command.emplace_back(word);
  Result<runtime::ExecResult> ran = containers.ExecSync(target.container_id, command, TimeoutOf(probe));
  if (ran.ok()) return ProbeOutcome{ran->exit_code == 0, std::string(TrimSpace(ran->output))};
  if (ran.Failed(Reason::kCancelled)) return ran.status();
  if (ran.Failed(Reason::kTimeout)) {
    return ProbeOutcome{false, fmt::format("command timed out: \"{}\" timed out after {}", fmt::join(command, " "),
                                           FormatDuration(TimeoutOf(probe)))};
  }
  return ProbeOutcome{false, ran.status().message()};
}

/// Whether the failure is our own end and not the container's answer.
bool IsOurEnd(rt::Runtime& runtime, const Status& status) {
  return status.Is(Reason::kCancelled) || !runtime.CheckCancelled().ok();
}

Result<ProbeOutcome> TryTcp(rt::Runtime& runtime, Probe probe, Container container, const ProbeTarget& target) {
  auto action = probe.tcp_socket();
  Result<uint16_t> port = ResolvePort(action.port(), container);
  if (!port.ok()) return ProbeOutcome{false, port.status().message()};
  net::Endpoint endpoint{.host = std::string(action.host().empty() ? target.pod_ip : action.host()), .port = *port};
  Result<std::unique_ptr<net::Stream>> stream = Internal("not tried");
  {
    rt::CancelScope scope(runtime, TimeoutOf(probe));
    stream = net::Connect(runtime, endpoint);
  }
  if (stream.ok()) return ProbeOutcome{true, ""};
  if (IsOurEnd(runtime, stream.status())) return stream.status();
  if (stream.Failed(Reason::kTimeout)) {
    return ProbeOutcome{false, fmt::format("dial tcp {}: i/o timeout", endpoint.ToString())};
  }
  return ProbeOutcome{false, stream.status().message()};
}

Result<net::ClientRequest> HttpRequest(Probe probe, Container container, const ProbeTarget& target) {
  auto action = probe.http_get();
  uint16_t port = TRY(ResolvePort(action.port(), container));
  const std::string host(action.host().empty() ? target.pod_ip : action.host());
  std::string path(action.path());
  if (!path.starts_with('/')) path.insert(0, "/");
  const bool v6 = host.find(':') != std::string::npos;
  net::ClientRequest request;
  request.url =
      TRY(net::Url::Parse(fmt::format("{}://{}:{}{}", ToLower(action.scheme().empty() ? "http" : action.scheme()),
                                      v6 ? "[" + host + "]" : host, port, path)));
  request.headers.Add("User-Agent", "kube-probe/1.36");
  request.headers.Add("Accept", "*/*");
  for (auto header : action.http_headers()) request.headers.Set(header.name(), std::string(header.value()));
  request.headers.Set("Connection", "close");
  return request;
}

Result<ProbeOutcome> TryHttp(rt::Runtime& runtime, Probe probe, Container container, const ProbeTarget& target) {
  Result<net::ClientRequest> request = HttpRequest(probe, container, target);
  if (!request.ok()) return ProbeOutcome{false, request.status().message()};
  net::HttpClientOptions options{.connections_max = 1, .http2 = false};
  if (request->url.scheme == "https") {
    // The kubelet does not verify a probed server's certificate.
    options.tls = TRY(net::TlsClientContext::Create({.insecure = true, .server_name = request->url.host}));
  }
  const std::string url = request->url.ToString();
  Result<int> code = Internal("not tried");
  {
    rt::CancelScope scope(runtime, TimeoutOf(probe));
    auto client = net::HttpClient::Create(runtime, options);
    code = [&]() -> Result<int> {
      auto response = TRY(client->Send(*request));
      (void)response->ReadAll(kBodyMax);  // a longer or broken body does not change the answer
      return response->code();
    }();
  }
  if (code.ok()) {
    const bool passed = *code >= 200 && *code < 400;
    return ProbeOutcome{passed, passed ? "" : fmt::format("HTTP probe failed with statuscode: {}", *code)};
  }
  if (IsOurEnd(runtime, code.status())) return code.status();
  if (code.Failed(Reason::kTimeout)) {
    return ProbeOutcome{false, fmt::format("Get \"{}\": context deadline exceeded (Client.Timeout exceeded while "
                                           "awaiting headers)",
                                           url)};
  }
  return ProbeOutcome{false, fmt::format("Get \"{}\": {}", url, code.status().message())};
}

}  // namespace

Result<uint16_t> ResolvePort(api::IntOrString port, Container container) {
  if (!port.is_string && port.number > 0 && port.number < 65536) return static_cast<uint16_t>(port.number);
  for (auto declared : container.ports()) {
    if (port.is_string && declared.name() == port.text) return static_cast<uint16_t>(declared.container_port());
  }
  return BadRequest(port.is_string ? fmt::format("port name {} not found in container {}", port.text, container.name())
                                   : fmt::format("invalid port number: {}", port.number));
}

Result<ProbeOutcome> TryProbe(rt::Runtime& runtime, runtime::Runtime& containers, Probe probe, Container container,
                              const ProbeTarget& target) {
  if (probe.exec()) return TryExec(containers, probe, target);
  if (probe.http_get()) return TryHttp(runtime, probe, container, target);
  if (probe.tcp_socket()) return TryTcp(runtime, probe, container, target);
  return ProbeOutcome{false, "this node knows only exec, httpGet and tcpSocket probes"};
}

std::string_view ProbeName(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::kStartup:
      return "Startup";
    case ProbeKind::kLiveness:
      return "Liveness";
    case ProbeKind::kReadiness:
      return "Readiness";
  }
  return "Liveness";
}

std::optional<bool> ProbeCounter::Add(bool passed) {
  run_ = passed == last_ ? run_ + 1 : 1;
  last_ = passed;
  if (run_ < (passed ? success_threshold_ : failure_threshold_)) return std::nullopt;
  return passed;
}

}  // namespace knarr::node
