#include "apiserver/core.h"

#include "apiserver/authorization/node_authorizer.h"
#include "apiserver/authorization/rbac_authorizer.h"
#include "apiserver/service_networks.h"
#include "rt/sync.h"

namespace knarr::apiserver {
namespace {

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

std::vector<std::unique_ptr<Authorizer>> MakeAuthorizers(rt::Runtime& world, const store::Store& store,
                                                         NodeGraph& graph, const RbacIndex& rbac) {
  std::vector<std::unique_ptr<Authorizer>> out;
  out.push_back(MakeMastersAuthorizer());
  out.push_back(MakeNodeAuthorizer(world, store, graph));
  out.push_back(MakeRbacAuthorizer(rbac));
  return out;
}

std::unique_ptr<Authorizer> UnionOf(const std::vector<std::unique_ptr<Authorizer>>& authorizers) {
  std::vector<Authorizer*> all;
  for (const auto& authorizer : authorizers) all.push_back(authorizer.get());
  return MakeUnionAuthorizer(std::move(all));
}

}  // namespace

Core::Core(rt::Runtime& world, std::vector<rt::Runtime*> io, store::Store& store, ApiServerOptions options,
           std::unique_ptr<AdmissionChain> admission)
    : world_(world),
      store_(store),
      options_(std::move(options)),
      metrics_(options_.metrics != nullptr ? *options_.metrics : own_metrics_),
      rbac_(world, store),
      node_graph_(world, store),
      authorizers_(MakeAuthorizers(world, store, node_graph_, rbac_)),
      authorizer_(UnionOf(authorizers_)),
      role_guard_(rbac_, *authorizer_),
      admission_(std::move(admission)),
      tokens_(options_.service_account_key_pem, options_.issuer),
      resources_(StrategiesOf(options_)),
      registry_(world, store, *admission_),
      operations_(registry_, resources_, *authorizer_, role_guard_, tokens_) {
  admission_->UseAuthorizer(*authorizer_);
  ready_checks_.push_back({"store", [this]() -> Ok {
                             if (store_.Latest() == nullptr) return Unavailable("no state");
                             return {};
                           }});
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

void Core::StartAuthorization() {
  rbac_.Start();
  node_graph_.Start();
}

void Core::StopAuthorization() {
  rbac_.Stop();
  node_graph_.Stop();
}

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
