#include "network/links.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "network/netlink.h"

namespace knarr::network {
namespace {

constexpr uint8_t kRouteProtocol = 0x6b;  // "k": tells our routes from others'
constexpr std::string_view kPodLink = "eth0";
constexpr std::string_view kAliasPrefix = "knarr ";
constexpr size_t kAliasMax = 255;

std::string AliasOf(const std::string& owner) { return (std::string(kAliasPrefix) + owner).substr(0, kAliasMax); }

std::string_view TextOf(std::string_view attribute) { return attribute.substr(0, attribute.find('\0')); }

uint32_t NumberOf(std::string_view attribute) {
  uint32_t number = 0;
  if (attribute.size() == sizeof number) std::memcpy(&number, attribute.data(), sizeof number);
  return number;
}

// The link a route leads to, and where; nullopt for anything but routes of the main table.
std::optional<std::pair<uint32_t, Cidr>> ReadRoute(const NetlinkReply& reply) {
  if (reply.type != RTM_NEWROUTE || reply.payload.size() < sizeof(rtmsg)) return std::nullopt;
  rtmsg header;
  std::memcpy(&header, reply.payload.data(), sizeof header);
  const std::string_view attributes = std::string_view(reply.payload).substr(sizeof header);
  const std::string_view to = FindAttribute(attributes, RTA_DST);
  if (header.rtm_family != AF_INET || header.rtm_table != RT_TABLE_MAIN || to.size() != 4) return std::nullopt;
  uint32_t address = 0;
  for (const char c : to) address = address << 8 | static_cast<unsigned char>(c);
  return std::pair(NumberOf(FindAttribute(attributes, RTA_OIF)), Cidr(IpAddress::V4(address), header.rtm_dst_len));
}

ifinfomsg LinkHeader(uint32_t index, uint32_t flags, uint32_t change) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(index);
  header.ifi_flags = flags;
  header.ifi_change = change;
  return header;
}

// 0 when there is none.
Result<uint32_t> LinkIndex(NetlinkSocket& socket, std::string_view name) {
  NetlinkBatch batch;
  batch.Begin(RTM_GETLINK, 0, LinkHeader(0, 0, 0));
  batch.Describe("look up link " + std::string(name));
  batch.PutText(IFLA_IFNAME, name);
  batch.End();
  const auto replies = socket.Query(batch);
  if (replies.Failed(Reason::kNotFound)) return 0U;
  if (!replies.ok()) return replies.status();
  for (const NetlinkReply& reply : *replies) {
    if (reply.type != RTM_NEWLINK || reply.payload.size() < sizeof(ifinfomsg)) continue;
    ifinfomsg header;
    std::memcpy(&header, reply.payload.data(), sizeof header);
    return static_cast<uint32_t>(header.ifi_index);
  }
  return 0U;
}

void AddAddress(NetlinkBatch& batch, uint32_t index, const Cidr& address) {
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = static_cast<uint8_t>(address.prefix());
  header.ifa_index = index;
  batch.Begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, header);
  batch.Describe("set address " + address.ToString());
  batch.Put(IFA_LOCAL, address.address().bytes());
  batch.Put(IFA_ADDRESS, address.address().bytes());
  batch.End();
}

void AddRoute(NetlinkBatch& batch, uint32_t index, const Cidr& to, const IpAddress* gateway) {
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_dst_len = static_cast<uint8_t>(to.prefix());
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = kRouteProtocol;
  header.rtm_scope = gateway != nullptr ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  header.rtm_type = RTN_UNICAST;
  header.rtm_flags = gateway != nullptr ? RTNH_F_ONLINK : 0;
  batch.Begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, header);
  batch.Describe("set route to " + to.ToString());
  if (to.prefix() > 0) batch.Put(RTA_DST, to.Network().bytes());
  if (gateway != nullptr) batch.Put(RTA_GATEWAY, gateway->bytes());
  batch.PutU32(RTA_OIF, index);
  batch.End();
}

void SetUp(NetlinkBatch& batch, uint32_t index, std::string_view name) {
  batch.Begin(RTM_NEWLINK, 0, LinkHeader(index, IFF_UP, IFF_UP));
  batch.Describe("set up link " + std::string(name));
  batch.End();
}

}  // namespace

std::string MacFor(const IpAddress& address) {
  std::string mac("\x02\x6b", 2);
  const std::string_view bytes = address.bytes();
  return mac + std::string(bytes.substr(bytes.size() - 4));
}

