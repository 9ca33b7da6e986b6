#pragma once

// A whole cluster in one runtime: store in memory, API server, controllers, scheduler and hollow nodes, each component
// with its own way to the API server and its own faults on it.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/apiserver.h"
#include "client/events.h"
#include "client/informer.h"
#include "controller/framework/controller.h"
#include "rt/runtime.h"
#include "scheduler/scheduler.h"
#include "sim/fault_client.h"
#include "sim/hollow_node.h"
#include "sim/journal.h"
#include "sim/server_process.h"
#include "sim/sim_disk.h"
#include "store/store.h"

namespace knarr::sim {

struct ClusterOptions {
  Duration commit_time{0};
  /// With these, certificates are signed, and tokens made.
  std::string ca_certificate_pem = {};
  std::string ca_key_pem = {};
  std::string service_account_key_pem = {};
};

class Cluster {
 public:
  Cluster(rt::Runtime& runtime, Journal& journal, const ClusterOptions& options);
  /// REQUIRES: Stop was called.
  ~Cluster();

  /// Starts the controllers and the scheduler.
  void StartControlPlane();
  /// Ends them as a crash would: what they were doing is given up.
  void StopControlPlane();
  HollowNode& AddNode(const HollowNodeOptions& options);
  void Stop();

  store::Store& store() { return server_.store(); }
  SimDisk& disk() { return disk_; }
  /// Of store and API server.
  ServerProcess& server() { return server_; }
  apiserver::ApiServer& api() { return server_.api(); }
  /// A way to the API server without faults.
  client::Client& client() { return *client_; }
  std::vector<std::unique_ptr<HollowNode>>& nodes() { return nodes_; }
  /// Puts a plan in force on every component; nullptr takes all faults away.
  void SetFaults(const FaultPlan* plan);
  /// The controllers' faults, or the scheduler's.
  Faults& FaultsOf(bool controllers) { return controllers ? controller_faults_ : scheduler_faults_; }
  /// Who is told of calls from now on, and of nodes made later.
  void SetAuditor(CallObserver* observer);
  const RunningPods& running() const { return running_; }

 private:
  /// Controllers or scheduler: a process of its own, but for the wire.
  struct Component {
    Component(rt::Runtime& runtime, std::unique_ptr<client::Client> way, const Faults& faults, const std::string& name)
        : inner(std::move(way)),
          client(MakeFaultClient(runtime, *inner, faults, name)),
          informers(runtime, *client),
          events(runtime, *client, name) {}
    std::unique_ptr<client::Client> inner;
    std::unique_ptr<client::Client> client;
    client::InformerFactory informers;
    client::EventRecorder events;
  };

  /// The controllers' ways to the server.
  class Accounts : public controller::Accounts {
   public:
    Accounts(rt::Runtime& runtime, ServerProcess& server, client::Client& manager, const Faults& faults)
        : runtime_(runtime), server_(server), manager_(manager), faults_(faults) {}
    client::Client& Of(std::string_view account) override;

   private:
    struct Way {
      std::unique_ptr<client::Client> inner;
      std::unique_ptr<client::Client> client;
    };
    rt::Runtime& runtime_;
    ServerProcess& server_;
    client::Client& manager_;
    const Faults& faults_;
    std::map<std::string, Way, std::less<>> ways_;
  };
  /// A way to the server as a user of the system's.
  std::unique_ptr<client::Client> ClientOf(std::string name, std::vector<std::string> groups = {});

  rt::Runtime& runtime_;
  Journal& journal_;
  SimDisk disk_;
  ServerProcess server_;
  std::unique_ptr<client::Client> way_;
  std::unique_ptr<client::Client> client_;
  Faults no_faults_;
  Faults controller_faults_;
  Faults scheduler_faults_;
  controller::ClusterKeys keys_;
  std::unique_ptr<Accounts> accounts_;
  std::unique_ptr<Component> controller_side_;
  std::unique_ptr<Component> scheduler_side_;
  std::vector<std::unique_ptr<controller::Controller>> controllers_;
  std::unique_ptr<scheduler::Scheduler> scheduler_;
  RunningPods running_;
  std::vector<std::unique_ptr<client::Client>> node_clients_;
  std::vector<std::unique_ptr<HollowNode>> nodes_;
};

}  // namespace knarr::sim
