#pragma once

// Which images there are: the store's one index, a value that is changed as a copy, written whole to images.json, and
// then takes the old one's place.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "image/store.h"

namespace knarr::image {

struct LayerRecord {
  std::string digest;   ///< of the archive, as it came
  std::string diff_id;  ///< of the tar inside
};

struct ImageRecord {
  std::string id;
  std::vector<std::string> manifests;  ///< digests of the manifest and the index it came by; none when loaded
  std::vector<LayerRecord> layers;     ///< lowest first
  std::set<std::string> names;
  std::set<std::string> repo_digests;
  int64_t size = 0;
};

class ImageRecords {
 public:
  static Result<ImageRecords> Parse(std::string_view json);
  std::string ToJson() const;

  /// By id, name, repository@digest, or a unique prefix (12 digits or more) of an id. NotFound: "No such image: x".
  Result<const ImageRecord*> Find(std::string_view name) const;
  const ImageRecord* ById(std::string_view id) const;
  /// Adds the image, or its names and digests to what is there; names move here from other images.
  void Add(const ImageRecord& record);
  /// REQUIRES: an image has this id.
  void AddName(const std::string& id, const std::string& name);
  void RemoveName(const std::string& name);
  void Remove(const std::string& id);

  const std::map<std::string, ImageRecord, std::less<>>& images() const { return images_; }
  std::set<std::string> BlobsInUse() const;
  std::set<std::string> LayersInUse() const;

 private:
  std::map<std::string, ImageRecord, std::less<>> images_;
};

}  // namespace knarr::image
