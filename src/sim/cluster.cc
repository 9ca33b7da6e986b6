#include "sim/cluster.h"

#include "base/check.h"
#include "controller/local_volumes.h"
#include "store/core.h"

namespace knarr::sim {

Cluster::Cluster(rt::Runtime& runtime, Journal& journal, const ClusterOptions& options)
    : runtime_(runtime), journal_(journal), disk_{.commit_time = options.commit_time} {
  store_ = std::make_unique<store::Core>(runtime, store::CoreOptions{}, MakeSimLog(runtime, disk_, journal),
                                         store::Recovered{});
  keys_.ca_certificate_pem = options.ca_certificate_pem;
  keys_.ca_key_pem = options.ca_key_pem;
  apiserver::ApiServerOptions server;
  server.security.service_account_key_pem = options.service_account_key_pem;
  if (!options.service_account_key_pem.empty()) {
    keys_.sign_token = [this](std::string_view ns, std::string_view account, std::string_view uid,
                              std::string_view secret) { return api_->SignSecretToken(ns, account, uid, secret); };
  }
  // The options are constants that are right, and the store is empty and in memory.
  api_ = MUST(apiserver::ApiServer::Create(runtime, {&runtime}, *store_, std::move(server)));
  MUST(api_->Bootstrap());
  way_ = api_->LocalClient({.name = "simulation", .uid = "", .groups = {"system:masters"}}, "simulation");
  MUST(controller::EnsureLocalStorageClass(*way_));
  client_ = MakeFaultClient(runtime, *way_, no_faults_, "user");
}

Cluster::~Cluster() { CHECK(api_ == nullptr); }

client::Client& Cluster::Accounts::Of(std::string_view account) {
  if (account.empty()) return manager_;
  const auto found = ways_.find(account);
  if (found != ways_.end()) return *found->second.client;
  Way way{api_.LocalClient(apiserver::ServiceAccountUser("kube-system", account), "kube-controller-manager"),
          nullptr};
  way.client = MakeFaultClient(runtime_, *way.inner, faults_, std::string(account));
  return *ways_.emplace(account, std::move(way)).first->second.client;
}

std::unique_ptr<client::Client> Cluster::ClientOf(std::string name, std::vector<std::string> groups) {
  groups.emplace_back(apiserver::kAllAuthenticated);
  return api_->LocalClient({std::move(name), "", std::move(groups)});
}

void Cluster::StartControlPlane() {
  controller_side_ = std::make_unique<Component>(runtime_, ClientOf("system:kube-controller-manager"),
                                                 controller_faults_, "controller-manager");
  scheduler_side_ =
      std::make_unique<Component>(runtime_, ClientOf("system:kube-scheduler"), scheduler_faults_, "default-scheduler");
  accounts_ = std::make_unique<Accounts>(runtime_, *api_, *controller_side_->client, controller_faults_);
  Component& side = *controller_side_;
  for (const controller::ControllerEntry& entry : controller::AllControllers()) {
    controllers_.push_back(
        entry.make({runtime_, accounts_->Of(entry.account), *accounts_, side.informers, side.events, keys_}));
  }
  scheduler_ = std::make_unique<scheduler::Scheduler>(runtime_, *scheduler_side_->client, scheduler_side_->informers,
                                                      scheduler_side_->events);
  for (auto& controller : controllers_) controller->Start();
  scheduler_->Start();
  controller_side_->informers.Start();
  scheduler_side_->informers.Start();
}

void Cluster::StopControlPlane() {
  if (scheduler_ == nullptr) return;
  scheduler_->Stop();
  for (auto& controller : controllers_) controller->Stop();
  for (Component* side : {controller_side_.get(), scheduler_side_.get()}) {
    side->informers.Stop();
    side->events.Stop();
  }
  scheduler_.reset();
  controllers_.clear();
  accounts_.reset();
  controller_side_.reset();
  scheduler_side_.reset();
}

HollowNode& Cluster::AddNode(const HollowNodeOptions& options) {
  node_clients_.push_back(
      ClientOf("system:node:" + HollowNode::NameOf(options.index), {std::string(apiserver::kNodes)}));
  client::Client& agent = *node_clients_.back();
  node_clients_.push_back(api_->LocalClient(apiserver::ServiceAccountUser("kube-system", "persistent-volume-binder")));
  const HollowNode::Ways ways{.agent = agent, .volumes = *node_clients_.back()};
  nodes_.push_back(std::make_unique<HollowNode>(runtime_, ways, options, running_, journal_));
  nodes_.back()->faults().observer = no_faults_.observer;
  return *nodes_.back();
}

void Cluster::SetFaults(const FaultPlan* plan) {
  auto set = [&](Faults& faults) {
    faults.on = plan != nullptr;
    faults.cut = false;
    faults.deaf_until = {};
    if (plan != nullptr) faults.plan = *plan;
  };
  set(controller_faults_);
  set(scheduler_faults_);
  for (auto& node : nodes_) set(node->faults());
}

void Cluster::SetAuditor(CallObserver* observer) {
  for (Faults* faults : {&no_faults_, &controller_faults_, &scheduler_faults_}) faults->observer = observer;
}

void Cluster::Stop() {
  StopControlPlane();
  for (auto& node : nodes_) node->Stop();
  nodes_.clear();
  node_clients_.clear();
  client_.reset();
  way_.reset();
  api_->Stop(Duration(0));
  api_.reset();
  store_->Close();
}

}  // namespace knarr::sim
