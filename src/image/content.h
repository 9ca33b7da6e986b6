#pragma once

// The store's disk side: blobs named by digest, and layers unpacked once each.
//
//   blobs/sha256/<hex>      manifests, configs, layer archives; complete whenever the name is there
//   layers/<hex>/fs         a layer unpacked, named by its diff id; complete whenever the name is there
//   layers/<hex>/size       bytes unpacked, text
//   tmp/                    what is being made; emptied at the start
//
// Everything is made in tmp/, brought to the disk, and renamed into place.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/status.h"
#include "net/tls.h"
#include "rt/runtime.h"
#include "rt/sync.h"

namespace knarr::image {

/// A blob on its way in. What is not finished goes away with the writer.
class BlobWriter {
 public:
  BlobWriter(rt::Runtime& runtime, std::string path);
  ~BlobWriter();
  BlobWriter(const BlobWriter&) = delete;
  BlobWriter& operator=(const BlobWriter&) = delete;
  Ok Append(std::string_view bytes);
  int64_t size() const { return size_; }
  /// Forgets what was written: to begin again.
  Ok Restart();
  /// Syncs; the digest of all that was appended.
  Result<std::string> Finish();
  const std::string& path() const { return path_; }

 private:
  Ok OpenFile();
  rt::Runtime& runtime_;
  std::string path_;
  int fd_ = -1;
  int64_t size_ = 0;
  std::optional<net::Sha256Stream> hash_{std::in_place};
};

class Content {
 public:
  Content(rt::Runtime& runtime, std::string directory);
  /// Makes the folders and empties tmp/.
  Ok Open();

  std::string BlobPath(std::string_view digest) const;
  bool HasBlob(std::string_view digest);
  Result<std::string> ReadBlob(std::string_view digest, size_t limit);
  Ok PutBlob(std::string_view digest, std::string_view bytes);
  std::unique_ptr<BlobWriter> NewBlob();
  /// Moves a finished file from tmp/ into place. BadRequest when what was written has another digest.
  Ok Commit(BlobWriter& writer, std::string_view digest);
  /// The same for a synced file whose digest is known to be this.
  Ok Adopt(const std::string& path, std::string_view digest);
  /// A fresh path in tmp/.
  std::string TemporaryPath(std::string_view what);

  std::string LayerDirectory(std::string_view diff_id) const;
  bool HasLayer(std::string_view diff_id);
  /// Unpacks the blob unless the layer is there. BadRequest when its contents do not have this diff id. Concurrent
  /// calls for one layer are one.
  Ok EnsureLayer(std::string_view digest, std::string_view diff_id);
  Result<int64_t> LayerSize(std::string_view diff_id);
  /// Removes blobs and layers that are in neither set. REQUIRES: nothing is being added.
  Ok Collect(const std::set<std::string>& digests, const std::set<std::string>& diff_ids);

 private:
  Ok Unpack(const std::string& digest, const std::string& diff_id);
  rt::Runtime& runtime_;
  std::string directory_;
  uint64_t next_temporary_ = 0;
  std::set<std::string> unpacking_;
  rt::WaitQueue unpacked_;
};

}  // namespace knarr::image