Ok EnsureBridge(const BridgeSpec& spec) {
  NetlinkSocket socket = TRY(NetlinkSocket::Open(NETLINK_ROUTE));
  uint32_t index = TRY(LinkIndex(socket, spec.name));
  if (index == 0) {
    NetlinkBatch batch;
    batch.Begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, LinkHeader(0, IFF_UP, IFF_UP));
    batch.Describe("make bridge " + spec.name);
    batch.PutText(IFLA_IFNAME, spec.name);
    // A bridge without an address of its own takes its lowest port's, and changes it as pods come and go.
    batch.Put(IFLA_ADDRESS, MacFor(spec.address.address()));
    const size_t info = batch.BeginNest(IFLA_LINKINFO);
    batch.PutText(IFLA_INFO_KIND, "bridge");
    const size_t data = batch.BeginNest(IFLA_INFO_DATA);
    batch.PutU32(IFLA_BR_FORWARD_DELAY, 0);
    batch.PutU32(IFLA_BR_STP_STATE, 0);
    batch.PutU8(IFLA_BR_MCAST_SNOOPING, 0);
    batch.EndNest(data);
    batch.EndNest(info);
    batch.End();
    TRY(socket.Execute(batch));
    index = TRY(LinkIndex(socket, spec.name));
  }
  NetlinkBatch batch;
  batch.Begin(RTM_NEWLINK, 0, LinkHeader(index, IFF_UP, IFF_UP));
  batch.Describe("set up bridge " + spec.name);
  batch.PutU32(IFLA_MTU, spec.mtu);
  batch.Put(IFLA_IFALIAS, AliasOf(spec.owner));
  batch.End();
  AddAddress(batch, index, spec.address);
  if (!spec.route.empty()) AddRoute(batch, index, TRY(Cidr::Parse(spec.route)), nullptr);
  return socket.Execute(batch);
}

Result<std::vector<ForeignBridge>> ForeignBridges(const std::string& owner) {
  NetlinkSocket socket = TRY(NetlinkSocket::Open(NETLINK_ROUTE));
  NetlinkBatch links;
  links.Begin(RTM_GETLINK, NLM_F_DUMP, LinkHeader(0, 0, 0));
  links.Describe("list links");
  links.End();
  std::map<uint32_t, ForeignBridge> found;
  for (const NetlinkReply& reply : TRY(socket.Query(links))) {
    if (reply.type != RTM_NEWLINK || reply.payload.size() < sizeof(ifinfomsg)) continue;
    ifinfomsg header;
    std::memcpy(&header, reply.payload.data(), sizeof header);
    const std::string_view attributes = std::string_view(reply.payload).substr(sizeof header);
    const std::string_view alias = TextOf(FindAttribute(attributes, IFLA_IFALIAS));
    if (!alias.starts_with(kAliasPrefix) || alias == AliasOf(owner)) continue;
    found[static_cast<uint32_t>(header.ifi_index)] = {
        .name = std::string(TextOf(FindAttribute(attributes, IFLA_IFNAME))),
        .owner = std::string(alias.substr(kAliasPrefix.size())),
        .networks = {}};
  }
  NetlinkBatch routes;
  rtmsg header{};
  header.rtm_family = AF_INET;
  routes.Begin(RTM_GETROUTE, NLM_F_DUMP, header);
  routes.Describe("list routes");
  routes.End();
  for (const NetlinkReply& reply : TRY(socket.Query(routes))) {
    const auto route = ReadRoute(reply);
    const auto bridge = route ? found.find(route->first) : found.end();
    if (bridge != found.end()) bridge->second.networks.push_back(route->second);
  }
  std::vector<ForeignBridge> out;
  for (auto& [index, bridge] : found) out.push_back(std::move(bridge));
  return out;
}

