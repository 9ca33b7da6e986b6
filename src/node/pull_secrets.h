#pragma once

// Who pulls: the credentials for an image that a pod's imagePullSecrets hold.

#include <string>
#include <string_view>
#include <vector>

#include "api/core_v1.h"
#include "base/status.h"

namespace knarr::node {

struct PullCredential {
  std::string username;
  std::string password;
};

/// A secret's credentials by the place they are for ("registry.example:5000", "*.example/team"), as the kubelet reads
/// types kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg. BadRequest for one that is malformed.
class PullSecrets {
 public:
  Ok Add(api::core_v1::Secret secret);
  /// All that fit the repository ("registry.example/team/app"), the most particular place first.
  std::vector<PullCredential> For(std::string_view repository) const;

 private:
  struct Entry {
    std::string place;
    PullCredential credential;
  };
  std::vector<Entry> entries_;
};

}  // namespace knarr::node
