#include "node/image_collector.h"

#include <algorithm>
#include <tuple>

namespace knarr::node {

void ImageCollector::Look(const std::vector<image::Image>& images, const std::set<std::string>& in_use, WallTime now) {
  std::map<std::string, Seen> there;
  for (const image::Image& image : images) {
    const auto before = seen_.find(image.id);
    Seen& seen = there[image.id];
    seen = before != seen_.end() ? before->second : Seen{.first = now};
    seen.size = image.size;
    seen.in_use = in_use.contains(image.id);
    if (seen.in_use) seen.used = now;
  }
  seen_ = std::move(there);
}

std::vector<std::string> ImageCollector::Pick(int64_t bytes, WallTime now) const {
  std::vector<std::tuple<WallTime, WallTime, std::string>> candidates;
  for (const auto& [id, seen] : seen_) {
    if (!seen.in_use && now - seen.first >= kImageAgeMin) candidates.emplace_back(seen.used, seen.first, id);
  }
  std::ranges::sort(candidates);
  std::vector<std::string> out;
  for (const auto& [used, first, id] : candidates) {
    if (bytes <= 0) break;
    bytes -= SizeOf(id);
    out.push_back(id);
  }
  return out;
}

int64_t ImageCollector::SizeOf(const std::string& id) const {
  const auto at = seen_.find(id);
  return at == seen_.end() ? 0 : at->second.size;
}

int64_t ImageCollector::Excess(const DiskSpace& space) {
  if (space.capacity <= 0) return 0;
  const auto used_percent = 100 - static_cast<int>(space.available * 100 / space.capacity);
  if (used_percent < kImagesHighPercent) return 0;
  return std::max<int64_t>(0, space.capacity * (100 - kImagesLowPercent) / 100 - space.available);
}

}  // namespace knarr::node
