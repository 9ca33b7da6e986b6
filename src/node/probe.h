#pragma once

// Probing one container: the single try, and the fiber that repeats it and counts.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "api/core_v1.h"
#include "base/status.h"
#include "net/http.h"
#include "net/http_client.h"
#include "rt/runtime.h"
#include "runtime/runtime.h"

namespace knarr::node {

struct ProbeOutcome {
  bool passed = false;
  std::string message;  ///< why not, in the kubelet's words ("HTTP probe failed with statuscode: 404")
  std::string warning;  ///< what to say although it passed ("Probe terminated redirects, …")
};

struct ProbeTarget {
  std::string pod_ip;
  std::string container_id;
};

/// One try within the probe's timeout. An error is none of the container's answers and counts for nothing: Cancelled
/// when the fiber is to end, otherwise what kept the probe from being tried (a port that has no number).
Result<ProbeOutcome> TryProbe(rt::Runtime& runtime, runtime::Runtime& containers, api::core_v1::Probe probe,
                              api::core_v1::Container container, const ProbeTarget& target);

/// The same of a probe that asks a gRPC health service.
Result<ProbeOutcome> TryGrpc(rt::Runtime& runtime, api::core_v1::Probe probe, const ProbeTarget& target);

/// A container's port by number or by its name in the spec; BadRequest with the kubelet's words.
Result<uint16_t> ResolvePort(api::IntOrString port, api::core_v1::Container container);

/// The request of an httpGet: of a probe, or of a hook. `agent` is its User-Agent unless its headers say another.
Result<net::ClientRequest> MakeHttpGet(api::core_v1::HTTPGetAction action, api::core_v1::Container container,
                                       std::string_view pod_ip, std::string_view agent);

struct HttpAnswer {
  int code = 0;
  std::string body;  ///< its beginning
};
/// Sends it, and follows where its answers lead within the host. A server's certificate is not verified.
Result<HttpAnswer> FetchFollowing(rt::Runtime& runtime, net::ClientRequest request);

/// Where a Location header leads from there.
Result<net::Url> ResolveLocation(const net::Url& from, std::string_view location);

enum class ProbeKind : uint8_t { kStartup, kLiveness, kReadiness };
std::string_view ProbeName(ProbeKind kind);  ///< "Startup", …

/// The counting half of a prober: successes and failures in a row against the thresholds.
class ProbeCounter {
 public:
  ProbeCounter(int success_threshold, int failure_threshold)
      : success_threshold_(success_threshold), failure_threshold_(failure_threshold) {}
  /// true or false when this outcome crosses a threshold (again), nothing in between.
  std::optional<bool> Add(bool passed);

 private:
  int success_threshold_;
  int failure_threshold_;
  int run_ = 0;
  bool last_ = false;
};

}  // namespace knarr::node
