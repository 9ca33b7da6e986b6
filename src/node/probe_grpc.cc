// Probes that ask a gRPC server's health service (grpc.health.v1.Health), with the kubelet's words for what comes back.

#include <fmt/format.h>

#include <algorithm>

#include "base/ip.h"
#include "doc/proto.h"
#include "net/grpc.h"
#include "node/probe.h"
#include "rt/sync.h"

namespace knarr::node {
namespace {

constexpr size_t kAnswerMax = 10 << 10;
// gRPC's first pause between attempts to connect, which go on for as long as the probe may take.
constexpr Duration kConnectAgain = 1s;
constexpr uint32_t kServiceField = 1;
constexpr uint32_t kStatusField = 1;
constexpr std::string_view kStatuses[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};

std::string StatusName(uint64_t status) {
  return status < std::size(kStatuses) ? std::string(kStatuses[status]) : std::to_string(status);
}

Result<uint64_t> ReadStatus(std::string_view message) {
  uint64_t status = 0;
  doc::ProtoReader reader(message);
  while (!reader.done()) {
    const auto tag = TRY(reader.ReadTag());
    if (tag.field == kStatusField && tag.type == doc::WireType::kVarint) {
      status = TRY(reader.ReadVarint());
    } else {
      TRY(reader.Skip(tag));
    }
  }
  return status;
}

/// gRPC's own form of an error.
std::string ErrorText(const Status& status) {
  const bool unavailable = status.Is(Reason::kServiceUnavailable);
  return fmt::format("rpc error: code = {} desc = {}", unavailable ? "Unavailable" : "Unknown", status.message());
}

ProbeOutcome OutcomeOf(const Result<std::string>& answer, Duration timeout) {
  if (!answer.ok()) {
    const Status& status = answer.status();
    if (status.Is(Reason::kMethodNotAllowed)) {
      return {.message = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): " +
                         status.message()};
    }
    if (status.Is(Reason::kTimeout)) {
      return {.message = fmt::format("timeout: health rpc did not complete within {}", FormatDuration(timeout))};
    }
    return {.message = "error: health rpc probe failed: " + ErrorText(status)};
  }
  const Result<uint64_t> status = ReadStatus(*answer);
  if (!status.ok()) return {.message = "error: health rpc probe failed: " + ErrorText(status.status())};
  if (StatusName(*status) == "SERVING") return {.passed = true};
  return {.message = fmt::format("service unhealthy (responded with \"{}\")", StatusName(*status))};
}

/// One that can't be reached is tried again until the scope's time is over.
Result<std::unique_ptr<net::GrpcConnection>> Connect(rt::Runtime& runtime, rt::TaskGroup& fibers,
                                                     const net::GrpcOptions& options) {
  while (true) {
    auto made = net::GrpcConnection::Connect(runtime, fibers, options);
    if (made.ok()) return made;
    TRY(runtime.Sleep(kConnectAgain));
  }
}

}  // namespace

Result<ProbeOutcome> TryGrpc(rt::Runtime& runtime, api::core_v1::Probe probe, const ProbeTarget& target) {
  const Duration timeout = std::chrono::seconds(std::max(1, probe.timeout_seconds()));
  net::GrpcOptions options;
  options.endpoint = {.host = target.pod_ip, .port = static_cast<uint16_t>(probe.grpc().port())};
  options.dial_timeout = timeout;
  options.message_max = kAnswerMax;
  std::string request;
  const std::string_view service = probe.grpc().service().value_or("");
  if (!service.empty()) doc::ProtoWriter(request).Bytes(kServiceField, service);
  rt::TaskGroup fibers(runtime, "grpc probe");
  bool connected = false;
  Result<std::string> answer = Timeout("");
  {
    rt::CancelScope scope(runtime, timeout);
    auto connection = Connect(runtime, fibers, options);
    connected = connection.ok();
    if (connected) {
      bool sent = false;
      answer = (*connection)
                   ->Unary({.method = "/grpc.health.v1.Health/Check",
                            .metadata = {{"user-agent", "kube-probe/1.36"}},
                            .timeout = timeout},
                           request, sent);
    }
  }
  fibers.StopAndJoin();
  TRY(runtime.CheckCancelled());
  if (!connected) {
    return ProbeOutcome{.message = fmt::format("timeout: failed to connect service \"{}\" within {}: context deadline "
                                               "exceeded",
                                               options.endpoint.ToString(), FormatDuration(timeout))};
  }
  return OutcomeOf(answer, timeout);
}

}  // namespace knarr::node
