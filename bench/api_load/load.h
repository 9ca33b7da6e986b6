#pragma once

// A load generator for any Kubernetes API server: closed loops of requests, lists and watches, each client on a TLS
// connection of its own, and what they cost the server's processes. Each figure is one JSON line on standard output.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/http_client.h"
#include "client/kubeconfig.h"
#include "rt/runtime.h"

namespace knarr::bench {

struct LoadOptions {
  std::string target = "server";  ///< what the lines call the server
  std::string ns = "bench";
  int64_t clients = 64;
  Duration length = std::chrono::seconds(5);
  int64_t objects = 50000;  ///< how many pods `fill` makes
  int64_t lists = 3;        ///< how often each list is read
  int64_t watchers = 100;
  int64_t rate = 0;      ///< creates a second under watch; 0: a closed loop
  int64_t window = 100;  ///< of the closed loop: creates that some watcher may not have seen yet
  bool protobuf = false;
  std::vector<std::string> pids;
};

/// What the server's processes have used. Blocking reads of /proc.
class Meter {
 public:
  Meter(rt::Runtime& runtime, const std::vector<std::string>& pids) : runtime_(runtime), pids_(pids) {}
  bool empty() const { return pids_.empty(); }
  /// User and system time together.
  Result<double> CpuSeconds() const;
  /// Proportional set size: what the processes have of the machine's memory.
  Result<double> PssBytes() const;
  /// Resident set size: cheap to look at often.
  Result<double> RssBytes() const;

 private:
  rt::Runtime& runtime_;
  const std::vector<std::string>& pids_;
};

class Latencies {
 public:
  void Add(Duration duration) { all_.push_back(std::chrono::duration<float, std::milli>(duration).count()); }
  void Add(const Latencies& other) { all_.insert(all_.end(), other.all_.begin(), other.all_.end()); }
  size_t size() const { return all_.size(); }
  /// Milliseconds; 0 when there are none.
  double At(double quantile);

 private:
  std::vector<float> all_;
};

/// Everything a scenario works with.
struct Load {
  rt::Runtime& runtime;
  const client::RestConfig& config;
  const LoadOptions& options;
  Meter meter;
  Meter own;  ///< this program: what a rate is limited by, when both share a machine

  /// A client with a connection of its own, which is open.
  Result<std::unique_ptr<client::HttpClient>> Connect();
  Result<std::vector<std::unique_ptr<client::HttpClient>>> Connect(int64_t count);
  /// Sends and reads the whole answer; its size.
  static Result<size_t> Do(client::HttpClient& client, const net::ClientRequest& request);
  /// "/api/v1/namespaces/<ns>/<plural>[/<name>]"
  std::string Path(std::string_view plural, std::string_view name = {}) const;
  net::ClientRequest Post(client::HttpClient& client, std::string_view plural, std::string body) const;
  void Figure(std::string_view name, double value, std::string_view unit) const;
};

/// Rate, processor time and latency of what happens from its making on.
class Stretch {
 public:
  static Result<Stretch> Begin(const Load& load);
  Ok End(const std::string& name, size_t done, Latencies& latencies) const;
  MonoTime began() const { return began_; }

 private:
  explicit Stretch(const Load& load) : load_(load) {}
  const Load& load_;
  MonoTime began_;
  double cpu_ = 0;
  double own_cpu_ = 0;
};

/// Objects as clients send them: a ConfigMap with 1 KiB of data, a Pod of 1.85 kB that no scheduler looks at.
std::string ConfigMapBody(const std::string& name);
std::string PodBody(const std::string& name);

/// Runs a scenario; BadRequest for a name that is none.
Ok RunScenario(Load& load, const std::string& name);
/// "create-configmap create-pod …"
std::string_view ScenarioNames();

Ok RunLists(Load& load, const std::string& name);
Ok RunWatch(Load& load);

}  // namespace knarr::bench
