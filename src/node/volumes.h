#pragma once

// A pod's volumes on this node: emptyDir, hostPath, configMap, secret, downwardAPI and projected, and claims. Each is a
// directory <pods>/<uid>/volumes/<type>/<name>; files made from objects are replaced as a whole (a symlink ..data that
// moves), so that a reader never sees half of a change.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/core_v1.h"
#include "base/status.h"
#include "client/client.h"
#include "image/store.h"
#include "node/environment.h"
#include "rt/runtime.h"
#include "rt/sync.h"

namespace knarr::node {

/// Files of one volume: relative path → content and mode.
struct VolumeFile {
  std::string content;
  uint32_t mode = 0644;
  std::optional<uint32_t> group;  ///< the pod's fsGroup
};
using VolumeFiles = std::map<std::string, VolumeFile>;

/// The files a configMap or secret volume shows (items, optional, defaultMode). NotFound with the kubelet's texts.
Result<VolumeFiles> ConfigMapFiles(client::Client& client, std::string_view ns,
                                   api::core_v1::ConfigMapVolumeSource source);
Result<VolumeFiles> SecretFiles(client::Client& client, std::string_view ns, api::core_v1::SecretVolumeSource source);

/// Makes the directory show exactly these files, all at once; does nothing when it does already. Crash-safe: what an
/// interrupted call left is cleaned up by the next.
Ok WriteVolumeFiles(rt::Runtime& runtime, const std::string& directory, const VolumeFiles& files);

class PodTokens;
struct VolumePlace;

/// Ids of the images that volumes show, below the pod's folder: also of a pod that is older than this process.
Result<std::set<std::string>> ImagesShownIn(rt::Runtime& runtime, const std::string& directory);

class PodVolumes {
 public:
  /// `directory` is <pods>/<uid>; `facts` are for the downward API; `asking` as in VolumePlace.
  PodVolumes(rt::Runtime& runtime, client::Client& client, std::string directory, PodFacts facts = {},
             rt::Mutex* asking = nullptr);
  ~PodVolumes();

  /// Makes every volume ready and remembers where it is. The error is the message of a FailedMount event:
  /// `MountVolume.SetUp failed for volume "cfg" : configmap "x" not found`.
  Ok SetUp(api::core_v1::Pod pod);
  /// Rewrites what is made from objects that have changed, and tokens that are due.
  Ok Refresh(api::core_v1::Pod pod);
  /// When Refresh is due although nothing has changed; nullopt: not at all.
  std::optional<WallTime> refresh_at() const;
  /// Whether SetUp is still to be called by this process (a pod may be older than it).
  bool idle() const { return !set_up_; }
  /// Mounts what an image volume shows, for a pod with the user namespace of that process (0: it has none).
  Ok SetUpImage(std::string_view volume, const image::Image& image, int user_namespace_of);
  /// Whether nobody may write to it, whatever a mount says.
  bool IsReadOnly(std::string_view volume) const { return read_only_.contains(volume); }
  /// Whether its files have owners that a user namespace of the pod's shows as its own already.
  bool IdsAreMapped(std::string_view volume) const { return mapped_.contains(volume); }
  /// The host's path of a volume; NotFound before SetUp.
  Result<std::string> PathOf(std::string_view volume) const;
  /// Unmounts and removes everything; idempotent, needs no SetUp before.
  Ok TearDown();

 private:
  Ok SetUpOne(api::core_v1::Pod pod, api::core_v1::Volume volume);
  Result<std::string> SetUpEmptyDir(api::core_v1::Pod pod, api::core_v1::Volume volume);
  Result<std::string> SetUpClaim(api::core_v1::Pod pod, api::core_v1::Volume volume);
  VolumePlace PlaceOf(api::core_v1::Pod pod, api::core_v1::Volume volume, bool read_only) const;
  Result<std::string> SetUpFiles(api::core_v1::Pod pod, api::core_v1::Volume volume);
  Result<VolumeFiles> FilesOf(api::core_v1::Pod pod, api::core_v1::Volume volume);

  rt::Runtime& runtime_;
  client::Client& client_;
  const std::string directory_;
  const PodFacts facts_;
  rt::Mutex* const asking_;
  std::unique_ptr<PodTokens> tokens_;
  bool set_up_ = false;
  rt::Mutex busy_;  // files are written by one fiber at a time
  std::map<std::string, std::string, std::less<>> paths_;
  std::set<std::string, std::less<>> read_only_;
  std::set<std::string, std::less<>> mapped_;
};

}  // namespace knarr::node
