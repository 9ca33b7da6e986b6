#include "network/tables.h"

namespace knarr::network {
namespace {

// netfilter's own priorities.
constexpr int kRaw = -300;
constexpr int kSourceNat = 100;

}  // namespace

std::string PodTable(std::string_view instance) { return std::string("knarr-pods").append(instance); }
std::string ServiceTableName(std::string_view instance) { return std::string("knarr-services").append(instance); }
std::string HostPortTable(std::string_view instance) { return std::string("knarr-host-ports").append(instance); }

std::vector<nft::Chain> PodTableChains(const std::string& bridge, const Cidr& pods, const Cidr& cluster) {
  using nft::Decide;
  using nft::Field;
  using nft::Match;
  using nft::MatchNetwork;
  using nft::Verdict;
  const Cidr loopback(IpAddress::V4(0x7f000000), 8);
  return {
      // Before connection tracking: answers to a connection from 127.0.0.1 still carry the bridge's address here.
      {.name = "protect",
       .hook = nft::Hook::kPrerouting,
       .priority = kRaw,
       .rules = {{Match{Field::kInputLink, bridge}, MatchNetwork{Field::kDestinationAddress, loopback},
                  Decide{Verdict::kDrop}}}},
      {.name = "postrouting",
       .hook = nft::Hook::kPostrouting,
       .nat = true,
       .priority = kSourceNat,
       .rules = {{MatchNetwork{Field::kSourceAddress, pods}, MatchNetwork{Field::kDestinationAddress, cluster, true},
                  Match{Field::kOutputLink, bridge, true}, nft::Masquerade{}}}},
  };
}

}  // namespace knarr::network
