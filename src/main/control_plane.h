#pragma once

// Controllers and scheduler: what only one server of a cluster runs at a time. A server that has its store alone runs
// them from the beginning; of several that share one, whoever holds the lease kube-system/kube-controller-manager does,
// and starts them anew each time it comes to lead.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apiserver/apiserver.h"
#include "client/events.h"
#include "client/informer.h"
#include "client/leader_election.h"
#include "controller/framework/controller.h"
#include "scheduler/scheduler.h"

namespace knarr::main {

class ControlPlane {
 public:
  ControlPlane(rt::Runtime& world, apiserver::ApiServer& api, controller::ClusterKeys keys);
  ~ControlPlane();

  /// Runs them now.
  void Start();
  /// Runs them whenever this server leads, under the identity. Returns at once.
  void StartElected(std::string identity);
  void Stop();

  /// The copies that whoever reads beside the controllers shares; they live as long as this.
  client::InformerFactory& informers() { return *shared_; }

 private:
  class Accounts;
  /// From one start to the next stop.
  struct Term;
  void Begin();
  void End();
  void Lead(const std::string& identity);

  rt::Runtime& world_;
  apiserver::ApiServer& api_;
  const controller::ClusterKeys keys_;
  std::unique_ptr<client::Client> client_;
  std::unique_ptr<client::Client> scheduler_client_;
  std::unique_ptr<Accounts> accounts_;
  std::unique_ptr<client::InformerFactory> shared_;
  std::unique_ptr<Term> term_;
  bool elected_ = false;
  rt::TaskGroup tasks_;
};

/// A user of the server's own.
apiserver::UserInfo Component(std::string name, std::vector<std::string> groups = {});

}  // namespace knarr::main
