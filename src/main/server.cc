#include "main/server.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <array>

#include <map>
#include <memory>
#include <vector>

#include "apiserver/apiserver.h"
#include "apiserver/user.h"
#include "base/ip.h"
#include "base/log.h"
#include "base/uuid.h"
#include "client/events.h"
#include "client/kubeconfig.h"
#include "controller/local_volumes.h"
#include "main/certificates.h"
#include "main/control_plane.h"
#include "main/machine.h"
#include "network/network.h"
#include "node/agent.h"
#include "node/logind.h"
#include "node/mount.h"
#include "rt/file_system.h"
#include "runtime/cgroup.h"
#include "store/store.h"

namespace knarr::main {
namespace {

constexpr Duration kStopGrace = 2s;
constexpr Duration kRenewRetry = 1h;
constexpr Duration kStorageClassRetry = 5s;
// How long the user's kubeconfig may be held by others.
constexpr Duration kKubeconfigMost = 1min;

std::string LogDirectory(const ServerOptions& options) {
  if (!options.log_directory.empty()) return options.log_directory;
  return options.data_directory == ServerOptions().data_directory ? "/var/log/pods"
                                                                  : options.data_directory + "/log/pods";
}

/// Clusters of one machine keep their control groups and nftables tables apart: uninstalling one must not end
/// another's pods. "" for the default data directory.
std::string Instance(const ServerOptions& options) {
  if (options.data_directory == ServerOptions().data_directory) return "";
  std::string out = options.data_directory;
  std::ranges::replace(out, '/', '-');
  return out;
}

std::string CgroupRoot(const ServerOptions& options) { return "/knarr" + Instance(options); }

runtime::EngineOptions EngineOptionsOf(const ServerOptions& options) {
  return {.state_directory = options.data_directory + "/run",
          .oci_runtime = options.oci_runtime,
          .cgroup_root = CgroupRoot(options)};
}

network::PodNetworkOptions NetworkOptionsOf(const ServerOptions& options) {
  network::PodNetworkOptions out{.state_directory = options.data_directory + "/network"};
  out.instance = Instance(options);
  out.cluster_cidr = options.cluster_cidr;
  out.service_cidr = options.service_cidr;
  out.bridge = options.bridge;
  // One machine: the first /24 of the cluster's range is its own, or all of a smaller range.
  const size_t slash = options.cluster_cidr.find('/');
  const auto cluster = Cidr::Parse(options.cluster_cidr);  // what is wrong with it, the pod network says
  const int prefix = cluster.ok() ? std::max<int>(24, cluster->prefix()) : 24;
  out.pod_cidr = options.cluster_cidr.substr(0, slash) + "/" + std::to_string(prefix);
  return out;
}

NodeRuntimeOptions NodeRuntimeOptionsOf(const ServerOptions& options) {
  const std::string& data = options.data_directory;
  return {.flags = options.node_runtime,
          .images = {.directory = data + "/images", .registries_file = data + "/registries.yaml"},
          .engine = EngineOptionsOf(options),
          .network = NetworkOptionsOf(options)};
}

/// The node's half of the process.
struct NodeParts {
  std::unique_ptr<client::Client> client;
  NodeRuntime runtime;
  std::unique_ptr<node::Agent> agent;
  std::unique_ptr<network::ServiceProxy> proxy;
};

/// What makes volumes of this node's disk.
struct StorageParts {
  std::unique_ptr<client::Client> client;
  std::unique_ptr<client::EventRecorder> events;
  std::unique_ptr<controller::LocalVolumes> volumes;
};

class Server {
 public:
  Server(rt::RealRuntime& world, std::shared_ptr<rt::BlockingPool> pool, const ServerOptions& options)
      : world_(world), pool_(std::move(pool)), options_(options), tasks_(world, "server") {}

  Ok Run() {
    const MonoTime begin = world_.Mono();
    phase_began_ = begin;
    Ok started = Start();
    if (started.ok()) {
      LOG_INFO("knarr is ready", {"address", api_->local().ToString()}, {"node", options_.node_name},
               {"took", FormatDuration(world_.Mono() - begin)}, {"phases", phases_});
      Result<int> signal = world_.WaitSignal({SIGTERM, SIGINT});
      LOG_INFO("stopping; pods go on running", {"signal", signal.ok() ? *signal : 0});
    }
    Stop();
    return started;
  }

