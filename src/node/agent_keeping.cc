// The part of the agent that keeps the node fit: local storage limits, images that nobody uses, eviction under
// pressure.

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "base/log.h"
#include "base/quantity.h"
#include "base/strings.h"
#include "node/agent.h"
#include "node/environment.h"
#include "node/node_status.h"
#include "node/stats.h"
#include "node/volumes.h"
#include "rt/file_system.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;
using client::EventKind;

// The kubelet's monitoring interval of evictions, and its ImageGCPeriod.
constexpr Duration kLookEvery = 10s;
constexpr Duration kImagesEvery = 5min;

// The kubelet's podCleanupTimeout.
constexpr Duration kEndedMost = 30s;

/// What of the resource a container uses; nullopt when that is not known, or not told of.
std::optional<int64_t> UsedBy(const ContainerStats& container, Starved resource) {
  if (resource == Starved::kMemory) return container.group.use.memory_working_set_bytes;
  if (resource != Starved::kDisk || !container.rootfs || !container.logs) return std::nullopt;
  return container.rootfs->bytes + container.logs->bytes;
}

int64_t UsedBy(const PodStats& pod, Starved resource) {
  switch (resource) {
    case Starved::kMemory:
      return pod.group.use.memory_working_set_bytes;
    case Starved::kPids:
      return pod.group.use.processes;
    case Starved::kDisk:
      return pod.disk ? pod.disk->bytes : 0;
    case Starved::kInodes:
      return pod.disk ? pod.disk->inodes : 0;
  }
  return 0;
}

int64_t RequestOf(api::core_v1::Container container, Starved resource, std::string& text) {
  text = "0";
  const auto found = container.resources().requests().Find(ResourceName(resource));
  if (!found) return 0;
  text = *found;
  const auto quantity = Quantity::Parse(*found);
  return quantity.ok() ? quantity->Value() : 0;
}

void Fill(Pod pod, const PodStats& stats, Starved resource, Candidate& candidate) {
  candidate.used = UsedBy(stats, resource);
  for (const ContainerStats& container : stats.containers) {
    const auto spec = FindContainer(pod, container.name);
    if (!spec) continue;
    Candidate::Container& one = candidate.containers.emplace_back();
    one.name = container.name;
    one.requested = RequestOf(*spec, resource, one.requested_text);
    one.used = UsedBy(container, resource).value_or(0);
  }
}

}  // namespace

void Agent::RunKeeping() {
  // What is there before us is old, whenever it came.
  const Ok noted = NoteImages(WallTime{});
  if (noted.Failed(Reason::kCancelled)) return;
  if (!noted.ok()) LOG_WARN("the images were not looked at", {"error", noted.status()});
  MonoTime images_due = runtime_.Mono() + kImagesEvery;
  while (runtime_.Sleep(kLookEvery).ok()) {
    for (const auto& [uid, worker] : workers_) worker->CheckStorage();
    Ok looked = LookAtPressure();
    if (looked.ok() && runtime_.Mono() >= images_due) {
      images_due = runtime_.Mono() + kImagesEvery;
      looked = LookAtImages();
    }
    if (looked.Failed(Reason::kCancelled)) return;
    if (!looked.ok()) LOG_WARN("the node's disk and memory were not looked at", {"error", looked.status()});
  }
}

void Agent::RecordNodeEvent(EventKind kind, std::string_view reason, std::string message) {
  events_.Record({.api_version = "v1",
                  .kind = "Node",
                  .ns = "",
                  .name = options_.node_name,
                  .uid = options_.node_name,
                  .resource_version = "",
                  .field_path = ""},
                 kind, reason, std::move(message));
}

DiskSpace Agent::SpaceOf(const std::string& directory) {
  Result<DiskSpace> disk = NotFound("");
  runtime_.Blocking([&] { disk = options_.disk_space ? options_.disk_space(directory) : AskDisk(directory); });
  if (!disk.ok()) LOG_WARN("the disk's space is not known", {"error", disk.status()});
  return disk.ok() ? *disk : DiskSpace();
}

Observations Agent::Observe() {
  Observations out;
  std::optional<MemoryInfo> memory;
  std::optional<ProcessCount> processes;
  runtime_.Blocking([&] {
    memory = ReadMemoryInfo();
    processes = ReadProcessCount();
  });
  if (memory) out[Signal::kMemoryAvailable] = {memory->available(), memory->total};
  if (processes) out[Signal::kPidAvailable] = {processes->most - processes->running, processes->most};
  const auto put = [&](const DiskSpace& disk, Signal bytes, Signal inodes) {
    if (disk.capacity > 0) out[bytes] = {disk.available, disk.capacity};
    // Some file systems make inodes as they need them, and say 0.
    if (disk.inodes > 0) out[inodes] = {disk.inodes_free, disk.inodes};
  };
  put(SpaceOf(options_.data_directory), Signal::kNodeFsAvailable, Signal::kNodeFsInodesFree);
  put(SpaceOf(options_.image_directory), Signal::kImageFsAvailable, Signal::kImageFsInodesFree);
  return out;
}

