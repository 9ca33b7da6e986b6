#include <linux/netlink.h>

#include <algorithm>
#include <optional>
#include <set>

#include "api/core_v1.h"
#include "api/discovery_v1.h"
#include "api/meta_v1.h"
#include "api/object.h"
#include "base/log.h"
#include "base/strings.h"
#include "network/network.h"
#include "network/service_rules.h"
#include "network/service_table.h"
#include "network/tables.h"
#include "rt/sync.h"

namespace knarr::network {
namespace {

constexpr std::string_view kIndex = "service-proxy/service";
constexpr std::string_view kServiceLabel = "kubernetes.io/service-name";
// Changes that come within this time after a transaction go into the next together.
constexpr Duration kSpacing = 10ms;
constexpr Duration kRetryFirst = 100ms;
constexpr Duration kRetryMax = 30s;

std::vector<std::string> ServiceOf(const api::Object& object) {
  const api::discovery_v1::EndpointSlice slice(object.tree());
  const auto name = slice.metadata().labels().Find(kServiceLabel);
  if (!name || name->empty()) return {};
  return {std::string(object.ns()) + "/" + std::string(*name)};
}

// What the informers' handlers reach; they may outlive the proxy.
struct Dirty {
  explicit Dirty(rt::Runtime& runtime) : changed(runtime) {}
  std::set<std::string> services;
  rt::Event changed;
  void Add(const std::string& service) {
    services.insert(service);
    changed.Set();
  }
};

class ServiceProxyImpl : public ServiceProxy {
 public:
  ServiceProxyImpl(rt::Runtime& runtime, client::InformerFactory& informers, ServiceContext context)
      : runtime_(runtime),
        services_(informers.For(api::core_v1::ServiceInfo())),
        slices_(informers.For(api::discovery_v1::EndpointSliceInfo())),
        dirty_(std::make_shared<Dirty>(runtime)),
        table_(std::move(context)),
        tasks_(runtime, "service-proxy") {
    slices_.AddIndex(std::string(kIndex), ServiceOf);
    services_.AddHandler([dirty = dirty_](const client::ObjectPtr& before, const client::ObjectPtr& after) {
      dirty->Add(api::KeyOf(after != nullptr ? *after : *before));
    });
    slices_.AddHandler([dirty = dirty_](const client::ObjectPtr& before, const client::ObjectPtr& after) {
      for (const auto& object : {before, after}) {
        if (object == nullptr) continue;
        for (const std::string& service : ServiceOf(*object)) dirty->Add(service);
      }
    });
  }
  ~ServiceProxyImpl() override { tasks_.StopAndJoin(); }

  void Start() override {
    tasks_.Spawn("sync", [this] { Run(); });
  }
  void Stop() override { tasks_.StopAndJoin(); }

 private:
  void Run();
  void Recompute();
  Ok Commit(nft::Transaction transaction);
  Ok ForgetUdp();

  rt::Runtime& runtime_;
  client::Informer& services_;
  client::Informer& slices_;
  std::shared_ptr<Dirty> dirty_;
  ServiceTable table_;
  std::optional<NetlinkSocket> socket_;
  rt::TaskGroup tasks_;
};

void ServiceProxyImpl::Recompute() {
  std::set<std::string> services;
  services.swap(dirty_->services);
  dirty_->changed.Reset();
  for (const std::string& key : services) {
    const auto cut = Cut(key, "/");
    if (!cut) continue;
    const client::ObjectPtr service = services_.Get({std::string(cut->first), std::string(cut->second)});
    ServiceRules rules;
    if (service != nullptr) {
      const std::vector<client::ObjectPtr> objects = slices_.ByIndex(kIndex, key);
      std::vector<api::discovery_v1::EndpointSlice> slices;
      for (const client::ObjectPtr& object : objects) slices.emplace_back(object->tree());
      rules = RulesFor(api::core_v1::Service(service->tree()), slices, table_.context());
    }
    table_.Set(key, std::move(rules));
  }
}

Ok ServiceProxyImpl::Commit(nft::Transaction transaction) {
  Ok result;
  runtime_.Blocking([&] {
    result = [&]() -> Ok {
      if (!socket_) socket_.emplace(TRY(NetlinkSocket::Open(NETLINK_NETFILTER)));
      return transaction.Commit(*socket_);
    }();
    if (!result.ok()) socket_.reset();
  });
  return result;
}

Ok ServiceProxyImpl::ForgetUdp() {
  const std::vector<UdpTarget> targets = table_.TakeChangedUdp();
  if (targets.empty()) return {};
  Ok result;
  runtime_.Blocking([&] {
    const auto forgotten = ForgetStaleUdp(*socket_, targets);
    if (forgotten.ok()) return;
    result = forgotten.status();
    socket_.reset();  // answers that were not read must not be taken for those to the next transaction
  });
  return result;
}

void ServiceProxyImpl::Run() {
  if (!services_.WaitSynced().ok() || !slices_.WaitSynced().ok()) return;
  bool rebuild = true;  // what a former run left is unknown, and replaced in one step
  Duration retry = kRetryFirst;
  while (true) {
    Recompute();
    const Ok committed = Commit(rebuild ? table_.Rebuild() : table_.Update());
    if (!committed.ok()) {
      LOG_ERROR("service proxy: rules were not taken", {"error", committed.status()}, {"retry", FormatDuration(retry)});
      rebuild = true;
      if (!runtime_.Sleep(retry).ok()) return;
      retry = std::min(retry * 2, kRetryMax);
      continue;
    }
    rebuild = false;
    retry = kRetryFirst;
    const Ok forgotten = ForgetUdp();
    if (!forgotten.ok()) LOG_WARN("service proxy: old UDP flows were not forgotten", {"error", forgotten.status()});
    if (!runtime_.Sleep(kSpacing).ok() || !dirty_->changed.Wait().ok()) return;
  }
}

}  // namespace

Result<std::unique_ptr<ServiceProxy>> ServiceProxy::Create(rt::Runtime& runtime, client::InformerFactory& informers,
                                                           ServiceProxyOptions options) {
  ServiceContext context;
  context.table = ServiceTableName(options.instance);
  context.cluster = TRY(Cidr::Parse(options.cluster_cidr));
  if (!options.service_cidr.empty()) TRY(Cidr::Parse(options.service_cidr));
  context.service_network = options.service_cidr;
  context.node_name = options.node_name;
  return std::unique_ptr<ServiceProxy>(std::make_unique<ServiceProxyImpl>(runtime, informers, std::move(context)));
}

}  // namespace knarr::network
