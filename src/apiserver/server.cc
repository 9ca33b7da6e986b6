#include <fmt/format.h>

#include "apiserver/audit/audited_client.h"
#include "apiserver/authentication/legacy_token_tracking.h"
#include "apiserver/bootstrap.h"
#include "apiserver/core.h"
#include "apiserver/event_expiry.h"
#include "apiserver/http_face.h"
#include "apiserver/local_client.h"
#include "apiserver/service_networks.h"

namespace knarr::apiserver {
namespace {

class Server : public ApiServer {
 public:
  Server(rt::Runtime& world, std::vector<rt::Runtime*> io, store::Store& store, ApiServerOptions options,
         std::unique_ptr<AdmissionChain> admission, std::unique_ptr<AuditLog> audit)
      : io_(std::move(io)),
        core_(world, io_, store, std::move(options), std::move(admission), std::move(audit)),
        face_(core_),
        expiry_(world, store, core_.options().event_ttl),
        keeper_(core_),
        address_keeper_(core_),
        token_tracking_(core_) {}

  ~Server() override { CHECK(stopped_); }

  Ok Bootstrap() override {
    if (core_.audit() != nullptr) core_.audit()->Start();
    core_.security().Start();
    TRY(MakeBootstrapObjects(core_));
    expiry_.Start();
    keeper_.Start();
    address_keeper_.Start();
    token_tracking_.Start();
    return {};
  }

  Ok Listen() override {
    net::HttpServerOptions options;
    options.tls = core_.options().tls;
    options.home = &core_.world();
    std::vector<rt::Runtime*> runtimes = io_;
    if (runtimes.empty()) runtimes.push_back(&core_.world());
    http_ = TRY(net::HttpServer::Start(std::move(runtimes), core_.options().listen, std::move(options), handler()));
    return {};
  }

  net::Endpoint local() const override { return http_ != nullptr ? http_->local() : core_.options().listen; }

  std::unique_ptr<client::Client> LocalClient(UserInfo user, std::string agent) override {
    Local& local = *core_.locals().front();
    if (core_.audit() == nullptr) return MakeLocalClient(core_.operations(), local, std::move(user), std::move(agent));
    auto client = MakeLocalClient(core_.operations(), local, user, agent);
    return MakeAuditedClient(std::move(client), *core_.audit(), local, std::move(user), std::move(agent));
  }

  Result<std::string> SignSecretToken(std::string_view ns, std::string_view account, std::string_view account_uid,
                                      std::string_view secret) override {
    return core_.security().tokens().IssueLegacy(ns, {std::string(account), std::string(account_uid)}, secret);
  }

  net::Handler handler() override {
    return [this](net::Request& request, net::Response& response) { face_.Handle(request, response); };
  }

  void SetNodeAccess(std::string node_name, client::NodeAccess* access) override {
    core_.SetNode(std::move(node_name), access);
  }
  void AddReadyCheck(std::string name, std::function<Ok()> check) override {
    core_.AddReadyCheck({std::move(name), std::move(check)});
  }

  void Stop(Duration grace) override {
    if (stopped_) return;
    stopped_ = true;
    expiry_.Stop();
    keeper_.Stop();
    address_keeper_.Stop();
    token_tracking_.Stop();
    core_.StopStreams();
    if (http_ != nullptr) http_->Stop(grace);
    core_.security().Stop();
    core_.StopLocals();
    if (core_.audit() != nullptr) core_.audit()->Stop();
  }

 private:
  std::vector<rt::Runtime*> io_;
  Core core_;
  HttpFace face_;
  EventExpiry expiry_;
  ServiceKeeper keeper_;
  AddressKeeper address_keeper_;
  LegacyTokenTracking token_tracking_;
  std::unique_ptr<net::HttpServer> http_;
  bool stopped_ = false;
};

Ok CheckOptions(const ApiServerOptions& options) {
  const auto networks = ParseServiceNetworks(options.service_cidr);
  if (!networks.ok()) return networks.status().WithContext("service network");
  if (options.node_port_first == 0 || options.node_port_first > options.node_port_last) {
    return BadRequest(fmt::format("node ports {}-{}: no range", options.node_port_first, options.node_port_last));
  }
  TRY(ServiceAccountTokens::Create(options.security.service_account_key_pem, options.security.issuer));
  if (options.security.oidc.has_value()) TRY(CheckOidcOptions(options.security.oidc->options));
  if (options.in_flight_max == 0 || options.in_flight_writes_max == 0)
    return BadRequest("the bound on requests in flight must be at least 1");
  return {};
}

}  // namespace

Result<std::unique_ptr<ApiServer>> ApiServer::Create(rt::Runtime& world, std::vector<rt::Runtime*> io,
                                                     store::Store& store, ApiServerOptions options) {
  TRY(CheckOptions(options));
  auto admission = TRY(AdmissionChain::Create(options.admission));
  auto audit = TRY(AuditLog::Create(world, options.audit));
  return std::unique_ptr<ApiServer>(std::make_unique<Server>(world, std::move(io), store, std::move(options),
                                                             std::move(admission), std::move(audit)));
}

}  // namespace knarr::apiserver