/// Ids of the images that containers were made of, and of those that volumes show or are about to.
Result<std::set<std::string>> Agent::ImagesInUse() {
  std::set<std::string> out;
  for (const runtime::ContainerStatus& container : TRY(containers_.ListContainers())) out.insert(container.image);
  // What is mounted counts, not what the names in the pods' specs mean by now; those are for the ones yet to come.
  const std::string pods = options_.data_directory + "/pods";
  for (const auto& entry : TRY(runtime_.files().List(pods))) {
    out.merge(TRY(ImagesShownIn(runtime_, pods + "/" + entry.name)));
  }
  std::vector<std::string> wanted;
  for (const auto& [uid, worker] : workers_) {
    for (const auto volume : Pod(worker->pod().tree()).spec().volumes()) {
      if (volume.image()) wanted.emplace_back(volume.image().reference());
    }
  }
  for (const std::string& name : wanted) {
    const auto image = images_.Get(name);
    if (image.ok()) out.insert(image->id);
  }
  return out;
}

Ok Agent::NoteImages(WallTime now) {
  const std::set<std::string> in_use = TRY(ImagesInUse());
  collector_.Look(TRY(images_.List()), in_use, now);
  return {};
}

/// All its names go, and with the last one its files.
Ok Agent::RemoveUnusedImage(const image::Image& image) {
  const auto used = TRY(ImagesInUse());
  if (used.contains(image.id)) return Conflict("it is used by now");
  const auto used_now = [this](const std::string& id) {
    const auto now = containers_.ListContainers();
    return !now.ok() || std::ranges::find(*now, id, &runtime::ContainerStatus::image) != now->end();
  };
  std::vector<std::string> names = image.names;
  if (names.empty()) names.push_back(image.id);
  for (const std::string& name : names) TRY(images_.Remove(name, used_now));
  return {};
}

/// Removes images that nothing uses, those used longest ago first, until so many bytes are free again; how many are.
/// One that can't be removed does not keep the others.
Result<int64_t> Agent::CollectImages(int64_t bytes) {
  TRY(NoteImages(runtime_.Wall()));
  const std::vector<image::Image> images = TRY(images_.List());
  int64_t freed = 0;
  for (const std::string& id : collector_.Pick(bytes, runtime_.Wall())) {
    const auto image = std::ranges::find(images, id, &image::Image::id);
    if (image == images.end()) continue;  // somebody else removed it
    const Ok removed = RemoveUnusedImage(*image);
    if (removed.Failed(Reason::kCancelled)) return removed.status();
    const std::string& name = image->names.empty() ? id : image->names.front();
    if (!removed.ok()) {
      LOG_WARN("an image was not removed", {"image", name}, {"error", removed.status()});
      continue;
    }
    LOG_INFO("an image that nobody uses was removed", {"image", name}, {"bytes", collector_.SizeOf(id)});
    freed += collector_.SizeOf(id);
  }
  return freed;
}

/// As much as the disk's mark asks for. The event is the kubelet's.
Ok Agent::CollectExcess() {
  const int64_t bytes = ImageCollector::Excess(SpaceOf(options_.image_directory));
  const int64_t freed = TRY(CollectImages(bytes));
  if (freed >= bytes) return {};
  const std::string message = fmt::format(
      "Failed to garbage collect required amount of images. Attempted to free {} bytes, but only found {} bytes "
      "eligible to free.",
      bytes, freed);
  RecordNodeEvent(EventKind::kWarning, "FreeDiskSpaceFailed", message);
  return Unavailable(message);
}

/// Every few minutes; also so that it is known what was used when.
Ok Agent::LookAtImages() {
  const Ok collected = CollectExcess();
  if (collected.Failed(Reason::kCancelled)) return collected;
  // The first failure may be one of a moment.
  if (!collected.ok() && collection_failed_) {
    RecordNodeEvent(EventKind::kWarning, "ImageGCFailed", collected.status().message());
  }
  collection_failed_ = !collected.ok();
  return {};
}

