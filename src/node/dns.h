#pragma once

// How names are looked up in a pod: its /etc/resolv.conf, from the node's and from what the pod asks for.

#include <string>
#include <string_view>
#include <vector>

#include "api/core_v1.h"

namespace knarr::node {

struct ResolverConfig {
  std::vector<std::string> servers;
  std::vector<std::string> searches;
  std::vector<std::string> options;
};

/// The file's text; what is malformed in it is left out.
ResolverConfig ParseResolverConfig(std::string_view text);
std::string ToText(const ResolverConfig& config);

struct PodDns {
  ResolverConfig config;
  std::vector<std::string> warnings;  ///< messages of DNSConfigForming events: what was too much
  bool fell_back = false;             ///< the pod asked for the cluster's DNS, and there is none
};

/// `cluster_servers`: the cluster's own, none when there is none.
PodDns DnsOf(api::core_v1::Pod pod, ResolverConfig node, const std::vector<std::string>& cluster_servers);

/// Whether a resolv.conf names servers, and all of them listen on the host's own loopback: no pod reaches those.
bool NamesOnlyLoopback(std::string_view resolv_conf);

}  // namespace knarr::node
