#pragma once

// Image archives on disk (docker save, OCI layout; tar, tar.gz or tar.zst), taken apart: each file in it is staged as a
// file of its own with its digest, in one pass and without a second copy, since what an image needs is then renamed
// into the store.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "image/manifest.h"

namespace knarr::image {

struct StagedFile {
  std::string path;  ///< where it lies now
  std::string digest;
  int64_t size = 0;
};

/// An image found in an archive: where its parts are.
struct ArchivedImage {
  std::string id;
  std::vector<std::string> manifests;  ///< digests: of the index and manifest, for OCI layouts
  std::vector<std::string> names;      ///< as the archive has them
  std::vector<std::string> layers;     ///< digests, lowest first
  ConfigDocument config;
};

class StagedArchive {
 public:
  /// Blocking. `directory` (existing, empty) takes the files, which are on the disk when this returns.
  static Result<StagedArchive> Stage(const std::string& archive_path, const std::string& directory);
  /// Blocking. What the archive says it holds for this machine. BadRequest when it is no image archive.
  Result<std::vector<ArchivedImage>> Images() const;
  /// The staged file with this digest, nullptr when the archive has none.
  const StagedFile* ByDigest(std::string_view digest) const;

 private:
  const StagedFile* Find(std::string_view name) const;
  Result<std::string> ReadDocument(const StagedFile& file) const;
  Result<std::vector<ArchivedImage>> DockerImages(const StagedFile& manifest) const;
  Result<std::vector<ArchivedImage>> OciImages(const StagedFile& index) const;
  Ok AddOciImage(const BlobReference& entry, int depth, ArchivedImage image, std::vector<ArchivedImage>& out) const;

  std::map<std::string, StagedFile, std::less<>> files_;
  std::map<std::string, std::string, std::less<>> links_;    // name → target name
  std::map<std::string, std::string, std::less<>> digests_;  // digest → name
};

}  // namespace knarr::image
