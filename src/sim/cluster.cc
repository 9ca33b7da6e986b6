#include "sim/cluster.h"

#include "base/check.h"
#include "controller/local_volumes.h"
#include "store/core.h"

namespace knarr::sim {

namespace {

apiserver::SecurityOptions SecurityOf(const ClusterOptions& options) {
  apiserver::SecurityOptions out;
  out.service_account_key_pem = options.service_account_key_pem;
  return out;
}

}  // namespace

Cluster::Cluster(rt::Runtime& runtime, Journal& journal, const ClusterOptions& options)
    : runtime_(runtime),
      journal_(journal),
      disk_{.commit_time = options.commit_time},
      server_(runtime, disk_, journal, SecurityOf(options)) {
  keys_.ca_certificate_pem = options.ca_certificate_pem;
  keys_.ca_key_pem = options.ca_key_pem;
  if (!options.service_account_key_pem.empty()) {
    keys_.sign_token = [this](std::string_view ns, std::string_view account, std::string_view uid,
                              std::string_view secret) { return api().SignSecretToken(ns, account, uid, secret); };
  }
  server_.Start();
  way_ = server_.Way({.name = "simulation", .uid = "", .groups = {"system:masters"}}, "simulation");
  // Nothing fails yet.
  MUST(controller::EnsureLocalStorageClass(*way_));
  client_ = MakeFaultClient(runtime, *way_, no_faults_, "user");
}

Cluster::~Cluster() = default;

client::Client& Cluster::Accounts::Of(std::string_view account) {
  if (account.empty()) return manager_;
  const auto found = ways_.find(account);
  if (found != ways_.end()) return *found->second.client;
  Way way{server_.Way(apiserver::ServiceAccountUser("kube-system", account), "kube-controller-manager"),
          nullptr};
  way.client = MakeFaultClient(runtime_, *way.inner, faults_, std::string(account));
  return *ways_.emplace(account, std::move(way)).first->second.client;
}

std::unique_ptr<client::Client> Cluster::ClientOf(std::string name, std::vector<std::string> groups) {
  groups.emplace_back(apiserver::kAllAuthenticated);
  return server_.Way({std::move(name), "", std::move(groups)}, "knarr");
}

void Cluster::StartControlPlane() {
  controller_side_ = std::make_unique<Component>(runtime_, ClientOf("system:kube-controller-manager"),
                                                 controller_faults_, "controller-manager");
  scheduler_side_ =
      std::make_unique<Component>(runtime_, ClientOf("system:kube-scheduler"), scheduler_faults_, "default-scheduler");
  accounts_ = std::make_unique<Accounts>(runtime_, server_, *controller_side_->client, controller_faults_);
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
  node_clients_.push_back(
      server_.Way(apiserver::ServiceAccountUser("kube-system", "persistent-volume-binder"), "knarr"));
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
  server_.Stop();
}

}  // namespace knarr::sim