 private:
  /// Notes how long the start took since the phase before ended.
  void EndPhase(std::string_view name) {
    const MonoTime now = world_.Mono();
    phases_ += fmt::format("{}{}={}", phases_.empty() ? "" : " ", name, FormatDuration(now - phase_began_));
    phase_began_ = now;
  }

  Ok Start() {
    TRY(world_.files().MakeDirectories(options_.data_directory, 0700));
    TRY(world_.files().Chmod(options_.data_directory, 0700));
    endpoint_ = TRY(net::Endpoint::Parse(options_.listen).Context("--listen"));
    for (int i = 0; i < options_.io_threads; ++i) {
      io_.push_back(rt::RealRuntime::Create({.name = fmt::format("io-{}", i)}, pool_));
      io_.back()->StartThread();
    }
    TRY(MakeCertificates());
    EndPhase("certificates");
    auto sealer = TRY(ReadSealer(world_, options_.policy, options_.data_directory));
    OpenedStore opened = TRY(OpenStore(world_, options_.etcd,
                                       {.directory = options_.data_directory + "/store",
                                        .on_health = [this](const Ok& health) { TellStoreHealth(health); },
                                        .sealer = std::move(sealer)}));
    folder_lock_ = std::move(opened.lock);
    store_ = std::move(opened.store);
    EndPhase("store");
    TRY(StartApi());
    store_client_ = api_->LocalClient(Component("system:kube-controller-manager"), "knarr");
    store_events_ = std::make_unique<client::EventRecorder>(world_, *store_client_, "store");
    EndPhase("api");
    StartControllers();
    EndPhase("controllers");
    if (!options_.no_local_storage) StartStorage();
    if (!options_.no_node) TRY(StartNode());
    if (options_.hollow.count > 0) {
      hollow_ = TRY(HollowNodes::Start(world_, *api_, control_->informers(), options_.hollow));
    }
    // In our own folder nobody else holds a lock for long: one that is there was left by a server that was killed.
    TRY(world_.files().Remove(OwnKubeconfig() + ".lock"));
    TRY(WriteKubeconfig());
    EndPhase("kubeconfig");
    tasks_.Spawn("renew certificates", [this] { RenewCertificates(); });
    return {};
  }

  /// While the store is read-only no Event can be written: it tells of that when it is over.
  void TellStoreHealth(const Ok& health) {
    if (!health.ok()) {
      store_trouble_ = health.status().message();
      store_trouble_since_ = world_.Mono();
      return;
    }
    if (store_events_ == nullptr) return;
    const std::string& name = options_.node_name;
    client::EventTarget node{.api_version = "v1", .kind = "Node", .name = name, .uid = name};
    const std::string time = FormatDuration(world_.Mono() - store_trouble_since_);
    store_events_->Record(std::move(node), client::EventKind::kWarning, "StoreWasReadOnly",
                          fmt::format("No changes were taken for {}: {}", time, store_trouble_));
  }

  Ok MakeCertificates() {
    Cidr services = TRY(Cidr::Parse(options_.service_cidr).Context("--service-cidr"));
    std::vector<std::string> dns = {
        "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
        "localhost",  options_.node_name};
    std::vector<std::string> ips = {"127.0.0.1", "::1", services.At(1).ToString(), options_.node_ip};
    if (IpAddress::Parse(endpoint_.host).ok() && std::ranges::count(ips, endpoint_.host) == 0 &&
        endpoint_.host != "0.0.0.0" && endpoint_.host != "::") {
      ips.push_back(endpoint_.host);
    }
    certificates_ = TRY(EnsureCertificates(world_, options_.data_directory + "/tls", dns, ips));
    return {};
  }