void Agent::TellPressures(const Pressures::Conditions& before) {
  const Pressures::Conditions& now = pressures_.conditions();
  const auto tell = [this](bool was, bool is, const char* on, const char* off) {
    if (was == is) return;
    RecordNodeEvent(EventKind::kNormal, is ? on : off,
                    fmt::format("Node {} status is now: {}", options_.node_name, is ? on : off));
  };
  tell(before.memory, now.memory, "NodeHasInsufficientMemory", "NodeHasSufficientMemory");
  tell(before.disk, now.disk, "NodeHasDiskPressure", "NodeHasNoDiskPressure");
  tell(before.pids, now.pids, "NodeHasInsufficientPID", "NodeHasSufficientPID");
}

Ok Agent::LookAtPressure() {
  Observations observations = Observe();
  const Pressures::Conditions before = pressures_.conditions();
  const std::vector<Threshold> due = pressures_.Look(observations, runtime_.Mono());
  if (pressures_.conditions() != before) {
    TellPressures(before);
    // Who can't be told hears it with the node's next status; what has to be done can't wait for that.
    const Ok written = status_->SetPressures(pressures_.conditions());
    if (written.Failed(Reason::kCancelled)) return written;
    if (!written.ok()) LOG_WARN("the node's conditions were not written", {"error", written.status()});
  }
  if (due.empty()) return {};
  const Starved resource = ResourceOf(due.front().signal);
  RecordNodeEvent(EventKind::kWarning, "EvictionThresholdMet",
                  fmt::format("Attempting to reclaim {}", ResourceName(resource)));
  if (resource == Starved::kDisk || resource == Starved::kInodes) {
    // What no pod needs goes before any pod does.
    const auto collected = CollectImages(std::numeric_limits<int64_t>::max());
    if (collected.Failed(Reason::kCancelled)) return collected.status();
    if (!collected.ok()) LOG_WARN("images were not removed", {"error", collected.status()});
    if (ThresholdsMet(pressures_.config().thresholds, Observe(), true).empty()) return {};
  }
  return EvictOne(due.front(), observations);
}

/// One at a time: then it is looked again whether that was enough.
Ok Agent::EvictOne(const Threshold& threshold, const Observations& observations) {
  const ThresholdMet met = Describe(threshold, observations);
  std::vector<Candidate> candidates = TRY(FindCandidates(met.resource));
  Rank(candidates, met.resource);
  for (const Candidate& candidate : candidates) {
    const auto at = workers_.find(candidate.uid);
    if (at == workers_.end() || !at->second->active()) continue;
    PodWorker& worker = *at->second;
    Duration grace = kEvictionGrace;
    if (threshold.grace > Duration::zero()) {
      const int64_t most = pressures_.config().pod_grace_most;
      const int64_t own = Pod(worker.pod().tree()).spec().termination_grace_period_seconds().value_or(most);
      grace = std::chrono::seconds(most < 0 ? own : std::min(most, own));
    }
    worker.Evict(EvictionMessage(met, candidate), PodWorker::EvictedFor::kTheNode, grace);
    ++evictions_[threshold.signal];
    return WaitEnded(candidate.uid);
  }
  return {};
}

/// What it used is not free before that.
Ok Agent::WaitEnded(const std::string& uid) {
  const auto ended = [&] {
    const auto at = workers_.find(uid);
    return at == workers_.end() || at->second->ended();
  };
  const Ok waited = pods_over_.WaitUntil(ended, runtime_.Mono() + kEndedMost);
  if (!waited.Failed(Reason::kTimeout)) return waited;
  LOG_WARN("a pod that is evicted has not ended yet", {"uid", uid});
  return runtime_.CheckCancelled();
}

/// The pods that may go, and what they use.
Result<std::vector<Candidate>> Agent::FindCandidates(Starved resource) {
  const bool of_disk = resource == Starved::kDisk || resource == Starved::kInodes;
  const auto summary = TRY(stats_->Read(of_disk ? StatsDetail::kAll : StatsDetail::kCpuAndMemory));
  std::vector<Candidate> out;
  for (const auto& [uid, worker] : workers_) {
    const Pod pod(worker->pod().tree());
    if (!worker->active() || IsCritical(pod)) continue;
    Candidate candidate{.uid = uid, .priority = pod.spec().priority().value_or(0)};
    const auto stats = std::ranges::find(summary->pods, uid, &PodStats::uid);
    candidate.measured = stats != summary->pods.end();
    if (candidate.measured) Fill(pod, *stats, resource, candidate);
    for (const auto container : pod.spec().containers()) {
      std::string text;
      candidate.requested += RequestOf(container, resource, text);
    }
    out.push_back(std::move(candidate));
  }
  return out;
}

}  // namespace knarr::node
