#pragma once

// The one image store: what a registry gave, what `docker load` brought (and what `docker build` will make) lie in the
// same content store that pods run from. Blobs are files named by digest; a layer is unpacked once, into a directory
// that overlayfs uses as it is. Names map to image ids (the digest of the config blob). Crash-safe: an image is there
// as a whole or not at all.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "rt/runtime.h"

namespace knarr::image {

/// "nginx" → docker.io/library/nginx:latest; "host:5000/a/b:v1@sha256:…".
struct Reference {
  std::string registry;    ///< "docker.io", "localhost:5000"
  std::string repository;  ///< "library/nginx"
  std::string tag;         ///< "" when only a digest was given
  std::string digest;      ///< "sha256:…" or ""
  /// BadRequest with the reason for text that is no reference (as distribution/reference: "invalid reference format").
  static Result<Reference> Parse(std::string_view text);
  /// "docker.io/library/nginx:latest"
  std::string Canonical() const;
  /// "nginx:latest": as users write it and docker prints it.
  std::string Familiar() const;
  std::string FamiliarName() const;  ///< without the tag
};

/// What the image says about running it (OCI image config).
struct ImageConfig {
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::vector<std::string> environment;
  std::string working_directory;
  std::string user;  ///< "uid", "name", "uid:gid", …
  std::string stop_signal;
  std::vector<std::string> exposed_ports;
  std::vector<std::string> volumes;
  std::vector<std::pair<std::string, std::string>> labels;
};

struct Image {
  std::string id;                         ///< "sha256:…": digest of the config blob
  std::vector<std::string> names;         ///< canonical, with tags
  std::vector<std::string> repo_digests;  ///< "docker.io/library/nginx@sha256:…"
  ImageConfig config;
  int64_t size = 0;  ///< bytes unpacked
  WallTime created;
  std::string architecture;
  std::string os;
  /// The layers' directories, lowest first, ready for overlayfs' lowerdir.
  std::vector<std::string> layer_directories;
};

struct PullOptions {
  /// Of an imagePullSecret; empty: registries.yaml decides.
  std::string username;
  std::string password;
  /// Called as layers come in: bytes done, bytes in all (0: not known yet).
  std::function<void(int64_t done, int64_t total)> progress;
};

struct LoadOptions {
  /// Called when a layer that was not here is in: its diff id and the size of its blob.
  std::function<void(std::string_view diff_id, int64_t bytes)> loaded;
};

struct StoreOptions {
  std::string directory;        ///< "<data>/images"
  std::string registries_file;  ///< registries.yaml: mirrors, credentials, TLS (k3s' format); may be absent
};

class Store {
 public:
  /// Makes the folder if absent; clears what a crash left half-done.
  static Result<std::unique_ptr<Store>> Open(rt::Runtime& runtime, StoreOptions options);
  virtual ~Store() = default;

  /// By name or id (or a unique prefix of at least 12 digits of one). NotFound: `No such image: …`.
  virtual Result<Image> Get(std::string_view name) = 0;
  virtual Result<std::vector<Image>> List() = 0;
  /// From its registry or a mirror. Concurrent pulls of one name are one; layers that are here are not fetched.
  virtual Result<Image> Pull(const Reference& reference, const PullOptions& options) = 0;
  /// An OCI layout or `docker save` archive (tar, tar.gz, tar.zst); the names it brought. `options` are told of layers.
  virtual Result<std::vector<std::string>> Load(const std::string& archive_path, const LoadOptions& options = {}) = 0;
  virtual Ok Tag(std::string_view source, const Reference& target) = 0;
  /// Takes a name away, and the image with the last one (layers others use stay). Conflict while `in_use(id)` says so.
  virtual Ok Remove(std::string_view name, const std::function<bool(const std::string& id)>& in_use) = 0;
  /// The uid, gid and supplementary groups a config's or spec's user text means in this image's /etc/passwd,
  /// /etc/group.
  struct User {
    uint32_t uid = 0;
    uint32_t gid = 0;
    std::vector<uint32_t> groups;
    std::string home;
  };
  virtual Result<User> ResolveUser(const Image& image, std::string_view user) = 0;
  /// The directories that its files lie in, lowest first, for who mounts them: they stay as long as the image does.
  virtual Result<std::vector<std::string>> Layers(const Image& image) { return image.layer_directories; }
};

}  // namespace knarr::image