  Ok StartApi() {
    tls_ = TRY(net::TlsServerContext::Create({.identity = certificates_.server,
                                              .client_ca_pem = certificates_.authority.certificate_pem,
                                              .alpn = {"h2", "http/1.1"}}));
    apiserver::ApiServerOptions options{.listen = endpoint_, .tls = tls_, .service_cidr = options_.service_cidr};
    security_ = TRY(SetUpSecurity(world_, options_.security));
    options.security = std::move(security_.options);
    options.security.service_account_key_pem = certificates_.service_account_key;
    TRY(ApplyRequestFlags(options_.policy, options));
    options.admission = TRY(ReadAdmissionOptions(world_, options_.policy));
    options.audit = TRY(ReadAuditOptions(world_, options_.policy));
    std::vector<rt::Runtime*> io;
    for (auto& runtime : io_) io.push_back(runtime.get());
    api_ = TRY(apiserver::ApiServer::Create(world_, io, *store_, std::move(options)));
    TRY(api_->Bootstrap());
    return api_->Listen();
  }

  std::string OwnName() {
    std::array<uint8_t, 16> random{};
    world_.RandomBytes(random.data(), random.size());
    return MakeUuid(random);
  }

  void StartControllers() {
    controller::ClusterKeys keys;
    keys.ca_certificate_pem = certificates_.authority.certificate_pem;
    keys.ca_key_pem = certificates_.authority.key_pem;
    keys.sign_token = [this](std::string_view ns, std::string_view account, std::string_view uid,
                             std::string_view secret) { return api_->SignSecretToken(ns, account, uid, secret); };
    control_ = std::make_unique<ControlPlane>(world_, *api_, std::move(keys));
    if (options_.etcd.servers.empty()) {
      control_->Start();
    } else {
      // Like nobody else's, also of a server that was started again.
      control_->StartElected(options_.node_name + "_" + OwnName());
    }
  }

  void StartStorage() {
    tasks_.Spawn("storage class", [this] {
      const auto client = api_->LocalClient(Component("system:apiserver", {"system:masters"}), "knarr");
      Ok made = controller::EnsureLocalStorageClass(*client);
      while (!made.ok()) {
        LOG_WARN("the storage class of local volumes was not made", {"error", made.status()});
        if (!world_.Sleep(kStorageClassRetry).ok()) return;
        made = controller::EnsureLocalStorageClass(*client);
      }
    });
    if (options_.no_node) return;
    StorageParts& parts = storage_;
    parts.client = api_->LocalClient(apiserver::ServiceAccountUser("kube-system", "persistent-volume-binder"),
                                     "local-volumes");
    parts.events = std::make_unique<client::EventRecorder>(world_, *parts.client, "knarr.dev/local");
    const std::string path =
        options_.local_storage_path.empty() ? options_.data_directory + "/storage" : options_.local_storage_path;
    parts.volumes = std::make_unique<controller::LocalVolumes>(
        world_, world_.files(), *parts.client, control_->informers(), *parts.events,
        controller::LocalVolumesOptions{.nodes = {options_.node_name}, .directory = path});
    parts.volumes->Start();
  }

  Ok StartNode() {
    NodeParts& parts = node_;
    parts.client = api_->LocalClient(Component("system:node:" + options_.node_name, {"system:nodes"}), "kubelet");
    const std::string& data = options_.data_directory;
    parts.runtime = TRY(NodeRuntime::Open(world_, NodeRuntimeOptionsOf(options_)));
    EndPhase("runtime");
    node::AgentOptions agent{.node_name = options_.node_name, .node_ip = options_.node_ip};
    agent.pod_cidr = NetworkOptionsOf(options_).pod_cidr;
    agent.data_directory = data;
    agent.log_directory = LogDirectory(options_);
    agent.cgroup_root = CgroupRoot(options_);
    TRY(ApplyNodeFlags(options_.node, agent));
    if (!agent.shutdown_periods.empty()) {
      node::LogindOptions logind;
      if (!options_.node.system_bus.empty()) logind.address = options_.node.system_bus;
      agent.shutdown_source = std::make_shared<node::Logind>(world_, logind);
    }
    agent.set_group = [groups = TRY(runtime::Cgroups::Detect())](const std::string& path,
                                                                 const runtime::CgroupResources& resources) -> Ok {
      TRY(groups.Create(path));
      return groups.SetLimits(path, resources, runtime::CgroupWrite::kFresh);
    };
    agent.image_directory = parts.runtime.image_directory;
    agent.container_runtime = parts.runtime.version;
    parts.agent = std::make_unique<node::Agent>(world_, *parts.client, *parts.runtime.containers,
                                                *parts.runtime.images, parts.runtime.network(), std::move(agent));
    TRY(parts.agent->Start());
    api_->SetNodeAccess(options_.node_name, parts.agent.get());
    EndPhase("agent");
    parts.proxy = TRY(network::ServiceProxy::Create(world_, control_->informers(),
                                                    {.instance = Instance(options_),
                                                     .cluster_cidr = options_.cluster_cidr,
                                                     .service_cidr = options_.service_cidr,
                                                     .node_name = options_.node_name}));
    parts.proxy->Start();
    EndPhase("proxy");
    return {};
  }

