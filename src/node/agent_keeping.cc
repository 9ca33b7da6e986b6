// The part of the agent that keeps the node fit: local storage limits, images that nobody uses, eviction under
// pressure.

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <limits>
#include <set>

#include "base/log.h"
#include "base/quantity.h"
#include "base/strings.h"
#include "node/agent.h"
#include "node/node_status.h"
#include "node/volumes.h"
#include "rt/file_system.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;
using client::EventKind;

// The kubelet's monitoring interval of evictions, and its ImageGCPeriod.
constexpr Duration kLookEvery = 10s;
constexpr Duration kImagesEvery = 5min;

Result<DiskSpace> AskMachine(const std::string& directory) {
  struct statvfs disk;
  if (statvfs(directory.c_str(), &disk) != 0) return FromErrno(errno, "statvfs " + directory);
  const auto unit = static_cast<int64_t>(disk.f_frsize);
  return DiskSpace{.capacity = static_cast<int64_t>(disk.f_blocks) * unit,
                   .available = static_cast<int64_t>(disk.f_bavail) * unit,
                   .inodes = static_cast<int64_t>(disk.f_files),
                   .inodes_free = static_cast<int64_t>(disk.f_favail)};
}

/// "MemAvailable:   123 kB" of /proc/meminfo, in bytes.
std::optional<int64_t> MemoryAvailable(std::string_view meminfo) {
  for (const std::string_view line : Lines(meminfo)) {
    const auto words = Fields(line);
    if (words.size() < 2 || words[0] != "MemAvailable:") continue;
    const auto kib = ParseInt64(words[1]);
    return kib.ok() ? std::optional(*kib << 10) : std::nullopt;
  }
  return std::nullopt;
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

Observation Agent::Observe() {
  Observation out;
  const auto meminfo = runtime_.files().ReadFile("/proc/meminfo");
  if (meminfo.ok()) out.memory_available = MemoryAvailable(*meminfo);
  Result<DiskSpace> disk = NotFound("");
  runtime_.Blocking([&] {
    disk = options_.disk_space ? options_.disk_space(options_.data_directory) : AskMachine(options_.data_directory);
  });
  if (disk.ok()) {
    out.disk = *disk;
  } else {
    LOG_WARN("the disk's space is not known", {"error", disk.status()});
  }
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
Ok Agent::CollectExcess(const Observation& observation) {
  const int64_t bytes = observation.disk ? ImageCollector::Excess(*observation.disk) : 0;
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
  const Ok collected = CollectExcess(Observe());
  if (collected.Failed(Reason::kCancelled)) return collected;
  // The first failure may be one of a moment.
  if (!collected.ok() && collection_failed_) {
    RecordNodeEvent(EventKind::kWarning, "ImageGCFailed", collected.status().message());
  }
  collection_failed_ = !collected.ok();
  return {};
}

Ok Agent::LookAtPressure() {
  std::vector<ThresholdMet> met = ThresholdsMet(Observe());
  const bool memory = pressures_.memory();
  const bool disk = pressures_.disk();
  pressures_.Look(met, runtime_.Wall());
  if (pressures_.memory() != memory || pressures_.disk() != disk) {
    const auto tell = [this](bool before, bool now, const char* on, const char* off) {
      if (before == now) return;
      RecordNodeEvent(EventKind::kNormal, now ? on : off,
                      fmt::format("Node {} status is now: {}", options_.node_name, now ? on : off));
    };
    tell(memory, pressures_.memory(), "NodeHasInsufficientMemory", "NodeHasSufficientMemory");
    tell(disk, pressures_.disk(), "NodeHasDiskPressure", "NodeHasNoDiskPressure");
    // Who can't be told hears it with the node's next status; what has to be done can't wait for that.
    const Ok written = status_->SetPressures(pressures_.memory(), pressures_.disk());
    if (written.Failed(Reason::kCancelled)) return written;
    if (!written.ok()) LOG_WARN("the node's conditions were not written", {"error", written.status()});
  }
  if (met.empty()) return {};
  RecordNodeEvent(EventKind::kWarning, "EvictionThresholdMet",
                  fmt::format("Attempting to reclaim {}", ResourceName(met.front().resource)));
  if (met.front().resource != Starved::kMemory) {
    // What no pod needs goes before any pod does.
    const auto collected = CollectImages(std::numeric_limits<int64_t>::max());
    if (collected.Failed(Reason::kCancelled)) return collected.status();
    if (!collected.ok()) LOG_WARN("images were not removed", {"error", collected.status()});
    met = ThresholdsMet(Observe());
    if (met.empty()) return {};
  }
  return EvictOne(met.front());
}

/// One at a time: then it is looked again whether that was enough.
Ok Agent::EvictOne(const ThresholdMet& met) {
  std::vector<Candidate> candidates;
  for (const auto& [uid, worker] : workers_) {
    const Pod pod(worker->pod().tree());
    if (!worker->active() || IsCritical(pod)) continue;
    candidates.push_back({.uid = uid, .priority = pod.spec().priority().value_or(0)});
  }
  for (Candidate& candidate : candidates) TRY(MeasureCandidate(candidate, met.resource));
  Rank(candidates);
  for (const Candidate& candidate : candidates) {
    const auto worker = workers_.find(candidate.uid);
    if (worker == workers_.end() || !worker->second->active()) continue;
    worker->second->Evict(EvictionMessage(met, candidate), PodWorker::EvictedFor::kTheNode);
    return {};
  }
  return {};
}

Ok Agent::MeasureCandidate(Candidate& candidate, Starved resource) {
  const auto worker = workers_.find(candidate.uid);
  if (worker == workers_.end()) return {};
  // Measuring waits, and the worker may be gone then.
  const api::ObjectPtr keep = worker->second->object();
  const LocalStoragePlaces places = worker->second->StoragePlaces();
  std::vector<std::string> running;
  for (const ContainerRecord& record : worker->second->state().containers) {
    if (!record.running()) continue;
    running.push_back(record.current->id);
    Candidate::Container container{.name = record.name, .used = 0, .requested_text = "0", .requested = 0};
    const auto spec = FindContainer(Pod(worker->second->pod().tree()), record.name);
    if (const auto text = spec ? spec->resources().requests().Find(ResourceName(resource)) : std::nullopt) {
      container.requested_text = *text;
      const auto quantity = Quantity::Parse(*text);
      container.requested = quantity.ok() ? quantity->Value() : 0;
    }
    candidate.containers.push_back(std::move(container));
  }
  for (const Candidate::Container& container : candidate.containers) candidate.requested += container.requested;
  if (resource == Starved::kMemory) {
    for (size_t i = 0; i < running.size(); ++i) {
      const auto usage = containers_.Usage(running[i]);
      if (usage.ok()) candidate.containers[i].used = usage->memory_working_set_bytes;
      candidate.used += candidate.containers[i].used;
    }
    return runtime_.CheckCancelled();
  }
  const LocalStorageUsage usage = MeasureLocalStorage(runtime_, containers_, places);
  const runtime::DiskUse all = UsedOfDisk(Pod(keep->tree()), usage);
  candidate.used = resource == Starved::kDisk ? all.bytes : all.inodes;
  // Of inodes, nothing is said of the single containers.
  for (Candidate::Container& container : candidate.containers) {
    const auto at = usage.containers.find(container.name);
    if (resource == Starved::kDisk && at != usage.containers.end()) container.used = at->second.bytes;
  }
  return runtime_.CheckCancelled();
}

}  // namespace knarr::node
