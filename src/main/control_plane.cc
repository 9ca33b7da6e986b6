#include "main/control_plane.h"

#include "apiserver/authentication/service_account_tokens.h"
#include "base/log.h"

namespace knarr::main {
namespace {

constexpr std::string_view kLease = "kube-controller-manager";
constexpr Duration kReleaseMost = std::chrono::seconds(2);

}  // namespace

apiserver::UserInfo Component(std::string name, std::vector<std::string> groups) {
  groups.emplace_back(apiserver::kAllAuthenticated);
  return {std::move(name), "", std::move(groups)};
}

/// The controllers' ways to the server in this process.
class ControlPlane::Accounts : public controller::Accounts {
 public:
  Accounts(apiserver::ApiServer& api, client::Client& manager) : api_(api), manager_(manager) {}
  client::Client& Of(std::string_view account) override {
    if (account.empty()) return manager_;
    std::unique_ptr<client::Client>& client = clients_[std::string(account)];
    if (client == nullptr) {
      client = api_.LocalClient(apiserver::ServiceAccountUser("kube-system", account), "kube-controller-manager");
    }
    return *client;
  }

 private:
  apiserver::ApiServer& api_;
  client::Client& manager_;
  std::map<std::string, std::unique_ptr<client::Client>> clients_;
};

struct ControlPlane::Term {
  explicit Term(rt::Runtime& world, client::Client& manager, client::Client& scheduler_client)
      : events(world, manager, "controller-manager"), scheduler_events(world, scheduler_client, "default-scheduler") {}
  /// Null where the shared ones do.
  std::unique_ptr<client::InformerFactory> informers;
  client::EventRecorder events;
  client::EventRecorder scheduler_events;
  std::vector<std::unique_ptr<controller::Controller>> controllers;
  std::unique_ptr<scheduler::Scheduler> scheduler;
};

ControlPlane::ControlPlane(rt::Runtime& world, apiserver::ApiServer& api, controller::ClusterKeys keys)
    : world_(world), api_(api), keys_(std::move(keys)), tasks_(world, "control plane") {
  // What the controllers read comes from one copy, and is read by one user; each writes as its own account.
  client_ = api_.LocalClient(Component("system:kube-controller-manager"), "kube-controller-manager");
  scheduler_client_ = api_.LocalClient(Component("system:kube-scheduler"), "kube-scheduler");
  accounts_ = std::make_unique<Accounts>(api_, *client_);
  shared_ = std::make_unique<client::InformerFactory>(world_, *client_);
}

ControlPlane::~ControlPlane() = default;

void ControlPlane::Start() {
  Begin();
  shared_->Start();
}

void ControlPlane::StartElected(std::string identity) {
  elected_ = true;
  shared_->Start();
  tasks_.Spawn("lead", [this, identity = std::move(identity)] { Lead(identity); });
}

void ControlPlane::Begin() {
  term_ = std::make_unique<Term>(world_, *client_, *scheduler_client_);
  // A server that only stands by keeps no copies for the controllers.
  if (elected_) term_->informers = std::make_unique<client::InformerFactory>(world_, *client_);
  client::InformerFactory& informers = elected_ ? *term_->informers : *shared_;
  for (const controller::ControllerEntry& entry : controller::AllControllers()) {
    term_->controllers.push_back(
        entry.make({world_, accounts_->Of(entry.account), *accounts_, informers, term_->events, keys_}));
  }
  term_->scheduler =
      std::make_unique<scheduler::Scheduler>(world_, *scheduler_client_, informers, term_->scheduler_events);
  for (auto& controller : term_->controllers) controller->Start();
  term_->scheduler->Start();
  if (elected_) informers.Start();
}

void ControlPlane::End() {
  if (term_ == nullptr) return;
  term_->scheduler->Stop();
  for (auto& controller : term_->controllers) controller->Stop();
  if (term_->informers != nullptr) term_->informers->Stop();
  if (!elected_) shared_->Stop();
  term_->scheduler_events.Stop();
  term_->events.Stop();
  term_.reset();
}

void ControlPlane::Lead(const std::string& identity) {
  client::EventRecorder events(world_, *client_, "kube-controller-manager");
  client::LeaderElector elector(world_, *client_, &events, {.name = std::string(kLease), .identity = identity});
  while (elector.Acquire().ok()) {
    Begin();
    (void)elector.Renew();  // it has told why
    rt::Shield shield(world_);
    End();
    if (world_.CheckCancelled().ok() && !tasks_.stopped()) continue;
    // Going away: the next one need not wait until the lease runs out.
    rt::CancelScope scope(world_, kReleaseMost);
    const Ok released = elector.Release();
    if (!released.ok()) LOG_WARN("the lease is left to run out", {"error", released.status()});
    break;
  }
  events.Stop();
}

void ControlPlane::Stop() {
  tasks_.StopAndJoin();
  End();
  if (elected_) shared_->Stop();
}

}  // namespace knarr::main
