#pragma once

// Pods that stand in files of the node: static pods.

#include <string>
#include <string_view>

#include "api/core_v1.h"
#include "api/object.h"
#include "base/status.h"
#include "base/time.h"

namespace knarr::node {

inline constexpr std::string_view kConfigHash = "kubernetes.io/config.hash";
inline constexpr std::string_view kConfigMirror = "kubernetes.io/config.mirror";
inline constexpr std::string_view kConfigSeen = "kubernetes.io/config.seen";
inline constexpr std::string_view kConfigSource = "kubernetes.io/config.source";

struct ManifestOrigin {
  std::string path;
  std::string node_name;
  WallTime seen{};
};

/// The pod as the node runs it: with defaults, the node's name behind its own, and an identity that comes of what it
/// says and where it lies. BadRequest with the kubelet's words.
Result<api::ObjectPtr> ParseManifest(std::string_view text, const ManifestOrigin& origin);

/// Whether it comes of a file, and not of the API.
bool IsStaticPod(api::core_v1::Pod pod);
/// Whether it only shows in the API what the node runs of itself.
bool IsMirrorPod(const api::Object& pod);

}  // namespace knarr::node
