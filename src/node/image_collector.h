#pragma once

// Which images to remove when the disk fills up: those that nothing has used for longest.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"
#include "image/store.h"

namespace knarr::node {

/// The kubelet's imageGCHighThresholdPercent, imageGCLowThresholdPercent and imageMinimumGCAge.
inline constexpr int kImagesHighPercent = 85;
inline constexpr int kImagesLowPercent = 80;
inline constexpr Duration kImageAgeMin = 2min;

struct DiskSpace {
  int64_t capacity = 0;   ///< bytes
  int64_t available = 0;  ///< bytes, to others than root
  int64_t inodes = 0;
  int64_t inodes_free = 0;
};

/// Plain memory of when images were seen and used.
class ImageCollector {
 public:
  /// Notes what is there and what containers use now.
  void Look(const std::vector<image::Image>& images, const std::set<std::string>& in_use, WallTime now);
  /// The ids to remove, in order, so that `bytes` are freed; all that may go when there are not as many. Those that are
  /// in use may not, nor those that came less than kImageAgeMin ago: a container may be about to be made of them.
  std::vector<std::string> Pick(int64_t bytes, WallTime now) const;
  int64_t SizeOf(const std::string& id) const;

  /// How much to free so that the low mark is reached; 0 below the high mark.
  static int64_t Excess(const DiskSpace& space);

 private:
  struct Seen {
    WallTime first;
    WallTime used;
    int64_t size = 0;
    bool in_use = false;
  };
  std::map<std::string, Seen> seen_;
};

}  // namespace knarr::node
