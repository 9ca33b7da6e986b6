#pragma once

// The documents of an image, OCI's and Docker's (schema 2): manifests, indexes, configs, and the manifest.json of
// `docker save`. All are outside text: what a caller gets has been checked (digests are sha256, sizes are sane).

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "image/store.h"

namespace knarr::image {

/// A manifest, index or config may not be larger (registries' own limit is 4 MiB).
inline constexpr size_t kDocumentMax = 8 << 20;

/// "sha256:" and 64 lower-case hex digits: the only digests that name files here.
bool IsDigest(std::string_view text);
/// The hex digits. REQUIRES: IsDigest(digest).
std::string_view DigestHex(std::string_view digest);
std::string DigestOf(std::string_view bytes);

/// An OCI content descriptor.
struct BlobReference {
  std::string media_type;
  std::string digest;
  int64_t size = 0;
  std::string os;  ///< platform, "" when the index does not say
  std::string architecture;
  std::string variant;
  std::string name;  ///< from its annotations: io.containerd.image.name, or org.opencontainers.image.ref.name
};

struct Manifest {
  BlobReference config;
  std::vector<BlobReference> layers;
};

struct Index {
  std::vector<BlobReference> manifests;
};

/// `content_type` (may be "") counts before the document's own mediaType.
Result<std::variant<Manifest, Index>> ParseManifest(std::string_view text, std::string_view content_type);

/// The entry for linux on this machine's architecture. NotFound: "no match for platform in manifest: not found".
Result<BlobReference> SelectPlatform(const Index& index);
/// GOARCH of this machine: "amd64", "arm64".
std::string_view HostArchitecture();

struct ConfigDocument {
  ImageConfig config;
  WallTime created;
  std::string architecture;
  std::string os;
  std::vector<std::string> diff_ids;
};
Result<ConfigDocument> ParseImageConfig(std::string_view text);

/// One element of docker-save's manifest.json.
struct SavedImage {
  std::string config_path;
  std::vector<std::string> names;
  std::vector<std::string> layer_paths;
};
Result<std::vector<SavedImage>> ParseSavedManifest(std::string_view text);

}  // namespace knarr::image
