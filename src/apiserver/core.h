#pragma once

// The parts of a running API server, as its HTTP handlers and its public face share them.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/apiserver.h"
#include "apiserver/audit/log.h"
#include "apiserver/local.h"
#include "apiserver/operations.h"
#include "base/metrics.h"
#include "client/node_access.h"

namespace knarr::apiserver {

class Core {
 public:
  Core(rt::Runtime& world, std::vector<rt::Runtime*> io, store::Store& store, ApiServerOptions options,
       std::unique_ptr<AdmissionChain> admission, std::unique_ptr<AuditLog> audit);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  const ApiServerOptions& options() const { return options_; }
  store::Store& store() { return store_; }
  rt::Runtime& world() { return world_; }
  Operations& operations() { return operations_; }
  const ResourceTable& resources() const { return resources_; }
  Security& security() { return security_; }
  knarr::Registry& metrics() { return metrics_; }
  /// Null when nothing is logged.
  AuditLog* audit() { return audit_.get(); }

  /// What is kept for the runtime this is called on. REQUIRES: it is one of the server's.
  Local& local();
  const std::vector<std::unique_ptr<Local>>& locals() const { return locals_; }

  struct ReadyCheck {
    std::string name;
    std::function<Ok()> check;
  };
  /// The nodes and checks that there are now. Any of the server's runtimes.
  client::NodeAccess* FindNode(rt::Runtime& here, const std::string& name);
  void SetNode(std::string name, client::NodeAccess* access);
  std::vector<ReadyCheck> ReadyChecks(rt::Runtime& here);
  void AddReadyCheck(ReadyCheck check);

  /// Ends the answers that stream, on every runtime. World fiber.
  void StopStreams();
  /// Ends the watch hubs of every runtime. World fiber; no requests are left.
  void StopLocals();

 private:
  rt::Runtime& world_;
  store::Store& store_;
  ApiServerOptions options_;
  knarr::Registry own_metrics_;
  knarr::Registry& metrics_;
  Security security_;
  std::unique_ptr<AdmissionChain> admission_;
  std::unique_ptr<AuditLog> audit_;
  ResourceTable resources_;
  ResourceRegistry registry_;
  Operations operations_;
  std::vector<std::unique_ptr<Local>> locals_;
  // Of the world thread:
  std::map<std::string, client::NodeAccess*> nodes_;
  std::vector<ReadyCheck> ready_checks_;
};

}  // namespace knarr::apiserver
