#include "node/resource_status.h"

#include "api/pod_resources.h"
#include "node/allocation.h"
#include "node/resources.h"

namespace knarr::node {
namespace {

using api::ResourceList;
using api::core_v1::ContainerStatusEdit;
using api::core_v1::Pod;
using api::core_v1::PodConditionEdit;
using api::core_v1::PodStatusEdit;

// The kubelet's MinShares and MinMilliCPULimit: below them a control group holds more than was asked for.
constexpr int64_t kCpuRequestLeast = 2;
constexpr int64_t kCpuLimitLeast = 10;

template <typename Edit>
void Put(Edit to, std::string_view field, const doc::Value& value) {
  to.tree().Set(*to.target().arena, field, value);
}

int64_t CpuIn(const ResourceList& list) {
  const auto at = list.find("cpu");
  return at == list.end() ? 0 : CpuMilli(at->second);
}

/// Shows what is in force in place of what was set aside.
void Show(ResourceList& shown, const ResourceList& actuated, const ResourceList& of_pod, int64_t cpu_least) {
  if (shown.empty()) return;
  for (const std::string_view name : {"cpu", "memory"}) {
    auto given = actuated.find(name);
    if (given == actuated.end() || given->second.IsZero()) {
      given = of_pod.find(name);
      if (given == of_pod.end()) continue;
    }
    if (name == "cpu" && CpuMilli(given->second) <= cpu_least && CpuIn(shown) <= cpu_least) continue;
    shown.insert_or_assign(std::string(name), given->second);
  }
}

void WriteCondition(const ResizeCondition& from, std::string_view type, PodStatusEdit status) {
  PodConditionEdit to = status.add_conditions();
  to.set_type(type);
  if (from.generation > 0) to.set_observed_generation(from.generation);
  to.set_status("True");
  to.set_last_probe_time(from.probed);
  to.set_last_transition_time(from.since);
  if (!from.reason.empty()) to.set_reason(from.reason);
  if (!from.message.empty()) to.set_message(from.message);
}

/// Of a pod that runs: what its control group says, and the rest as asked for.
Requirements InForce(Pod pod, const runtime::CgroupResources& group) {
  Requirements out = ReadRequirements(pod.tree().Get("spec", "resources"));
  const auto put_cpu = [](ResourceList& list, int64_t milli, int64_t least) {
    if (milli > 0 && (milli > least || CpuIn(list) > least)) list.insert_or_assign("cpu", Quantity::Milli(milli));
  };
  // Rounded up: shares of a CPU are 1,024 to its 1,000.
  put_cpu(out.requests, (group.cpu_shares * 1000 + 1023) / 1024, kCpuRequestLeast);
  if (!out.requests.contains("memory")) {
    const ResourceList all = api::PodRequests(pod.tree());
    if (const auto memory = all.find("memory"); memory != all.end()) out.requests.insert(*memory);
  }
  if (group.cpu_period_us > 0) put_cpu(out.limits, group.cpu_quota_us * 1000 / group.cpu_period_us, kCpuLimitLeast);
  if (group.memory_limit > 0) {
    out.limits.insert_or_assign("memory", Quantity(group.memory_limit, QuantityFormat::kBinarySi));
  }
  return out;
}

}  // namespace

void WriteContainerResources(const PodState& state, const ContainerRecord& record, ContainerStatusEdit to) {
  if (!record.current && !record.last) return;
  doc::Arena& arena = *to.target().arena;
  Requirements shown = state.allocated.Of(record.name);
  if (!shown.requests.empty()) Put(to, "allocatedResources", api::WriteResources(shown.requests, arena));
  if (record.running()) {
    const Requirements& given = state.actuated.Of(record.name);
    Show(shown.requests, given.requests, {}, kCpuRequestLeast);
    Show(shown.limits, given.limits, state.actuated.pod.limits, kCpuLimitLeast);
  }
  Put(to, "resources", WriteRequirements(shown, arena));
  const auto& user = record.current ? record.current->user : record.last->user;
  if (!user) return;
  auto linux_user = to.user().linux();
  linux_user.set_uid(user->uid);
  linux_user.set_gid(user->gid);
  for (const int64_t group : user->groups) linux_user.add_supplemental_groups(group);
}

void WritePodResources(Pod pod, const PodState& state, PodStatusEdit to) {
  doc::Arena& arena = *to.target().arena;
  const ResourceList requests = api::PodRequests(pod.tree());
  if (!requests.empty()) Put(to, "allocatedResources", api::WriteResources(requests, arena));
  const bool runs = pod.status().phase() == "Running";
  const Requirements shown = runs ? InForce(pod, state.pod_group) : Requirements{requests, api::PodLimits(pod.tree())};
  Put(to, "resources", WriteRequirements(shown, arena));
}

void WriteResizeConditions(const ResizeState& resize, PodStatusEdit to) {
  if (resize.pending) WriteCondition(*resize.pending, kResizePending, to);
  if (resize.in_progress) WriteCondition(*resize.in_progress, kResizeInProgress, to);
}

}  // namespace knarr::node