Ok MakePodLink(const PodLinkSpec& spec) {
  NetlinkSocket host = TRY(NetlinkSocket::Open(NETLINK_ROUTE));
  NetlinkSocket pod = TRY(NetlinkSocket::Open(NETLINK_ROUTE, spec.netns_path));
  const uint32_t bridge = TRY(LinkIndex(host, spec.bridge));
  if (bridge == 0) return NotFound("bridge " + spec.bridge + " is gone");
  const int netns = open(spec.netns_path.c_str(), O_RDONLY | O_CLOEXEC);
  if (netns < 0) return FromErrno(errno, "open network namespace " + spec.netns_path);
  NetlinkBatch create;
  create.Begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, LinkHeader(0, IFF_UP, IFF_UP));
  create.Describe("make link " + spec.host_link + " for pod address " + spec.address.ToString());
  create.PutText(IFLA_IFNAME, spec.host_link);
  create.PutU32(IFLA_MTU, spec.mtu);
  create.PutU32(IFLA_MASTER, bridge);
  const size_t info = create.BeginNest(IFLA_LINKINFO);
  create.PutText(IFLA_INFO_KIND, "veth");
  const size_t data = create.BeginNest(IFLA_INFO_DATA);
  const size_t peer = create.BeginNest(VETH_INFO_PEER);
  // The peer's own header stands in front of its attributes. It can't be set up yet: it has no peer while it is made.
  const ifinfomsg header = LinkHeader(0, 0, 0);
  create.PutHeader({reinterpret_cast<const char*>(&header), sizeof header});
  create.PutText(IFLA_IFNAME, kPodLink);
  create.PutU32(IFLA_MTU, spec.mtu);
  create.Put(IFLA_ADDRESS, MacFor(spec.address));
  create.PutU32(IFLA_NET_NS_FD, static_cast<uint32_t>(netns));
  create.EndNest(peer);
  create.EndNest(data);
  create.EndNest(info);
  create.End();
  const Ok created = host.Execute(create);
  close(netns);
  TRY(created);

  const uint32_t host_index = TRY(LinkIndex(host, spec.host_link));
  NetlinkBatch port;
  ifinfomsg port_header = LinkHeader(host_index, 0, 0);
  port_header.ifi_family = AF_BRIDGE;
  port.Begin(RTM_SETLINK, 0, port_header);
  port.Describe("set up bridge port " + spec.host_link);
  const size_t settings = port.BeginNest(IFLA_PROTINFO);
  // Where br_netfilter is on, a pod's packet to a Service that leads back to it is rewritten in the bridge and must
  // leave by the port it came from.
  port.PutU8(IFLA_BRPORT_MODE, 1);
  port.EndNest(settings);
  port.End();
  TRY(host.Execute(port));

  const uint32_t pod_index = TRY(LinkIndex(pod, kPodLink));
  NetlinkBatch setup;
  SetUp(setup, TRY(LinkIndex(pod, "lo")), "lo");
  SetUp(setup, pod_index, kPodLink);
  AddAddress(setup, pod_index, Cidr(spec.address, 32));
  AddRoute(setup, pod_index, Cidr(IpAddress::V4(0), 0), &spec.gateway);
  return pod.Execute(setup);
}

Ok SetUpLoopback(const std::string& netns_path) {
  NetlinkSocket pod = TRY(NetlinkSocket::Open(NETLINK_ROUTE, netns_path));
  NetlinkBatch setup;
  SetUp(setup, TRY(LinkIndex(pod, "lo")), "lo");
  return pod.Execute(setup);
}

Result<bool> PodLinkIsUp(const std::string& netns_path, const IpAddress& address) {
  NetlinkSocket pod = TRY(NetlinkSocket::Open(NETLINK_ROUTE, netns_path));
  const uint32_t index = TRY(LinkIndex(pod, kPodLink));
  if (index == 0) return false;
  NetlinkBatch batch;
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  batch.Begin(RTM_GETADDR, NLM_F_DUMP, header);
  batch.Describe("list addresses");
  batch.End();
  for (const NetlinkReply& reply : TRY(pod.Query(batch))) {
    if (reply.type != RTM_NEWADDR || reply.payload.size() < sizeof header) continue;
    std::memcpy(&header, reply.payload.data(), sizeof header);
    const std::string_view attributes = std::string_view(reply.payload).substr(sizeof header);
    if (header.ifa_index == index && FindAttribute(attributes, IFA_LOCAL) == address.bytes()) return true;
  }
  return false;
}

Ok RemoveLink(const std::string& name) {
  NetlinkSocket socket = TRY(NetlinkSocket::Open(NETLINK_ROUTE));
  const uint32_t index = TRY(LinkIndex(socket, name));
  if (index == 0) return {};
  NetlinkBatch batch;
  batch.Begin(RTM_DELLINK, 0, LinkHeader(index, 0, 0));
  batch.Describe("remove link " + name);
  batch.End();
  const Ok removed = socket.Execute(batch);
  // A pod's link goes with its namespace, maybe just now.
  if (!removed.ok() && TRY(LinkIndex(socket, name)) == 0) return {};
  return removed;
}

Result<std::vector<std::string>> BridgePorts(const std::string& bridge) {
  NetlinkSocket socket = TRY(NetlinkSocket::Open(NETLINK_ROUTE));
  const uint32_t index = TRY(LinkIndex(socket, bridge));
  std::vector<std::string> out;
  if (index == 0) return out;
  NetlinkBatch batch;
  batch.Begin(RTM_GETLINK, NLM_F_DUMP, LinkHeader(0, 0, 0));
  batch.Describe("list links");
  batch.PutU32(IFLA_MASTER, index);
  batch.End();
  for (const NetlinkReply& reply : TRY(socket.Query(batch))) {
    if (reply.type != RTM_NEWLINK || reply.payload.size() < sizeof(ifinfomsg)) continue;
    const std::string_view attributes = std::string_view(reply.payload).substr(sizeof(ifinfomsg));
    if (NumberOf(FindAttribute(attributes, IFLA_MASTER)) != index) continue;
    out.emplace_back(TextOf(FindAttribute(attributes, IFLA_IFNAME)));
  }
  return out;
}

}  // namespace knarr::network
