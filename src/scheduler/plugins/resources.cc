// What is free on a node: resources and host ports.

#include <algorithm>
#include <cmath>

#include "scheduler/plugins/plugins.h"

namespace knarr::scheduler {
namespace {

// Upstream's amounts for containers that ask for nothing, when nodes are compared.
constexpr int64_t kCpuDefaultMilli = 100;
constexpr int64_t kMemoryDefault = 200 << 20;

class NodePorts : public Filter {
 public:
  std::string_view name() const override { return "NodePorts"; }
  std::vector<std::string> Reasons(const PodInfo& pod, const NodeInfo& node) const override {
    if (pod.host_ports.empty()) return {};
    for (const auto& [uid, other] : node.pods) {
      for (const HostPort& taken : other.host_ports) {
        for (const HostPort& wanted : pod.host_ports) {
          if (wanted.Clashes(taken)) return {"node(s) didn't have free ports for the requested pod ports"};
        }
      }
    }
    return {};
  }
};

class ResourcesFit : public Filter {
 public:
  std::string_view name() const override { return "NodeResourcesFit"; }
  std::vector<std::string> Reasons(const PodInfo& pod, const NodeInfo& node) const override {
    std::vector<std::string> out;
    const Resources& have = node.allocatable;
    const Resources& used = node.requested;
    const Resources& want = pod.requests;
    if (used.pods + 1 > have.pods) out.emplace_back("Too many pods");
    if (want.cpu_milli > 0 && want.cpu_milli > have.cpu_milli - used.cpu_milli) out.emplace_back("Insufficient cpu");
    if (want.memory > 0 && want.memory > have.memory - used.memory) out.emplace_back("Insufficient memory");
    if (want.ephemeral_storage > 0 && want.ephemeral_storage > have.ephemeral_storage - used.ephemeral_storage) {
      out.emplace_back("Insufficient ephemeral-storage");
    }
    for (const auto& [name, amount] : want.others) {
      if (amount > 0 && amount > Amount(have, name) - Amount(used, name)) out.push_back("Insufficient " + name);
    }
    return out;
  }

 private:
  static int64_t Amount(const Resources& resources, std::string_view name) {
    auto at = resources.others.find(name);
    return at == resources.others.end() ? 0 : at->second;
  }
};

struct Shares {
  double cpu = 0;
  double memory = 0;
};

/// The share of the node that would be asked for with the pod on it.
Shares After(const PodInfo& pod, const NodeInfo& node) {
  auto share = [](int64_t used, int64_t want, int64_t floor, int64_t have) {
    if (have <= 0) return 1.0;
    return std::min(1.0, static_cast<double>(used + std::max(want, floor)) / static_cast<double>(have));
  };
  return {share(node.requested.cpu_milli, pod.requests.cpu_milli, kCpuDefaultMilli, node.allocatable.cpu_milli),
          share(node.requested.memory, pod.requests.memory, kMemoryDefault, node.allocatable.memory)};
}

class LeastAllocated : public Scorer {
 public:
  std::string_view name() const override { return "NodeResourcesFit"; }
  int weight() const override { return 1; }
  std::vector<int64_t> Score(const PodInfo& pod, std::span<const NodeInfo* const> nodes) const override {
    std::vector<int64_t> out;
    for (const NodeInfo* node : nodes) {
      Shares shares = After(pod, *node);
      out.push_back(static_cast<int64_t>(kScoreMost * (2 - shares.cpu - shares.memory) / 2));
    }
    return out;
  }
};

class BalancedAllocation : public Scorer {
 public:
  std::string_view name() const override { return "NodeResourcesBalancedAllocation"; }
  int weight() const override { return 1; }
  std::vector<int64_t> Score(const PodInfo& pod, std::span<const NodeInfo* const> nodes) const override {
    std::vector<int64_t> out;
    for (const NodeInfo* node : nodes) {
      Shares shares = After(pod, *node);
      out.push_back(static_cast<int64_t>(kScoreMost * (1 - std::abs(shares.cpu - shares.memory) / 2)));
    }
    return out;
  }
};

/// Pods of one controller are spread over the nodes: the fewer are there already, the better.
class Spread : public Scorer {
 public:
  std::string_view name() const override { return "PodTopologySpread"; }
  int weight() const override { return 2; }
  std::vector<int64_t> Score(const PodInfo& pod, std::span<const NodeInfo* const> nodes) const override {
    std::vector<int64_t> counts(nodes.size(), 0);
    int64_t most = 0;
    for (size_t i = 0; i < nodes.size() && pod.owner != 0; ++i) {
      counts[i] = nodes[i]->PodsOf(pod.owner);
      most = std::max(most, counts[i]);
    }
    for (int64_t& count : counts) count = most == 0 ? kScoreMost : kScoreMost * (most - count) / most;
    return counts;
  }
};

}  // namespace

std::unique_ptr<Filter> MakeNodePorts() { return std::make_unique<NodePorts>(); }
std::unique_ptr<Filter> MakeResourcesFit() { return std::make_unique<ResourcesFit>(); }
std::unique_ptr<Scorer> MakeLeastAllocated() { return std::make_unique<LeastAllocated>(); }
std::unique_ptr<Scorer> MakeBalancedAllocation() { return std::make_unique<BalancedAllocation>(); }
std::unique_ptr<Scorer> MakeSpread() { return std::make_unique<Spread>(); }

}  // namespace knarr::scheduler
