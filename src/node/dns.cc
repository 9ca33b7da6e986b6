#include "node/dns.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/ip.h"
#include "base/strings.h"
#include "node/container_spec.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;

constexpr size_t kServersMax = 3;
constexpr size_t kSearchesMax = 32;
constexpr size_t kSearchLineMax = 2048;
constexpr size_t kDomainMax = 253;

std::string_view OptionName(std::string_view option) { return option.substr(0, option.find(':')); }

/// A later option of the same name replaces the one before.
void PutOption(std::vector<std::string>& options, std::string option) {
  const std::string_view name = OptionName(option);
  const auto at = std::ranges::find_if(options, [name](const std::string& other) { return OptionName(other) == name; });
  if (at == options.end()) {
    options.push_back(std::move(option));
  } else {
    *at = std::move(option);
  }
}

void AddOnce(std::vector<std::string>& list, std::string_view text) {
  if (std::ranges::find(list, text) == list.end()) list.emplace_back(text);
}

std::string Joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

/// The most that resolvers take.
void Fit(PodDns& dns) {
  auto& [servers, searches, options] = dns.config;
  if (servers.size() > kServersMax) {
    servers.resize(kServersMax);
    dns.warnings.push_back(
        "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: " +
        Joined(servers));
  }
  const size_t before = searches.size();
  if (searches.size() > kSearchesMax) searches.resize(kSearchesMax);
  std::erase_if(searches, [](const std::string& search) { return search.size() > kDomainMax; });
  while (Joined(searches).size() > kSearchLineMax) searches.pop_back();
  if (searches.size() == before) return;
  dns.warnings.push_back(
      "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: " +
      Joined(searches));
}

}  // namespace

ResolverConfig ParseResolverConfig(std::string_view text) {
  ResolverConfig out;
  for (const std::string_view line : Lines(text)) {
    const auto words = Fields(line);
    if (words.empty() || words[0].starts_with('#')) continue;
    if (words[0] == "nameserver" && words.size() > 1) out.servers.emplace_back(words[1]);
    if (words[0] == "search") {
      out.searches.clear();
      for (std::string_view domain : words) {
        if (domain.data() == words[0].data() || domain == ".") continue;
        if (domain.ends_with('.')) domain.remove_suffix(1);
        out.searches.emplace_back(domain);
      }
    }
    if (words[0] == "options") {
      for (size_t i = 1; i < words.size(); ++i) PutOption(out.options, std::string(words[i]));
    }
  }
  return out;
}

std::string ToText(const ResolverConfig& config) {
  std::string out;
  if (!config.searches.empty()) out += "search " + Joined(config.searches) + "\n";
  for (const std::string& server : config.servers) out += "nameserver " + server + "\n";
  if (!config.options.empty()) out += "options " + Joined(config.options) + "\n";
  return out;
}

PodDns DnsOf(Pod pod, ResolverConfig node, const std::vector<std::string>& cluster_servers) {
  PodDns out;
  const std::string_view policy = pod.spec().dns_policy();
  const bool cluster = policy == "ClusterFirstWithHostNet" || (policy == "ClusterFirst" && !pod.spec().host_network());
  if (cluster && !cluster_servers.empty()) {
    out.config.servers = cluster_servers;
    out.config.options = {"ndots:5"};
    out.config.searches = {fmt::format("{}.svc.{}", pod.metadata().ns(), kClusterDomain),
                           fmt::format("svc.{}", kClusterDomain), std::string(kClusterDomain)};
    for (const std::string& search : node.searches) AddOnce(out.config.searches, search);
  } else if (policy != "None") {
    out.fell_back = cluster;
    out.config = std::move(node);
  }
  if (const auto asked = pod.spec().dns_config()) {
    for (const std::string_view server : asked.nameservers()) AddOnce(out.config.servers, server);
    for (const std::string_view search : asked.searches()) AddOnce(out.config.searches, search);
    for (const auto option : asked.options()) {
      const std::string_view value = option.value().value_or("");
      PutOption(out.config.options, std::string(option.name()) + (value.empty() ? "" : ":" + std::string(value)));
    }
  }
  Fit(out);
  return out;
}

bool NamesOnlyLoopback(std::string_view resolv_conf) {
  const ResolverConfig config = ParseResolverConfig(resolv_conf);
  return !config.servers.empty() && std::ranges::all_of(config.servers, [](const std::string& server) {
    const auto address = IpAddress::Parse(server);
    return address.ok() && address->IsLoopback();
  });
}

}  // namespace knarr::node
