// The part of a pod worker that changes the resources of a pod that runs.

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "api/pod_resources.h"
#include "base/log.h"
#include "node/huge_pages.h"
#include "node/pod_worker.h"
#include "node/resize.h"
#include "node/resources.h"
#include "rt/file_system.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;
using client::EventKind;

constexpr std::string_view kDeferred = "Deferred";
constexpr std::string_view kError = "Error";
// How long it takes to try again: the kubelet's backOffPeriod.
constexpr Duration kResizeRetry = 10s;

/// No limit is larger than any.
int64_t Size(int64_t limit) { return limit == 0 ? std::numeric_limits<int64_t>::max() : limit; }

int64_t Larger(int64_t a, int64_t b) { return Size(a) >= Size(b) ? a : b; }

/// The amounts of `of`, but of one resource those of `from`.
Requirements With(std::string_view resource, Requirements of, const Requirements& from) {
  const auto take = [&](api::ResourceList& to, const api::ResourceList& list) {
    const auto at = list.find(resource);
    if (at == list.end()) {
      std::erase_if(to, [&](const auto& entry) { return entry.first == resource; });
    } else {
      to.insert_or_assign(std::string(resource), at->second);
    }
  };
  take(of.requests, from.requests);
  take(of.limits, from.limits);
  return of;
}

bool Same(const runtime::CgroupResources& a, const runtime::CgroupResources& b) {
  return a.cpu_shares == b.cpu_shares && a.cpu_quota_us == b.cpu_quota_us && a.cpu_period_us == b.cpu_period_us &&
         a.memory_limit == b.memory_limit;
}

}  // namespace

/// The pod as it is run: with what was set aside for it in place of what its spec has come to ask for.
const api::ObjectPtr& PodWorker::Allocated() {
  if (allocated_from_ == pod_) return allocated_;
  allocated_from_ = pod_;
  allocated_ = WithAllocation(pod_, state_.allocated);
  return allocated_;
}

/// What an earlier agent has set aside and given.
void PodWorker::LoadResources() {
  state_.resize = ReadResizeState(view());
  const std::string path = Directory() + "/resources";
  const auto text = environment_.runtime.files().ReadFile(path);
  const auto record = text.ok() ? ParseResourceRecord(*text) : Result<ResourceRecord>(text.status());
  if (record.ok()) {
    state_.allocated = record->allocated;
    state_.actuated = record->actuated;
    state_.pod_group = record->pod_group;
    resources_kept_ = true;
    // Whoever wrote that may have been in the middle of giving it.
    const bool of_pod = state_.allocated.pod != state_.actuated.pod;
    for (ContainerRecord& one : state_.containers) {
      const Requirements& given = state_.actuated.Of(one.name);
      one.resources_in_doubt = one.running() && (of_pod || given != state_.allocated.Of(one.name));
    }
    state_.pod_group_in_doubt = state_.allocated != state_.actuated;
    allocated_from_.reset();
  } else if (sandbox_) {
    if (!record.Failed(Reason::kNotFound)) {
      LOG_WARN("what a pod was given is not known", {"path", path}, {"error", record.status()});
    }
    const auto group = PodGroup(view());
    if (group.ok()) state_.pod_group = *group;
  }
}

/// What the pod's control group is to be given.
Result<runtime::CgroupResources> PodWorker::PodGroup(Pod pod) const {
  runtime::CgroupResources out = TRY(PodResources(pod));
  out.pids_limit = environment_.pids_most;
  out.huge_pages = HugePageLimits(api::PodRequests(pod.tree()), environment_.huge_pages);
  return out;
}

Ok PodWorker::SaveResources() {
  if (!resources_changed_ && resources_kept_) return {};
  rt::FileSystem& files = environment_.runtime.files();
  resources_changed_ = false;
  TRY(files.MakeDirectories(Directory()));
  const std::string path = Directory() + "/resources";
  const std::string text = ToJson(ResourceRecord{state_.allocated, state_.actuated, state_.pod_group});
  // As long as nothing has changed, the pod's spec says the same.
  const Ok saved = resources_kept_ ? files.WriteFileAtomic(path, text) : files.WriteFile(path, text);
  resources_changed_ |= !saved.ok();
  resources_kept_ |= saved.ok();
  return saved;
}

/// What the node counts as the pod's: also what it was given and has not given back yet.
api::ResourceList PodWorker::Amounts() { return api::PodRequests(Allocated()->tree(), {.use_status = true}); }

