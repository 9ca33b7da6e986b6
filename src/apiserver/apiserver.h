#pragma once

// The API server: authenticate → authorise → decode → default → admit → validate → store, for HTTP requests on the I/O
// runtimes and, through the LocalClient, for everything in this process on the world runtime. Reads are answered from
// immutable snapshots on the runtime they came in on; only the last step of a write (precondition, revision, append)
// belongs to the world.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/security_options.h"
#include "apiserver/user.h"
#include "base/metrics.h"
#include "base/status.h"
#include "client/client.h"
#include "client/node_access.h"
#include "net/http.h"
#include "rt/runtime.h"
#include "store/store.h"

namespace knarr::apiserver {

struct AdmissionOptions {
  std::vector<std::string> enable;   ///< plugins that are off unless named
  std::vector<std::string> disable;  ///< plugins that are on unless named
  /// Plugins' own configuration (YAML or JSON) by their names.
  std::map<std::string, std::string> configuration;
  int64_t not_ready_toleration_seconds = 300;
  int64_t unreachable_toleration_seconds = 300;
};

struct AuditOptions {
  std::string policy;  ///< the text of an audit.k8s.io/v1 Policy; "": nothing is logged
  std::string path;    ///< of the log; "-": standard output, "": nothing is logged
  int64_t max_size_megabytes = 100;  ///< 0: one file, however long
  int64_t max_backups = 100;         ///< 0: all are kept
  int64_t max_age_days = 0;          ///< 0: however old
};

struct ApiServerOptions {
  net::Endpoint listen;  ///< 127.0.0.1:6443
  std::shared_ptr<net::TlsServerContext> tls;
  /// The network of service addresses, or one of each family with a comma between; the first is the default family's.
  std::string service_cidr = "10.43.0.0/16";
  uint16_t node_port_first = 30000;
  uint16_t node_port_last = 32767;
  SecurityOptions security;
  /// Requests that are answered at once: those that only read, and those that change something. More get 429.
  size_t in_flight_max = 2000;
  size_t in_flight_writes_max = 1000;
  Duration request_timeout = std::chrono::seconds(60);
  Duration event_ttl = std::chrono::hours(1);
  AdmissionOptions admission;
  AuditOptions audit;
  /// Where the server's figures go, and what /metrics shows; null: its own.
  knarr::Registry* metrics = nullptr;
  /// How proxied requests reach pods and nodes; null: by this machine's network.
  std::function<Result<std::unique_ptr<net::Stream>>(rt::Runtime& runtime, const net::Endpoint& endpoint)> dial;
};

class ApiServer {
 public:
  static Result<std::unique_ptr<ApiServer>> Create(rt::Runtime& world, std::vector<rt::Runtime*> io,
                                                   store::Store& store, ApiServerOptions options);
  virtual ~ApiServer() = default;
  /// Makes the objects a new cluster needs (namespaces default, kube-system, kube-public, kube-node-lease; the
  /// kubernetes Service) and begins to serve in this process. World fiber.
  virtual Ok Bootstrap() = 0;
  /// Listens. World fiber.
  virtual Ok Listen() = 0;
  virtual net::Endpoint local() const = 0;
  /// In-process access as a given user (`system:kube-scheduler`, …), through the same pipeline. `agent`
  /// ("kube-scheduler") is who manages the fields it writes. World fibers only.
  virtual std::unique_ptr<client::Client> LocalClient(UserInfo user, std::string agent = "knarr") = 0;
  /// The token of a service account that stands in a secret of its namespace. Any thread. An error without a key.
  virtual Result<std::string> SignSecretToken(std::string_view ns, std::string_view account,
                                              std::string_view account_uid, std::string_view secret) = 0;
  /// What answers HTTP requests: for serving a stream without listening (tests, pipes).
  virtual net::Handler handler() = 0;
  /// Where a node's logs and execs are: by node name.
  virtual void SetNodeAccess(std::string node_name, client::NodeAccess* access) = 0;
  /// Shown by /readyz: named checks that must be ok.
  virtual void AddReadyCheck(std::string name, std::function<Ok()> check) = 0;
  /// Ends streams, then (within `grace`) all other requests. World fiber; needed before the destructor.
  virtual void Stop(Duration grace) = 0;
};

}  // namespace knarr::apiserver
