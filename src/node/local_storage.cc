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

int64_t UsedBy(const std::map<std::string, int64_t, std::less<>>& usage, std::string_view name) {
  const auto at = usage.find(name);
  return at == usage.end() ? 0 : at->second;
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

std::optional<std::string> LocalStorageExcess(Pod pod, const LocalStorageUsage& usage) {
  int64_t pod_used = 0;
  for (const auto volume : pod.spec().volumes()) {
    if (!volume.empty_dir()) continue;
    const int64_t used = UsedBy(usage.empty_dirs, volume.name());
    if (volume.empty_dir().medium() != "Memory") pod_used += used;
    const auto limit = LimitOf(volume.empty_dir().size_limit());
    if (limit && used > limit->Value()) {
      return fmt::format("Usage of EmptyDir volume {} exceeds the limit {}. ", GoQuote(volume.name()),
                         GoQuote(limit->ToString()));
    }
  }
  std::optional<Quantity> pod_limit;
  for (const auto& [name, used] : usage.containers) pod_used += used;
  for (const auto container : pod.spec().containers()) {
    const auto limit = LimitOf(container);
    if (limit) pod_limit = pod_limit ? *pod_limit + *limit : *limit;
  }
  if (pod_limit && pod_used > pod_limit->Value()) {
    return fmt::format("Pod ephemeral local storage usage exceeds the total limit of containers {}. ",
                       pod_limit->ToString());
  }
  for (const auto container : pod.spec().containers()) {
    const auto limit = LimitOf(container);
    if (limit && UsedBy(usage.containers, container.name()) > limit->Value()) {
      return fmt::format("Container {} exceeded its local ephemeral storage limit {}. ", container.name(),
                         GoQuote(limit->ToString()));
    }
  }
  return std::nullopt;
}

}  // namespace knarr::node
