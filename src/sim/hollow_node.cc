#include "sim/hollow_node.h"

#include <fmt/format.h>

#include "base/check.h"

namespace knarr::sim {
namespace {

constexpr size_t kWorkers = 4;

hollow::LifeCycles CyclesOf(const HollowNodeOptions& options) {
  hollow::LifeCycles out;
  hollow::NodeShape& shape = out.nodes.front();
  shape.name = "node";
  shape.labels = {{"zone", options.zone}};
  shape.capacity = {{"cpu", fmt::format("{}m", options.cpu_milli)},
                    {"memory", fmt::format("{}Mi", options.memory_mib)},
                    {"pods", std::to_string(options.pods)}};
  out.pods = options.cycles;
  if (!out.pods.empty()) return out;
  hollow::PodLifeCycle& pods = out.pods.emplace_back();
  pods.start = {10ms, 3s};
  pods.stop = {0ms, 5s};
  pods.restart = {1s, 10s};
  pods.outcomes.push_back({.weight = 1000 - options.crash - options.fail});
  const hollow::Span soon{1s, 60s};
  if (options.crash > 0) pods.outcomes.push_back({.weight = options.crash, .after = soon, .exit_code = 1});
  if (options.fail > 0) {
    pods.outcomes.push_back({.weight = options.fail, .after = soon, .reason = "Evicted", .fails_pod = true});
  }
  return out;
}

}  // namespace

HollowNode::HollowNode(rt::Runtime& runtime, Ways ways, const HollowNodeOptions& options, RunningPods& running,
                       Journal& journal)
    : runtime_(runtime),
      name_(NameOf(options.index)),
      client_(MakeFaultClient(runtime, ways.agent, faults_, "node")),
      volumes_client_(MakeFaultClient(runtime, ways.volumes, faults_, "volumes")),
      books_(1) {
  options_.first = options.index;
  options_.cycles = CyclesOf(options);
  options_.alone = true;
  options_.adopt = false;
  options_.workers = kWorkers;
  options_.books = &books_;
  options_.on_running = [&running, &journal](const std::string& uid, const client::ObjectName& pod,
                                             const std::string& node) {
    const auto [at, alone] = running.emplace(uid, node);
    if (alone || at->second == node) return;
    journal.Violation(fmt::format("pod {} runs on {} and on {}", pod.ToString(), at->second, node));
  };
  options_.on_ended = [&running](const std::string& uid, const std::string& node) {
    const auto at = running.find(uid);
    if (at != running.end() && at->second == node) running.erase(at);
  };
}

HollowNode::~HollowNode() { CHECK(agent_ == nullptr); }

void HollowNode::Start() {
  if (agent_ != nullptr) return;
  agent_ = std::make_unique<Agent>(
      runtime_, *client_, options_, *volumes_client_,
      controller::LocalVolumesOptions{.nodes = {name_}, .directory = storage()});
  if (calm_) agent_->nodes.Calm();
}

void HollowNode::Stop() { agent_.reset(); }

void HollowNode::Calm() {
  calm_ = true;
  if (agent_ != nullptr) agent_->nodes.Calm();
}

}  // namespace knarr::sim