/// Whether the spec asks for other resources than the pod has.
void PodWorker::LookForResize() {
  const std::string uid(pod_->uid());
  if (state_.ending() || state_.finished || state_.rejected) {
    state_.resize = {};
    environment_.allocator.Leave(uid);
    return;
  }
  const int64_t generation = view().metadata().generation();
  if (std::exchange(resize_looked_at_, generation) == generation) return;
  if (AllocationOf(view()) == state_.allocated) {
    state_.resize.pending.reset();
    environment_.allocator.Leave(uid);
    return;
  }
  environment_.allocator.Seek(uid, *this);
  environment_.allocator.Retry();
}

ResizeRank PodWorker::Rank() const {
  ResizeRank out{.grows = false,
                 .priority = view().spec().priority().value_or(0),
                 .guaranteed = QosOf(view()) == QosClass::kGuaranteed,
                 .since = environment_.runtime.Wall()};
  const api::ResourceList before = api::PodRequests(WithAllocation(pod_, state_.allocated)->tree());
  for (const auto& [name, amount] : api::PodRequests(pod_->tree())) {
    const auto had = before.find(name);
    out.grows |= (name == "cpu" || name == "memory") && amount > (had == before.end() ? Quantity() : had->second);
  }
  if (state_.resize.pending) out.since = state_.resize.pending->since;
  return out;
}

bool PodWorker::TryResize() {
  const int64_t generation = view().metadata().generation();
  const WallTime now = environment_.runtime.Wall();
  const Allocation wanted = AllocationOf(view());
  wake_.Set();
  if (state_.ending() || wanted == state_.allocated) {
    state_.resize.pending.reset();
    return true;
  }
  const std::string uid(pod_->uid());
  auto& pending = state_.resize.pending;
  if (const auto shortage = environment_.allocator.Check(uid, api::PodRequests(pod_->tree()))) {
    const bool news = !pending || pending->reason != kDeferred || pending->generation != generation;
    SetCondition(pending, kDeferred, shortage->Message(), generation, now);
    if (news) {
      RecordEvent(EventKind::kWarning, "ResizeDeferred",
                  ResizeMessage("Pod resize " + shortage->Reason(), view(), generation, shortage->Message()));
    }
    return false;
  }
  state_.allocated = wanted;
  allocated_from_.reset();
  resources_changed_ = true;
  resize_again_ = {};
  fields_changed_ = true;  // volumes may show them
  pending.reset();
  state_.resize.in_progress = ResizeCondition{.generation = generation, .probed = now, .since = now};
  RecordEvent(EventKind::kNormal, "ResizeStarted", ResizeMessage("Pod resize started", view(), generation));
  environment_.allocator.Hold(uid, Amounts());
  return true;
}

/// Gives what runs what was set aside for it.
Ok PodWorker::ActuateResize() {
  TRY(SaveResources());
  const api::ObjectPtr keep = Allocated();
  const Pod pod(keep->tree());
  const ResizePlan plan = PlanResize(pod, state_);
  const runtime::CgroupResources next = NextPodGroup(state_.pod_group, TRY(PodGroup(pod)));
  // It may become another one while this is done.
  const Allocation allocated = state_.allocated;
  if (plan.empty() && Same(next, state_.pod_group) && !state_.pod_group_in_doubt) {
    resources_changed_ |= state_.actuated.pod != state_.allocated.pod;
    state_.actuated.pod = state_.allocated.pod;
    if (const auto done = std::exchange(state_.resize.in_progress, std::nullopt)) {
      hold_again_ = true;
      RecordEvent(EventKind::kNormal, "ResizeCompleted", ResizeMessage("Pod resize completed", pod, done->generation));
    }
    return SaveResources();
  }
  // It was in vain a moment ago.
  const WallTime now = environment_.runtime.Wall();
  if (now < resize_again_) {
    recheck_ = recheck_ ? std::min(*recheck_, resize_again_) : resize_again_;
    return {};
  }
  if (!state_.resize.in_progress) {
    SetCondition(state_.resize.in_progress, "", "", pod.metadata().generation(), now);
  }
  // Their end leads here again.
  if (RestartForResize(plan)) return {};
  std::string refused = RefuseMemoryDecrease(plan, state_.pod_group, next, TRY(ReadMemory(plan)));
  if (refused.empty()) {
    const Ok applied = ApplyResize(plan, allocated, next);
    if (applied.Failed(Reason::kCancelled)) return applied;
    if (applied.ok()) {
      state_.actuated.pod = allocated.pod;
      wake_.Set();  // and look whether that was all
      return SaveResources();
    }
    refused = applied.status().message();
  }
  NoteResizeError(refused);
  return SaveResources();
}

/// Stops those whose policy says that they must be started again; whether any is to be waited for.
bool PodWorker::RestartForResize(const ResizePlan& plan) {
  for (const std::string& name : plan.restart) {
    ContainerRecord* record = state_.Find(name);
    record->restart_anyway = true;
    StopContainer(*record, Grace(), fmt::format("Container {} resize requires restart", name), StopOrder::kAtOnce);
  }
  return !plan.restart.empty();
}

