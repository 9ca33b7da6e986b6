#include "node/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/strings.h"
#include "net/http_client.h"
#include "net/stream.h"
#include "node/environment.h"

namespace knarr::node {
namespace {

using api::core_v1::Container;
using api::core_v1::Probe;

// Upstream reads at most this much of a probe's answer.
constexpr size_t kBodyMax = 10 << 10;
constexpr int kRedirectsMax = 10;

Duration TimeoutOf(Probe probe) { return std::chrono::seconds(std::max(1, probe.timeout_seconds())); }

/// $(NAME) in a command stands for what the spec itself says of the variable.
std::vector<std::string> ExpandedCommand(Probe probe, Container container) {
  std::map<std::string, std::string, std::less<>> values;
  for (auto variable : container.env()) values[std::string(variable.name())] = std::string(variable.value());
  auto lookup = [&values](std::string_view name) {
    auto at = values.find(name);
    return at == values.end() ? nullptr : &at->second;
  };
  std::vector<std::string> command;
  for (std::string_view word : probe.exec().command()) command.push_back(ExpandVariables(word, lookup));
  return command;
}

Result<ProbeOutcome> TryExec(runtime::Runtime& containers, Probe probe, Container container,
                             const ProbeTarget& target) {
  const std::vector<std::string> command = ExpandedCommand(probe, container);
  Result<runtime::ExecResult> ran = containers.ExecSync(target.container_id, command, TimeoutOf(probe), kBodyMax);
  if (ran.ok()) return ProbeOutcome{.passed = ran->exit_code == 0, .message = std::string(TrimSpace(ran->output))};
  if (!ran.Failed(Reason::kTimeout)) return ran.status();
  return ProbeOutcome{.message = fmt::format("command timed out: {} timed out after {}",
                                             GoQuote(fmt::format("{}", fmt::join(command, " "))),
                                             FormatDuration(TimeoutOf(probe)))};
}

/// Whether the failure is our own end and not the container's answer.
bool IsOurEnd(rt::Runtime& runtime, const Status& status) {
  return status.Is(Reason::kCancelled) || !runtime.CheckCancelled().ok();
}

Result<ProbeOutcome> TryTcp(rt::Runtime& runtime, Probe probe, Container container, const ProbeTarget& target) {
  auto action = probe.tcp_socket();
  const uint16_t port = TRY(ResolvePort(action.port(), container));
  net::Endpoint endpoint{.host = std::string(action.host().empty() ? target.pod_ip : action.host()), .port = port};
  Result<std::unique_ptr<net::Stream>> stream = Internal("not tried");
  {
    rt::CancelScope scope(runtime, TimeoutOf(probe));
    stream = net::Connect(runtime, endpoint);
  }
  if (stream.ok()) return ProbeOutcome{.passed = true};
  if (IsOurEnd(runtime, stream.status())) return stream.status();
  if (stream.Failed(Reason::kTimeout)) {
    return ProbeOutcome{.message = fmt::format("dial tcp {}: i/o timeout", endpoint.ToString())};
  }
  return ProbeOutcome{.message = stream.status().message()};
}

}  // namespace

Result<net::ClientRequest> MakeHttpGet(api::core_v1::HTTPGetAction action, Container container,
                                       std::string_view pod_ip, std::string_view agent) {
  uint16_t port = TRY(ResolvePort(action.port(), container));
  const std::string host(action.host().empty() ? pod_ip : action.host());
  std::string path(action.path());
  if (!path.starts_with('/')) path.insert(0, "/");
  const bool v6 = host.find(':') != std::string::npos;
  net::ClientRequest request;
  request.url =
      TRY(net::Url::Parse(fmt::format("{}://{}:{}{}", ToLower(action.scheme().empty() ? "http" : action.scheme()),
                                      v6 ? "[" + host + "]" : host, port, path)));
  for (auto header : action.http_headers())
    request.headers.Add(std::string(header.name()), std::string(header.value()));
  if (!request.headers.Has("User-Agent")) request.headers.Set("User-Agent", std::string(agent));
  if (!request.headers.Has("Accept")) {
    request.headers.Set("Accept", "*/*");
  } else if (request.headers.Get("Accept").empty()) {
    request.headers.Remove("Accept");
  }
  request.headers.Set("Connection", "close");
  return request;
}

namespace {

/// Where the answer leads: to another place of the same host, which is followed as the kubelet follows it.
std::optional<net::Url> RedirectOf(const net::ClientResponse& response, const net::Url& from) {
  const int code = response.code();
  const std::string_view location = response.headers().Get("Location");
  if ((code != 301 && code != 302 && code != 303 && code != 307 && code != 308) || location.empty()) {
    return std::nullopt;
  }
  Result<net::Url> to = ResolveLocation(from, location);
  if (!to.ok() || to->host != from.host) return std::nullopt;
  return std::move(*to);
}

}  // namespace

Result<HttpAnswer> FetchFollowing(rt::Runtime& runtime, net::ClientRequest request) {
  net::HttpClientOptions options{.connections_max = 1, .http2 = false};
  std::unique_ptr<net::HttpClient> client;
  for (int followed = 0;; ++followed) {
    if (request.url.scheme == "https" && options.tls == nullptr) {
      // The kubelet does not verify a probed server's certificate.
      options.tls = TRY(net::TlsClientContext::Create({.insecure = true, .server_name = request.url.host}));
      client.reset();
    }
    if (client == nullptr) client = net::HttpClient::Create(runtime, options);
    auto response = TRY(client->Send(request));
    std::optional<net::Url> next = RedirectOf(*response, request.url);
    if (next && followed + 1 >= kRedirectsMax) return Unavailable("stopped after 10 redirects");
    if (next) {
      request.url = std::move(*next);
      continue;
    }
    HttpAnswer answer{.code = response->code(), .body = {}};
    // A longer or broken body does not change the answer.
    Result<std::string> body = response->ReadAll(kBodyMax);
    if (body.ok()) answer.body = std::move(*body);
    return answer;
  }
}

namespace {

Result<ProbeOutcome> TryHttp(rt::Runtime& runtime, Probe probe, Container container, const ProbeTarget& target) {
  const net::ClientRequest request =
      TRY(MakeHttpGet(probe.http_get(), container, target.pod_ip, "kube-probe/1.36"));
  const std::string url = request.url.ToString();
  Result<HttpAnswer> answer = Internal("not tried");
  {
    rt::CancelScope scope(runtime, TimeoutOf(probe));
    answer = FetchFollowing(runtime, request);
  }
  if (answer.ok()) {
    ProbeOutcome out{.passed = answer->code >= 200 && answer->code < 400};
    if (!out.passed) out.message = fmt::format("HTTP probe failed with statuscode: {}", answer->code);
    if (out.passed && answer->code >= 300) {
      out.warning = "Probe terminated redirects, Response body: " + answer->body;
    }
    return out;
  }
  if (IsOurEnd(runtime, answer.status())) return answer.status();
  if (answer.Failed(Reason::kTimeout)) {
    return ProbeOutcome{.message = fmt::format("Get \"{}\": context deadline exceeded (Client.Timeout exceeded while "
                                               "awaiting headers)",
                                               url)};
  }
  return ProbeOutcome{.message = fmt::format("Get \"{}\": {}", url, answer.status().message())};
}

}  // namespace

Result<uint16_t> ResolvePort(api::IntOrString port, Container container) {
  int64_t number = port.number;
  if (port.is_string) {
    number = -1;
    for (auto declared : container.ports()) {
      if (declared.name() == port.text && number < 0) number = declared.container_port();
    }
    // A number that was written as text is one, too.
    if (number < 0) number = TRY(ParseAtoi(port.text));
  }
  if (number > 0 && number < 65536) return static_cast<uint16_t>(number);
  return BadRequest(fmt::format("invalid port number: {}", number));
}

Result<net::Url> ResolveLocation(const net::Url& from, std::string_view location) {
  if (location.find("://") != std::string_view::npos && location.find("://") < location.find_first_of("/?")) {
    return net::Url::Parse(location);
  }
  if (location.starts_with("//")) return net::Url::Parse(fmt::format("{}:{}", from.scheme, location));
  std::string target(location);
  if (target.starts_with('?')) {
    target.insert(0, from.path.empty() ? "/" : from.path);
  } else if (!target.starts_with('/')) {
    target.insert(0, from.path.substr(0, from.path.rfind('/') + 1));
    if (!target.starts_with('/')) target.insert(0, "/");
  }
  net::Url to = TRY(net::Url::Parse(target));
  to.scheme = from.scheme;
  to.host = from.host;
  to.port = from.port;
  return to;
}

Result<ProbeOutcome> TryProbe(rt::Runtime& runtime, runtime::Runtime& containers, Probe probe, Container container,
                              const ProbeTarget& target) {
  if (probe.exec()) return TryExec(containers, probe, container, target);
  if (probe.http_get()) return TryHttp(runtime, probe, container, target);
  if (probe.tcp_socket()) return TryTcp(runtime, probe, container, target);
  if (probe.grpc()) return TryGrpc(runtime, probe, target);
  return BadRequest("missing probe handler");
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
