#include "node/local_storage.h"

#include <fmt/format.h>

#include "base/quantity.h"
#include "base/strings.h"

namespace knarr::node {
namespace {

using api::core_v1::Container;
using api::core_v1::Pod;

constexpr std::string_view kEphemeral = "ephemeral-storage";

/// nullopt where there is none, or none that makes sense.
std::optional<Quantity> LimitOf(std::optional<std::string_view> text) {
  if (!text || text->empty()) return std::nullopt;
  const auto quantity = Quantity::Parse(*text);
  return quantity.ok() && quantity->Value() > 0 ? std::optional(*quantity) : std::nullopt;
}

std::optional<Quantity> LimitOf(Container container) {
  return LimitOf(container.resources().limits().Find(kEphemeral));
}

runtime::DiskUse UsedBy(const std::map<std::string, runtime::DiskUse, std::less<>>& usage, std::string_view name) {
  const auto at = usage.find(name);
  return at == usage.end() ? runtime::DiskUse() : at->second;
}

}  // namespace

bool LimitsLocalStorage(Pod pod) {
  for (const auto volume : pod.spec().volumes()) {
    if (volume.empty_dir() && LimitOf(volume.empty_dir().size_limit())) return true;
  }
  for (const auto container : pod.spec().containers()) {
    if (LimitOf(container)) return true;
  }
  return false;
}

LocalStorageUsage MeasureLocalStorage(rt::Runtime& runtime, runtime::Runtime& containers,
                                      const LocalStoragePlaces& places) {
  LocalStorageUsage out;
  for (const auto& [volume, folder] : places.empty_dirs) {
    runtime::DiskUse& used = out.empty_dirs[volume];
    runtime.Blocking([&] { used = runtime::DiskUsage(folder); });
  }
  for (const LocalStoragePlaces::Container& container : places.containers) {
    runtime::DiskUse& written = out.written[container.name];
    written = containers.Written(container.id).value_or({});
    runtime::DiskUse& logs = out.logs[container.name];
    if (!container.log_directory.empty()) {
      runtime.Blocking([&] { logs = runtime::DiskUsage(container.log_directory); });
    }
    runtime::DiskUse& both = out.containers[container.name];
    both = written;
    both += logs;
  }
  return out;
}

runtime::DiskUse UsedOfDisk(Pod pod, const LocalStorageUsage& usage) {
  runtime::DiskUse out;
  for (const auto volume : pod.spec().volumes()) {
    if (volume.empty_dir() && volume.empty_dir().medium() != "Memory") out += UsedBy(usage.empty_dirs, volume.name());
  }
  for (const auto& [name, used] : usage.containers) out += used;
  return out;
}

std::optional<std::string> LocalStorageExcess(Pod pod, const LocalStorageUsage& usage) {
  for (const auto volume : pod.spec().volumes()) {
    if (!volume.empty_dir()) continue;
    const auto limit = LimitOf(volume.empty_dir().size_limit());
    if (limit && UsedBy(usage.empty_dirs, volume.name()).bytes > limit->Value()) {
      return fmt::format("Usage of EmptyDir volume {} exceeds the limit {}. ", GoQuote(volume.name()),
                         GoQuote(limit->ToString()));
    }
  }
  std::optional<Quantity> pod_limit;
  for (const auto container : pod.spec().containers()) {
    const auto limit = LimitOf(container);
    if (limit) pod_limit = pod_limit ? *pod_limit + *limit : *limit;
  }
  if (pod_limit && UsedOfDisk(pod, usage).bytes > pod_limit->Value()) {
    return fmt::format("Pod ephemeral local storage usage exceeds the total limit of containers {}. ",
                       pod_limit->ToString());
  }
  for (const auto container : pod.spec().containers()) {
    const auto limit = LimitOf(container);
    if (limit && UsedBy(usage.containers, container.name()).bytes > limit->Value()) {
      return fmt::format("Container {} exceeded its local ephemeral storage limit {}. ", container.name(),
                         GoQuote(limit->ToString()));
    }
  }
  return std::nullopt;
}

}  // namespace knarr::node
