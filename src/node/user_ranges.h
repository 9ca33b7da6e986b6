#pragma once

// Which ids of the machine the pods have that have a user namespace of their own (`hostUsers: false`): 65,536 each, no
// two pods the same. A pod's are in its folder, as the kubelet keeps them (<pods>/<uid>/userns), for as long as the
// folder is there: containers outlive the agent, and a pod made anew by the next one must find its files its own.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/status.h"
#include "rt/runtime.h"
#include "runtime/runtime.h"

namespace knarr::node {

/// How many ids a pod has; the first is a multiple of it. The kubelet's userNamespaces.idsPerPod by default.
inline constexpr uint32_t kIdsPerPod = 65536;

/// What pods' ids may be picked from: the range that /etc/subuid and /etc/subgid (their texts) both give to the user
/// "kubelet"; without one, all but the machine's own. Invalid when they differ, or it is no whole number of pods'.
Result<runtime::IdRange> PodIds(std::string_view subuid, std::string_view subgid);

/// The text of a pod's file, and back. Invalid for what no kubelet writes.
std::string ToText(const runtime::IdRange& ids);
Result<runtime::IdRange> ParseIds(std::string_view text);

class UserRanges {
 public:
  UserRanges(rt::Runtime& runtime, std::string pods_directory)
      : runtime_(runtime), pods_directory_(std::move(pods_directory)) {}

  /// What there is to pick from, and who has what.
  Ok Load();
  /// The pod's, picked now if it has none; ServiceUnavailable when none is left.
  Result<runtime::IdRange> Of(const std::string& uid);
  /// REQUIRES: nothing of the pod runs, and nothing will.
  Ok Release(const std::string& uid);

 private:
  Result<uint32_t> Pick();

  rt::Runtime& runtime_;
  const std::string pods_directory_;
  runtime::IdRange all_;
  std::map<std::string, runtime::IdRange> of_;  // by pod's uid
  std::set<uint32_t> taken_;                    // their first ids
};

}  // namespace knarr::node
