#include "apiserver/core.h"

#include <algorithm>

#include "apiserver/service_networks.h"
#include "rt/sync.h"

namespace knarr::apiserver {
namespace {

constexpr Duration kStoreCheckMost = std::chrono::seconds(2);

StrategyOptions StrategiesOf(const ApiServerOptions& options) {
  StrategyOptions out;
  // ApiServer::Create has checked the text.
  out.service_families.clear();
  for (const Cidr& network : MUST(ParseServiceNetworks(options.service_cidr))) {
    out.service_families.push_back(network.family());
  }
  out.node_port_first = options.node_port_first;
  out.node_port_last = options.node_port_last;
  return out;
}

std::vector<rt::Runtime*> AllRuntimes(rt::Runtime& world, std::vector<rt::Runtime*> io) {
  if (std::ranges::find(io, &world) == io.end()) io.push_back(&world);
  return io;
}

}  // namespace

Core::Core(rt::Runtime& world, std::vector<rt::Runtime*> io, store::Store& store, ApiServerOptions options,
           std::unique_ptr<AdmissionChain> admission, std::unique_ptr<AuditLog> audit)
    : world_(world),
      store_(store),
      options_(std::move(options)),
      metrics_(options_.metrics != nullptr ? *options_.metrics : own_metrics_),
      security_(world, AllRuntimes(world, io), store, options_.security),
      admission_(std::move(admission)),
      audit_(std::move(audit)),
      resources_(StrategiesOf(options_)),
      registry_(world, store, *admission_),
      operations_(registry_, resources_, security_) {
  admission_->UseAuthorizer(security_.authorizer());
  if (audit_ != nullptr) audit_->AddMetrics(metrics_);
  ready_checks_.push_back({"store", [this]() -> Ok {
                             rt::CancelScope scope(world_, kStoreCheckMost);
                             return store_.CatchUp(world_);
                           }});
  ready_checks_.push_back({"store-writable", [this] { return store_.Health(); }});
  locals_.push_back(std::make_unique<Local>(world, store));
  for (rt::Runtime* runtime : io) {
    if (runtime != &world) locals_.push_back(std::make_unique<Local>(*runtime, store));
  }
}

Core::~Core() = default;

Local& Core::local() {
  for (const auto& local : locals_) {
    if (local->runtime().OnThisThread()) return *local;
  }
  CHECK(false && "called on a runtime that is not the server's");
}

client::NodeAccess* Core::FindNode(rt::Runtime& here, const std::string& name) {
  return rt::CallOn(here, world_, [&]() -> client::NodeAccess* {
    const auto at = nodes_.find(name);
    return at == nodes_.end() ? nullptr : at->second;
  });
}

void Core::SetNode(std::string name, client::NodeAccess* access) {
  if (access == nullptr) {
    nodes_.erase(name);
  } else {
    nodes_.insert_or_assign(std::move(name), access);
  }
}

std::vector<Core::ReadyCheck> Core::ReadyChecks(rt::Runtime& here) {
  return rt::CallOn(here, world_, [&] { return ready_checks_; });
}

void Core::AddReadyCheck(ReadyCheck check) { ready_checks_.push_back(std::move(check)); }

void Core::StopStreams() {
  for (const auto& local : locals_) {
    rt::CallOn(world_, local->runtime(), [&] { local->StopStreams(); });
  }
}

void Core::StopLocals() {
  for (const auto& local : locals_) {
    rt::CallOn(world_, local->runtime(), [&] { local->Stop(); });
  }
}

}  // namespace knarr::apiserver
