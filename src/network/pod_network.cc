#include <fmt/format.h>
#include <linux/netlink.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/log.h"
#include "network/address_pool.h"
#include "network/host_ports.h"
#include "network/links.h"
#include "network/network.h"
#include "network/nft.h"
#include "network/tables.h"
#include "rt/file_system.h"
#include "rt/sync.h"

namespace knarr::network {
namespace {

// The link of a pod is named for its address, which is its owner's alone.
std::string LinkName(const IpAddress& address) { return fmt::format("kn{:08x}", address.v4()); }

// Leases are symbolic links in <state>/leases, named for the address, pointing to the sandbox: made in one step, no
// half written ones. They are not synced to the disk: after a power cut no pod is left that holds an address.
std::string LeaseDirectory(const PodNetworkOptions& options) { return options.state_directory + "/leases"; }

// The ports of the node that lead to a sandbox are kept in a file named for it.
std::string PortsDirectory(const PodNetworkOptions& options) { return options.state_directory + "/host-ports"; }

// The kernel sends redirects when either this or the link's own setting says so.
constexpr std::string_view kAllRedirects = "/proc/sys/net/ipv4/conf/all/send_redirects";
// What it was before us.
constexpr const char* kRedirectsBefore = "send_redirects.before";

class PodNetworkImpl : public PodNetwork {
 public:
  PodNetworkImpl(rt::Runtime& runtime, PodNetworkOptions options, AddressPool pool)
      : runtime_(runtime),
        options_(std::move(options)),
        pool_(std::move(pool)),
        ports_(HostPortTable(options_.instance)),
        busy_(runtime),
        ports_busy_(runtime) {}

  Ok Open();
  Result<PodAddress> Attach(const std::string& sandbox_id, const std::string& netns_path) override;
  Ok MapPorts(const std::string& sandbox_id, const std::vector<PortMapping>& ports) override;
  Ok Detach(const std::string& sandbox_id) override;
  Ok Retain(const std::vector<std::string>& sandbox_ids) override;

 private:
  Ok LookForOthers();
  Ok StopRedirects();
  Ok ReadLeases();
  Ok ReadPorts();
  Ok UnmapPorts(const std::string& sandbox_id);
  Ok CommitPorts(nft::Transaction change, const std::string& without = "");
  void ForgetPorts(const std::vector<UdpTarget>& stale);
  Ok OnPool(const std::function<Ok()>& work);
  Result<IpAddress> Lease(const std::string& sandbox_id);
  Ok Free(const std::string& sandbox_id);
  std::string LeasePath(const IpAddress& address) const { return LeaseDirectory(options_) + "/" + address.ToString(); }
  PodAddress Told(const IpAddress& address) const { return {address.ToString(), pool_.gateway().ToString()}; }

  rt::Runtime& runtime_;
  PodNetworkOptions options_;
  AddressPool pool_;
  HostPorts ports_;
  rt::WaitQueue busy_;
  rt::Mutex ports_busy_;  // what the kernel has follows ports_ in one order
  std::optional<NetlinkSocket> nftables_;  // kept, because closing it takes longer than the transaction
  std::set<std::string> working_;          // sandboxes that are being attached or detached
  std::vector<std::string> others_;        // state folders of other clusters
};

// One fiber at a time for each sandbox.
class SandboxTurn {
 public:
  static Result<std::unique_ptr<SandboxTurn>> Take(rt::WaitQueue& queue, std::set<std::string>& working,
                                                   const std::string& id) {
    TRY(queue.WaitUntil([&] { return !working.contains(id); }));
    return std::unique_ptr<SandboxTurn>(new SandboxTurn(queue, working, id));
  }
  ~SandboxTurn() {
    working_.erase(id_);
    queue_.NotifyAll();
  }
  SandboxTurn(const SandboxTurn&) = delete;
  SandboxTurn& operator=(const SandboxTurn&) = delete;

