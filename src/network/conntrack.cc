#include "network/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

namespace knarr::network {
namespace {

struct Tuple {
  IpAddress source;
  IpAddress destination;
  uint8_t protocol = 0;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
};

uint32_t Number(std::string_view bytes) {
  uint32_t out = 0;
  for (const char c : bytes.substr(0, 4)) out = out << 8 | static_cast<unsigned char>(c);
  return out;
}

Tuple ReadTuple(std::string_view nest) {
  Tuple out;
  const std::string_view addresses = FindAttribute(nest, CTA_TUPLE_IP);
  out.source = IpAddress::V4(Number(FindAttribute(addresses, CTA_IP_V4_SRC)));
  out.destination = IpAddress::V4(Number(FindAttribute(addresses, CTA_IP_V4_DST)));
  const std::string_view protocol = FindAttribute(nest, CTA_TUPLE_PROTO);
  out.protocol = static_cast<uint8_t>(Number(FindAttribute(protocol, CTA_PROTO_NUM)));
  out.source_port = static_cast<uint16_t>(Number(FindAttribute(protocol, CTA_PROTO_SRC_PORT)));
  out.destination_port = static_cast<uint16_t>(Number(FindAttribute(protocol, CTA_PROTO_DST_PORT)));
  return out;
}

nfgenmsg Header() {
  nfgenmsg header{};
  header.nfgen_family = AF_INET;
  header.version = NFNETLINK_V0;
  return header;
}

class Targets {
 public:
  explicit Targets(const std::vector<UdpTarget>& targets) {
    for (const UdpTarget& target : targets) {
      const std::set<nft::Endpoint> endpoints(target.endpoints.begin(), target.endpoints.end());
      if (target.address) {
        by_address_[{*target.address, target.port}] = endpoints;
      } else {
        by_port_[target.port] = endpoints;
      }
    }
  }
  bool Stale(const Tuple& original, const Tuple& reply) const {
    if (original.protocol != IPPROTO_UDP) return false;
    const nft::Endpoint leads_to{reply.source, reply.source_port};
    const auto by_address = by_address_.find({original.destination, original.destination_port});
    if (by_address != by_address_.end()) return !by_address->second.contains(leads_to);
    // A node port is every address's; only what was rewritten is known to be ours.
    const auto by_port = by_port_.find(original.destination_port);
    return by_port != by_port_.end() && original.destination != reply.source && !by_port->second.contains(leads_to);
  }

 private:
  std::map<std::pair<IpAddress, uint16_t>, std::set<nft::Endpoint>> by_address_;
  std::map<uint16_t, std::set<nft::Endpoint>> by_port_;
};

}  // namespace

Result<size_t> ForgetStaleUdp(NetlinkSocket& socket, const std::vector<UdpTarget>& targets) {
  const Targets known(targets);
  NetlinkBatch list;
  list.Begin(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_DUMP, Header());
  list.Describe("list tracked connections");
  list.End();
  // The table may hold hundreds of thousands of connections, and few of them are stale.
  std::vector<NetlinkReply> stale;
  TRY(socket.Visit(list, [&](const NetlinkReply& reply) {
    if (reply.payload.size() < sizeof(nfgenmsg)) return;
    const std::string_view attributes = std::string_view(reply.payload).substr(sizeof(nfgenmsg));
    const Tuple original = ReadTuple(FindAttribute(attributes, CTA_TUPLE_ORIG));
    if (known.Stale(original, ReadTuple(FindAttribute(attributes, CTA_TUPLE_REPLY)))) stale.push_back(reply);
  }));
  for (const NetlinkReply& reply : stale) {
    const std::string_view attributes = std::string_view(reply.payload).substr(sizeof(nfgenmsg));
    NetlinkBatch forget;
    forget.Begin(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0, Header());
    forget.Describe("forget tracked connection");
    forget.Put(CTA_TUPLE_ORIG | NLA_F_NESTED, FindAttribute(attributes, CTA_TUPLE_ORIG));
    const std::string_view zone = FindAttribute(attributes, CTA_ZONE);
    if (!zone.empty()) forget.Put(CTA_ZONE, zone);
    forget.End();
    const Ok forgotten = socket.Execute(forget);
    // It may have ended by itself.
    if (!forgotten.ok() && !forgotten.Failed(Reason::kNotFound)) return forgotten.status();
  }
  return stale.size();
}

}  // namespace knarr::network
