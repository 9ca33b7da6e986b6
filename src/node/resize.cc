#include "node/resize.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "doc/json.h"
#include "node/environment.h"
#include "node/pod_state.h"
#include "node/resources.h"

namespace knarr::node {
namespace {

using api::core_v1::Container;
using api::core_v1::Pod;
using doc::Value;

bool MustRestart(Container container, std::string_view resource) {
  for (const auto policy : container.resize_policy()) {
    if (policy.resource_name() == resource) return policy.restart_policy() == "RestartContainer";
  }
  return false;
}

/// What shrinks goes before what is there, what grows behind it.
void AddUpdate(std::vector<ContainerUpdate>& updates, const ContainerUpdate& update, int64_t from, int64_t to) {
  updates.insert(to < from ? updates.begin() : updates.end(), update);
}

}  // namespace

bool SetCondition(std::optional<ResizeCondition>& condition, std::string_view reason, std::string_view message,
                  int64_t generation, WallTime now) {
  const ResizeCondition before = condition.value_or(ResizeCondition{.generation = -1});
  const WallTime since = condition && before.reason == reason ? before.since : now;
  condition = {std::string(reason), std::string(message), generation, now, since};
  return before.generation != generation || before.reason != reason || before.message != message;
}

ResizeState ReadResizeState(Pod pod) {
  ResizeState out;
  for (const auto condition : pod.status().conditions()) {
    const bool pending = condition.type() == "PodResizePending";
    if (!pending && condition.type() != "PodResizeInProgress") continue;
    (pending ? out.pending : out.in_progress) = ResizeCondition{
        std::string(condition.reason()), std::string(condition.message()), condition.observed_generation(),
        condition.last_probe_time().value_or(WallTime{}), condition.last_transition_time().value_or(WallTime{})};
  }
  return out;
}

ResizePlan PlanResize(Pod pod, const PodState& state) {
  ResizePlan plan;
  for (const ContainerRecord& record : state.containers) {
    const auto container = FindContainer(pod, record.name);
    if (record.ephemeral || !record.running() || !container) continue;
    const ContainerUpdate update{record.name, SizesOf(state.actuated.Of(record.name), state.actuated.pod),
                                 SizesOf(state.allocated.Of(record.name), state.allocated.pod)};
    const Sizes& from = update.from;
    const Sizes& to = update.to;
    const bool again = record.resources_in_doubt;
    const bool memory = from.memory_limit != to.memory_limit || from.memory_request != to.memory_request;
    const bool cpu = from.cpu_limit != to.cpu_limit || from.cpu_request != to.cpu_request;
    if ((memory && MustRestart(*container, "memory")) || (cpu && MustRestart(*container, "cpu"))) {
      plan.restart.push_back(record.name);
      continue;
    }
    const bool memory_limit = from.memory_limit != to.memory_limit;
    if (memory || again) {
      AddUpdate(plan.memory, update, memory_limit ? from.memory_limit : from.memory_request,
                memory_limit ? to.memory_limit : to.memory_request);
    }
    const bool cpu_limit = from.cpu_limit != to.cpu_limit;
    if (cpu || again) {
      AddUpdate(plan.cpu, update, cpu_limit ? from.cpu_limit : from.cpu_request,
                cpu_limit ? to.cpu_limit : to.cpu_request);
    }
  }
  return plan;
}

runtime::CgroupResources NextPodGroup(const runtime::CgroupResources& present, runtime::CgroupResources wanted) {
  if (wanted.memory_limit == 0) wanted.memory_limit = present.memory_limit;
  if (wanted.cpu_quota_us == 0) {
    wanted.cpu_quota_us = present.cpu_quota_us;
    wanted.cpu_period_us = present.cpu_period_us;
  }
  return wanted;
}

runtime::CgroupResources GroupOf(const Sizes& sizes) {
  runtime::CgroupResources out;
  out.cpu_shares = CpuShares(sizes.cpu_request);
  out.cpu_quota_us = CpuQuota(sizes.cpu_limit);
  out.memory_limit = sizes.memory_limit;
  return out;
}

std::string RefuseMemoryDecrease(const ResizePlan& plan, const runtime::CgroupResources& present,
                                 const runtime::CgroupResources& next, const MemoryInUse& in_use) {
  std::vector<std::string> reasons;
  const auto shrinks = [](int64_t from, int64_t to) { return to > 0 && (from == 0 || to < from); };
  if (shrinks(present.memory_limit, next.memory_limit)) {
    if (!in_use.pod) {
      reasons.emplace_back("missing pod memory usage");
    } else if (*in_use.pod >= next.memory_limit) {
      reasons.push_back(fmt::format("attempting to set pod memory limit ({}) below current usage ({})",
                                    next.memory_limit, *in_use.pod));
    }
  }
  for (const ContainerUpdate& update : plan.memory) {
    const int64_t limit = update.to.memory_limit;
    if (!shrinks(update.from.memory_limit, limit)) continue;
    const auto used = in_use.containers.find(update.container);
    if (used == in_use.containers.end()) {
      reasons.push_back(fmt::format("missing container {} memory usage", GoQuote(update.container)));
    } else if (used->second >= limit) {
      reasons.push_back(fmt::format("attempting to set container {} memory limit ({}) below current usage ({})",
                                    GoQuote(update.container), limit, used->second));
    }
  }
  if (reasons.empty()) return "";
  const std::string all = fmt::format("{}", fmt::join(reasons, ", "));
  return "cannot decrease memory limits: " + (reasons.size() == 1 ? all : "[" + all + "]");
}

std::string ResizeMessage(std::string_view prefix, Pod pod, int64_t generation, std::string_view error) {
  doc::Document out;
  out.root = Value::Object();
  for (const std::string_view list : {"initContainers", "containers"}) {
    Value entries = Value::Array();
    for (const Value& container : pod.tree().Get("spec", list).items()) {
      Value entry = Value::Object();
      entry.Set(out.arena, "name", Value::Borrow(container.At("name").AsString()));
      entry.Set(out.arena, "resources", WriteRequirements(ReadRequirements(container.At("resources")), out.arena));
      entries.Append(out.arena, entry);
    }
    if (!entries.empty()) out.root.Set(out.arena, list, entries);
  }
  out.root.Set(out.arena, "generation", Value::Int(generation));
  if (!error.empty()) out.root.Set(out.arena, "error", Value::Borrow(error));
  return fmt::format("{}: {}", prefix, doc::ToJson(out.root));
}

}  // namespace knarr::node
