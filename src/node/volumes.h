#pragma once

// A pod's volumes on this node: emptyDir, hostPath, configMap and secret. Each is a directory
// <pods>/<uid>/volumes/<type>/<name>; ConfigMap and Secret files are replaced as a whole (a symlink ..data that moves),
// so that a reader never sees half of a change.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/core_v1.h"
#include "base/status.h"
#include "client/client.h"
#include "rt/runtime.h"

namespace knarr::node {

/// Files of one volume: relative path → content and mode.
struct VolumeFile {
  std::string content;
  uint32_t mode = 0644;
};
using VolumeFiles = std::map<std::string, VolumeFile>;

/// The files a configMap or secret volume shows (items, optional, defaultMode). NotFound with the kubelet's texts.
Result<VolumeFiles> ConfigMapFiles(client::Client& client, std::string_view ns,
                                   api::core_v1::ConfigMapVolumeSource source);
Result<VolumeFiles> SecretFiles(client::Client& client, std::string_view ns, api::core_v1::SecretVolumeSource source);

/// Makes the directory show exactly these files, all at once; does nothing when it does already. Crash-safe: what an
/// interrupted call left is cleaned up by the next.
Ok WriteVolumeFiles(rt::Runtime& runtime, const std::string& directory, const VolumeFiles& files);

class PodVolumes {
 public:
  /// `directory` is <pods>/<uid>.
  PodVolumes(rt::Runtime& runtime, client::Client& client, std::string directory);

  /// Makes every volume ready and remembers where it is. The error is the message of a FailedMount event:
  /// `MountVolume.SetUp failed for volume "cfg" : configmap "x" not found`.
  Ok SetUp(api::core_v1::Pod pod);
  /// Rewrites configMap and secret volumes whose objects have changed.
  Ok Refresh(api::core_v1::Pod pod);
  /// The host's path of a volume; NotFound before SetUp.
  Result<std::string> PathOf(std::string_view volume) const;
  /// Unmounts and removes everything; idempotent, needs no SetUp before.
  Ok TearDown();

 private:
  Ok SetUpOne(api::core_v1::Pod pod, api::core_v1::Volume volume);
  Result<std::string> SetUpEmptyDir(api::core_v1::Volume volume);
  Result<std::string> SetUpHostPath(api::core_v1::Volume volume);
  Result<std::string> SetUpFiles(api::core_v1::Pod pod, api::core_v1::Volume volume);

  rt::Runtime& runtime_;
  client::Client& client_;
  const std::string directory_;
  std::map<std::string, std::string, std::less<>> paths_;
};

}  // namespace knarr::node