  /// The address clients on this machine use.
  std::string Url() const {
    net::Endpoint local = api_->local();
    if (local.host == "0.0.0.0" || local.host.empty()) local.host = "127.0.0.1";
    if (local.host == "::") local.host = "::1";
    return "https://" + local.ToString();
  }

  std::string OwnKubeconfig() const { return options_.data_directory + "/kubeconfig"; }

  Ok WriteKubeconfig() {
    client::KubeconfigEntry entry{.name = "knarr",
                                  .server = Url(),
                                  .ca_pem = certificates_.authority.certificate_pem,
                                  .client_certificate_pem = certificates_.admin.certificate_pem,
                                  .client_key_pem = certificates_.admin.key_pem};
    // A new cluster becomes kubectl's current one, as users of kind and minikube expect; a restart changes nothing.
    entry.set_current = !world_.files().Exists(OwnKubeconfig());
    TRY(client::MergeKubeconfig(world_, OwnKubeconfig(), entry));
    if (options_.kubeconfig.empty()) return {};
    // The user's own file, which another program may hold: the cluster works without it, and its start does not wait.
    const Ok merged = client::MergeKubeconfig(world_, options_.kubeconfig, entry, client::LockWait::kNone);
    if (!merged.Failed(Reason::kConflict)) {
      TellMerged(merged);
      return {};
    }
    tasks_.Spawn("kubeconfig", [this, entry] {
      const MonoTime until = world_.Mono() + kKubeconfigMost;
      Ok again;
      do {
        again = client::MergeKubeconfig(world_, options_.kubeconfig, entry);
      } while (again.Failed(Reason::kConflict) && world_.Mono() < until);
      if (!again.Failed(Reason::kCancelled)) TellMerged(again);
    });
    return {};
  }

  void TellMerged(const Ok& merged) const {
    if (merged.ok()) return;
    LOG_WARN("kubeconfig not written; set KUBECONFIG to the one in the data directory", {"path", options_.kubeconfig},
             {"data-directory", options_.data_directory}, {"error", merged.status()});
  }

  void RenewCertificates() {
    while (true) {
      const Duration left = certificates_.renew_at - world_.Wall();
      // Wall time may jump: it is looked at again at least once a day.
      if (!world_.Sleep(std::min<Duration>(std::max<Duration>(left, 1s), 24h)).ok()) return;
      if (world_.Wall() < certificates_.renew_at) continue;
      Ok renewed = MakeCertificates();
      if (renewed.ok()) renewed = tls_->Replace(certificates_.server);
      if (renewed.ok()) renewed = WriteKubeconfig();
      if (renewed.ok()) {
        LOG_INFO("certificates renewed");
        continue;
      }
      LOG_ERROR("certificates not renewed; trying again", {"error", renewed.status()});
      if (!world_.Sleep(kRenewRetry).ok()) return;
    }
  }

  void Stop() {
    tasks_.StopAndJoin();
    if (hollow_ != nullptr) hollow_->Stop();
    if (node_.proxy != nullptr) node_.proxy->Stop();
    if (node_.agent != nullptr) node_.agent->Stop();
    if (storage_.volumes != nullptr) {
      storage_.volumes->Stop();
      storage_.events->Stop();
    }
    if (control_ != nullptr) control_->Stop();
    if (store_events_ != nullptr) store_events_->Stop();
    store_events_.reset();
    if (api_ != nullptr) api_->Stop(kStopGrace);
    node_ = NodeParts();
    hollow_.reset();
    storage_ = StorageParts();
    control_.reset();
    store_client_.reset();
    api_.reset();
    security_ = {};
    if (store_ != nullptr) store_->Close();
    store_.reset();
    folder_lock_.reset();
    for (auto& runtime : io_) runtime->StopThread();
  }