 private:
  SandboxTurn(rt::WaitQueue& queue, std::set<std::string>& working, std::string id)
      : queue_(queue), working_(working), id_(std::move(id)) {
    working_.insert(id_);
  }
  rt::WaitQueue& queue_;
  std::set<std::string>& working_;
  std::string id_;
};

Ok PodNetworkImpl::OnPool(const std::function<Ok()>& work) {
  Ok result;
  runtime_.Blocking([&] { result = work(); });
  return result;
}

Ok PodNetworkImpl::Open() {
  rt::FileSystem& files = runtime_.files();
  TRY(files.MakeDirectories(LeaseDirectory(options_), 0700));
  TRY(files.MakeDirectories(PortsDirectory(options_), 0700));
  TRY(ReadLeases());
  TRY(ReadPorts());
  TRY(LookForOthers());
  const BridgeSpec bridge{.name = options_.bridge,
                          .owner = options_.state_directory,
                          .address = Cidr(pool_.gateway(), pool_.network().prefix()),
                          .route = options_.service_cidr,
                          .mtu = static_cast<uint32_t>(options_.mtu)};
  TRY(OnPool([&] { return EnsureBridge(bridge); }));
  TRY(files.WriteFile("/proc/sys/net/ipv4/ip_forward", "1\n"));
  // Node ports answer on 127.0.0.1, too: such packets leave by the bridge. What comes in by the bridge for 127.0.0.1 is
  // dropped by a rule.
  TRY(files.WriteFile("/proc/sys/net/ipv4/conf/" + options_.bridge + "/route_localnet", "1\n"));
  TRY(StopRedirects());
  nft::Transaction transaction{PodTable(options_.instance)};
  transaction.RemoveTable();
  transaction.AddTable();
  const Cidr cluster = TRY(Cidr::Parse(options_.cluster_cidr));
  for (const nft::Chain& chain : PodTableChains(options_.bridge, pool_.network(), cluster)) transaction.AddChain(chain);
  return OnPool([&]() -> Ok {
    nftables_.emplace(TRY(NetlinkSocket::Open(NETLINK_NETFILTER)));
    TRY(transaction.Commit(*nftables_));
    return ports_.Rebuild().Commit(*nftables_);
  });
}

// Other clusters of this network namespace: what they have must not be ours, too. A bridge whose owner's folder is gone
// is a leftover, and taken over.
Ok PodNetworkImpl::LookForOthers() {
  std::vector<ForeignBridge> bridges;
  const Ok listed = OnPool([&]() -> Ok {
    bridges = TRY(ForeignBridges(options_.state_directory));
    return {};
  });
  TRY(listed);
  const Cidr services = options_.service_cidr.empty() ? pool_.network() : TRY(Cidr::Parse(options_.service_cidr));
  for (const ForeignBridge& bridge : bridges) {
    if (!runtime_.files().Exists(bridge.owner)) continue;
    if (bridge.name == options_.bridge) {
      return Conflict(
          fmt::format("the bridge {} belongs to the cluster that keeps its network in {}: give this one "
                      "another --bridge, --cluster-cidr and --service-cidr",
                      bridge.name, bridge.owner));
    }
    for (const Cidr& network : bridge.networks) {
      if (!network.Overlaps(pool_.network()) && !network.Overlaps(services)) continue;
      return Conflict(
          fmt::format("{} is in use by the cluster that keeps its network in {}: give this one another "
                      "--cluster-cidr and --service-cidr",
                      network.ToString(), bridge.owner));
    }
    others_.push_back(bridge.owner);
  }
  return {};
}

// What one pod sends another comes and leaves by the bridge, of which the kernel would tell the sender with a redirect:
// to talk past the host, where Services live; and redirects count against the limit of errors such as "refused".
Ok PodNetworkImpl::StopRedirects() {
  rt::FileSystem& files = runtime_.files();
  std::string before = TRY(files.ReadFile(std::string(kAllRedirects), 16));
  // Another cluster may have changed it already: what it found counts, whichever of them goes last.
  for (const std::string& other : others_) {
    if (auto theirs = files.ReadFile(other + "/" + kRedirectsBefore, 16); theirs.ok()) before = *theirs;
  }
  const std::string kept = options_.state_directory + "/" + kRedirectsBefore;
  if (!files.Exists(kept)) TRY(files.WriteFileAtomic(kept, before));
  TRY(files.WriteFile("/proc/sys/net/ipv4/conf/" + options_.bridge + "/send_redirects", "0\n"));
  return files.WriteFile(std::string(kAllRedirects), "0\n");
}

Ok PodNetworkImpl::ReadLeases() {
  for (const auto& entry : TRY(runtime_.files().List(LeaseDirectory(options_)))) {
    const std::string path = LeaseDirectory(options_) + "/" + entry.name;
    const auto address = IpAddress::Parse(entry.name);
    const auto owner = runtime_.files().ReadLink(path);
    const Ok restored = !address.ok() ? Ok(address.status())
                        : !owner.ok() ? Ok(owner.status())
                                      : pool_.Restore(*address, *owner);
    if (restored.ok()) continue;
    LOG_WARN("pod network: lease is removed", {"path", path}, {"error", restored.status()});
    TRY(runtime_.files().Remove(path));
  }
  return {};
}

Ok PodNetworkImpl::ReadPorts() {
  for (const auto& entry : TRY(runtime_.files().List(PortsDirectory(options_)))) {
    const std::string path = PortsDirectory(options_) + "/" + entry.name;
    const auto address = pool_.AddressOf(entry.name);
    const Ok restored = [&]() -> Ok {
      if (!address) return NotFound("its sandbox has no address");
      const std::string text = TRY(runtime_.files().ReadFile(path));
      return ports_.Set(entry.name, *address, TRY(ParsePortMappings(text)));
    }();
    if (restored.ok()) continue;
    LOG_WARN("pod network: host ports are given back", {"path", path}, {"error", restored.status()});
    TRY(runtime_.files().Remove(path));
  }
  return {};
}

// Where the change can't be made, the table is not as we left it (somebody may have flushed the rule set): it is made
// anew. On sockets with nothing else: answers must not be mixed up.
Ok PodNetworkImpl::CommitPorts(nft::Transaction change, const std::string& without) {
  const Ok changed = OnPool([&] { return change.Commit(); });
  if (changed.ok()) return changed;
  LOG_WARN("pod network: the host ports' table is made anew", {"error", changed.status()});
  nft::Transaction whole = ports_.Rebuild(without);
  return OnPool([&] { return whole.Commit(); });
}

void PodNetworkImpl::ForgetPorts(const std::vector<UdpTarget>& stale) {
  if (stale.empty()) return;
  const Ok forgotten = OnPool([&]() -> Ok {
    NetlinkSocket socket = TRY(NetlinkSocket::Open(NETLINK_NETFILTER));
    TRY(ForgetStaleUdp(socket, stale));
    return {};
  });
  if (!forgotten.ok()) LOG_WARN("pod network: old UDP flows were not forgotten", {"error", forgotten.status()});
}

Ok PodNetworkImpl::MapPorts(const std::string& sandbox_id, const std::vector<PortMapping>& ports) {
  const auto turn = TRY(SandboxTurn::Take(busy_, working_, sandbox_id));
  const auto address = pool_.AddressOf(sandbox_id);
  if (!address) return NotFound("sandbox " + sandbox_id + " has no address to lead ports to");
  const std::string path = PortsDirectory(options_) + "/" + sandbox_id;
  const std::string text = ToText(ports);
  if (ports_.Has(sandbox_id) && runtime_.files().ReadFile(path).value_or("") == text) return {};
  TRY(UnmapPorts(sandbox_id));
  if (ports.empty()) return {};
  const auto order = TRY(ports_busy_.Lock());
  TRY(ports_.Set(sandbox_id, *address, ports));
  const Ok mapped = [&]() -> Ok {
    TRY(runtime_.files().WriteFile(path, text));
    return CommitPorts(ports_.Add(sandbox_id));
  }();
  if (mapped.ok()) {
    ForgetPorts(ports_.UdpTargets(sandbox_id));
    return {};
  }
  ports_.Remove(sandbox_id);
  const rt::Shield shield(runtime_);
  TRY(runtime_.files().Remove(path));
  return mapped.status().WithContext("host ports of sandbox " + sandbox_id);
}

Ok PodNetworkImpl::UnmapPorts(const std::string& sandbox_id) {
  if (!ports_.Has(sandbox_id)) return {};
  const auto order = TRY(ports_busy_.Lock());
  TRY(CommitPorts(ports_.Take(sandbox_id), sandbox_id));
  ForgetPorts(ports_.UdpTargets(sandbox_id));
  ports_.Remove(sandbox_id);
  return runtime_.files().Remove(PortsDirectory(options_) + "/" + sandbox_id);
}

Result<IpAddress> PodNetworkImpl::Lease(const std::string& sandbox_id) {
  const bool had = pool_.AddressOf(sandbox_id).has_value();
  const IpAddress address = TRY(pool_.Allocate(sandbox_id, runtime_.Mono()));
  if (had) return address;
  const Ok written = runtime_.files().Symlink(sandbox_id, LeasePath(address));
  if (!written.ok()) {
    pool_.Release(sandbox_id, runtime_.Mono());
    return written.status().WithContext("lease of pod address " + address.ToString());
  }
  return address;
}

Result<PodAddress> PodNetworkImpl::Attach(const std::string& sandbox_id, const std::string& netns_path) {
  if (sandbox_id.empty() || sandbox_id.size() > 200) return BadRequest("sandbox id must have 1 to 200 characters");
  const auto turn = TRY(SandboxTurn::Take(busy_, working_, sandbox_id));
  const bool had = pool_.AddressOf(sandbox_id).has_value();
  const IpAddress address = TRY(Lease(sandbox_id));
  const PodLinkSpec link{.host_link = LinkName(address),
                         .bridge = options_.bridge,
                         .netns_path = netns_path,
                         .address = address,
                         .gateway = pool_.gateway(),
                         .mtu = static_cast<uint32_t>(options_.mtu)};
  const Ok made = OnPool([&]() -> Ok {
    if (had && TRY(PodLinkIsUp(netns_path, address))) return {};
    // A link of that name is what a crash left half-made.
    TRY(RemoveLink(link.host_link));
    Ok result = MakePodLink(link);
    if (!result.ok()) TRY(RemoveLink(link.host_link));
    return result;
  });
  if (made.ok()) return Told(address);
  // One that had it before may still use it: it is free when Detach has removed the link.
  if (!had) {
    const rt::Shield shield(runtime_);
    TRY(Free(sandbox_id));
  }
  return made.status().WithContext("network of sandbox " + sandbox_id);
}

Ok PodNetworkImpl::Free(const std::string& sandbox_id) {
  const auto address = pool_.AddressOf(sandbox_id);
  if (!address) return {};
  // The file first: were it left behind, the address would be lost until the next Retain.
  TRY(runtime_.files().Remove(LeasePath(*address)));
  pool_.Release(sandbox_id, runtime_.Mono());
  return {};
}

Ok PodNetworkImpl::Detach(const std::string& sandbox_id) {
  const auto turn = TRY(SandboxTurn::Take(busy_, working_, sandbox_id));
  const auto address = pool_.AddressOf(sandbox_id);
  if (!address) return {};
  TRY(UnmapPorts(sandbox_id));
  const std::string link = LinkName(*address);
  TRY(OnPool([&] { return RemoveLink(link); }));
  return Free(sandbox_id);
}

Ok PodNetworkImpl::Retain(const std::vector<std::string>& sandbox_ids) {
  const std::set<std::string> keep(sandbox_ids.begin(), sandbox_ids.end());
  std::vector<std::string> gone;
  for (const auto& [owner, address] : pool_.owners()) {
    if (!keep.contains(owner)) gone.push_back(owner);
  }
  for (const std::string& owner : gone) TRY(Detach(owner));
  return {};
}

}  // namespace

Result<std::unique_ptr<PodNetwork>> PodNetwork::Open(rt::Runtime& runtime, PodNetworkOptions options) {
  const Cidr cidr = TRY(Cidr::Parse(options.pod_cidr));
  AddressPool pool = TRY(AddressPool::Create(cidr));
  auto network = std::make_unique<PodNetworkImpl>(runtime, std::move(options), std::move(pool));
  TRY(network->Open().Context("pod network"));
  return std::unique_ptr<PodNetwork>(std::move(network));
}

Ok RemoveNetwork(rt::Runtime& runtime, const PodNetworkOptions& options) {
  std::vector<ForeignBridge> others;
  Ok result;
  runtime.Blocking([&] {
    result = [&]() -> Ok {
      for (const std::string& table :
           {PodTable(options.instance), ServiceTableName(options.instance), HostPortTable(options.instance)}) {
        nft::Transaction transaction{table};
        transaction.RemoveTable();
        TRY(transaction.Commit());
      }
      others = TRY(ForeignBridges(options.state_directory));
      const bool foreign =
          std::ranges::any_of(others, [&](const ForeignBridge& other) { return other.name == options.bridge; });
      if (foreign) return {};
      for (const std::string& port : TRY(BridgePorts(options.bridge))) TRY(RemoveLink(port));
      return RemoveLink(options.bridge);  // its routes go with it
    }();
  });
  TRY(result.ok() ? Ok() : Ok(result.status().WithContext("remove the pod network")));
  const std::string kept = options.state_directory + "/" + kRedirectsBefore;
  if (const auto before = runtime.files().ReadFile(kept, 16); before.ok()) {
    // The last cluster to go puts it back.
    if (others.empty()) TRY(runtime.files().WriteFile(std::string(kAllRedirects), *before));
    TRY(runtime.files().Remove(kept));
  }
  TRY(runtime.files().RemoveAll(PortsDirectory(options)));
  return runtime.files().RemoveAll(LeaseDirectory(options));
}

}  // namespace knarr::network
