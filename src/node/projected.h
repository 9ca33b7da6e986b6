#pragma once

// Volumes put together from several sources: service account tokens, ConfigMaps, Secrets and fields of the pod itself.

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "api/core_v1.h"
#include "client/client.h"
#include "node/environment.h"
#include "node/volumes.h"
#include "rt/runtime.h"

namespace knarr::node {

/// The tokens that one pod's volumes show. Each is kept until a fifth of its life is left (a day at most), and longer
/// while no new one can be had and it is still good.
class PodTokens {
 public:
  PodTokens(rt::Runtime& runtime, client::Client& client) : runtime_(runtime), client_(client) {}

  Result<std::string> Get(api::core_v1::Pod pod, api::core_v1::ServiceAccountTokenProjection source);
  /// When the first of them is to be renewed; nullopt when there are none.
  std::optional<WallTime> renew_at() const;
  void Clear() { tokens_.clear(); }

 private:
  struct Token {
    std::string text;
    WallTime expires{};
    WallTime renew{};
  };
  Result<Token> Request(api::core_v1::Pod pod, api::core_v1::ServiceAccountTokenProjection source);

  rt::Runtime& runtime_;
  client::Client& client_;
  std::map<std::pair<std::string, int64_t>, Token> tokens_;  // by audience and asked life
};

/// The files of a projected volume. NotFound with the kubelet's texts for what is missing and not optional.
Result<VolumeFiles> ProjectedFiles(client::Client& client, api::core_v1::Pod pod,
                                   api::core_v1::ProjectedVolumeSource source, const PodFacts& facts,
                                   PodTokens& tokens);
/// The files of a downwardAPI volume.
Result<VolumeFiles> DownwardFiles(api::core_v1::Pod pod, api::core_v1::DownwardAPIVolumeSource source,
                                  const PodFacts& facts);

}  // namespace knarr::node