  rt::RealRuntime& world_;
  std::shared_ptr<rt::BlockingPool> pool_;
  const ServerOptions& options_;
  MonoTime phase_began_{};
  std::string phases_;
  net::Endpoint endpoint_;
  std::vector<std::unique_ptr<rt::RealRuntime>> io_;
  Certificates certificates_;
  std::shared_ptr<net::TlsServerContext> tls_;
  std::unique_ptr<rt::FileLock> folder_lock_;
  std::unique_ptr<store::Store> store_;
  std::string store_trouble_;  ///< why it was read-only the last time
  MonoTime store_trouble_since_{};
  SecuritySetup security_;
  std::unique_ptr<apiserver::ApiServer> api_;
  std::unique_ptr<client::Client> store_client_;
  std::unique_ptr<client::EventRecorder> store_events_;
  std::unique_ptr<ControlPlane> control_;
  StorageParts storage_;
  NodeParts node_;
  std::unique_ptr<HollowNodes> hollow_;
  rt::TaskGroup tasks_;
};

}  // namespace

Ok RunServer(rt::RealRuntime& world, std::shared_ptr<rt::BlockingPool> pool, const ServerOptions& options) {
  ServerOptions filled = options;
  if (filled.node_name.empty()) filled.node_name = TRY(HostName());
  if (filled.node_ip.empty()) filled.node_ip = TRY(HostAddress(filled.bridge));
  Server server(world, std::move(pool), filled);
  return server.Run();
}

namespace {

/// The logs of this cluster's pods. Others may lie in the same folder, which only goes when it is empty.
Ok RemoveLogs(rt::Runtime& runtime, const ServerOptions& options) {
  rt::FileSystem& files = runtime.files();
  const std::string logs = LogDirectory(options);
  const auto there = files.List(logs);
  if (there.Failed(Reason::kNotFound)) return {};
  if (!there.ok()) return there.status();
  const auto pods = files.List(options.data_directory + "/pods");
  if (!pods.ok() && !pods.Failed(Reason::kNotFound)) return pods.status();
  for (const rt::DirectoryEntry& entry : *there) {
    const auto is_of = [&](const rt::DirectoryEntry& pod) { return entry.name.ends_with("_" + pod.name); };
    if (pods.ok() && std::ranges::any_of(*pods, is_of)) TRY(files.RemoveAll(logs + "/" + entry.name));
  }
  return TRY(files.List(logs)).empty() ? files.Remove(logs) : Ok();
}

/// Whether no server works with the folder; one would make anew what is removed.
Ok CheckUnused(rt::Runtime& runtime, const std::string& data_directory) {
  if (!runtime.files().Exists(data_directory + "/store")) return {};
  const auto opened = store::OpenEmbedded(runtime, {.directory = data_directory + "/store"});
  if (opened.ok()) (*opened)->Close();
  if (opened.Failed(Reason::kServiceUnavailable)) return opened.status().WithContext("stop the server first");
  return {};  // one that is damaged or sealed goes as well
}

}  // namespace

Ok Uninstall(rt::Runtime& runtime, const ServerOptions& options) {
  TRY(CheckUnused(runtime, options.data_directory));
  TRY(RemoveFromRuntime(runtime, NodeRuntimeOptionsOf(options)));
  TRY(network::RemoveNetwork(runtime, NetworkOptionsOf(options)));
  TRY(node::UnmountBelow(runtime, options.data_directory));
  if (!options.kubeconfig.empty()) {
    Ok removed = client::RemoveFromKubeconfig(runtime, options.kubeconfig, "knarr");
    // The user's own file, perhaps locked by a program that died: no reason to leave the machine as it is.
    if (!removed.ok())
      LOG_WARN("the kubeconfig keeps its entry", {"file", options.kubeconfig}, {"error", removed.status()});
  }
  TRY(RemoveLogs(runtime, options));
  TRY(node::RemoveLogindConfiguration(runtime));
  return runtime.files().RemoveAll(options.data_directory);
}

}  // namespace knarr::main