/// Only what a limit is to go below of is asked for.
Result<MemoryInUse> PodWorker::ReadMemory(const ResizePlan& plan) {
  MemoryInUse out;
  if (!sandbox_) return out;
  const auto pod = environment_.containers.SandboxUsage(sandbox_->id);
  if (pod.Failed(Reason::kCancelled)) return pod.status();
  if (pod.ok()) out.pod = pod->memory_bytes;
  for (const ContainerUpdate& update : plan.memory) {
    const ContainerRecord* record = state_.Find(update.container);
    if (!record->running()) continue;
    const auto used = environment_.containers.Usage(record->current->id);
    if (used.Failed(Reason::kCancelled)) return used.status();
    if (used.ok()) out.containers[update.container] = used->memory_bytes;
  }
  return out;
}

/// What becomes larger does so from the pod down to its containers, what becomes smaller the other way.
Ok PodWorker::ApplyResize(const ResizePlan& plan, const Allocation& allocated, const runtime::CgroupResources& next) {
  runtime::CgroupResources group = state_.pod_group;
  group.pids_limit = next.pids_limit;
  group.huge_pages = next.huge_pages;
  group.memory_limit = Larger(group.memory_limit, next.memory_limit);
  TRY(UpdatePodGroup(group));
  TRY(UpdateContainers(plan.memory, allocated, true));
  group.memory_limit = next.memory_limit;
  TRY(UpdatePodGroup(group));
  group.cpu_shares = std::max(group.cpu_shares, next.cpu_shares);
  group.cpu_quota_us = Larger(group.cpu_quota_us, next.cpu_quota_us);
  group.cpu_period_us = next.cpu_period_us;
  TRY(UpdatePodGroup(group));
  TRY(UpdateContainers(plan.cpu, allocated, false));
  TRY(UpdatePodGroup(next));
  return {};
}

Ok PodWorker::UpdatePodGroup(const runtime::CgroupResources& next) {
  if (Same(next, state_.pod_group) && !state_.pod_group_in_doubt) return {};
  if (!sandbox_) return Unavailable("the pod's sandbox is gone");
  const Ok done = environment_.containers.UpdateSandbox(sandbox_->id, next);
  state_.pod_group_in_doubt = !done.ok();
  TRY(done);
  state_.pod_group = next;
  resources_changed_ = true;
  return {};
}

Ok PodWorker::UpdateContainers(const std::vector<ContainerUpdate>& updates, const Allocation& allocated, bool memory) {
  const std::string_view name = memory ? "memory" : "cpu";
  const Requirements pod = memory ? With(name, state_.actuated.pod, allocated.pod) : allocated.pod;
  for (const ContainerUpdate& update : updates) {
    ContainerRecord* record = state_.Find(update.container);
    if (!record->running()) continue;
    const std::string id = record->current->id;
    // The other half stays as it was; of that, too, what was done is in the record.
    const Requirements& given = state_.actuated.Of(update.container);
    Requirements next = With(name, given, allocated.Of(update.container));
    const Ok done = environment_.containers.UpdateContainer(id, GroupOf(SizesOf(next, pod)));
    // One that has ended meanwhile is made as it should be when it is started again.
    if (done.Failed(Reason::kNotFound) || done.Failed(Reason::kConflict)) continue;
    if (!record->current || record->current->id != id) continue;
    record->resources_in_doubt = !done.ok();
    TRY(done);
    state_.actuated.containers[update.container] = std::move(next);
    resources_changed_ = true;
  }
  return {};
}

void PodWorker::NoteResizeError(const std::string& message) {
  const WallTime now = environment_.runtime.Wall();
  auto& condition = state_.resize.in_progress;
  const int64_t generation = condition ? condition->generation : view().metadata().generation();
  if (SetCondition(condition, kError, message, generation, now)) {
    const api::ObjectPtr keep = Allocated();
    RecordEvent(EventKind::kWarning, "ResizeError",
                ResizeMessage("Pod resize error", Pod(keep->tree()), generation, message));
  }
  resize_again_ = now + kResizeRetry;
  recheck_ = recheck_ ? std::min(*recheck_, resize_again_) : resize_again_;
}

/// A container was made as `pod` says.
void PodWorker::NoteActuated(Pod pod, const std::string& container) {
  const Allocation all = AllocationOf(pod);
  const auto given = all.containers.find(container);
  if (given == all.containers.end()) return;
  if (ContainerRecord* record = state_.Find(container)) record->resources_in_doubt = false;
  Requirements& actuated = state_.actuated.containers[container];
  resources_changed_ |= !(actuated == given->second);
  actuated = given->second;
}

}  // namespace knarr::node
