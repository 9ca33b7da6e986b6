#pragma once

// The Pod Security Standards: what a pod may ask for at each level, by the versions in which the rules changed.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "doc/value.h"

namespace knarr::apiserver {

enum class PodSecurityLevel : uint8_t { kPrivileged, kBaseline, kRestricted };

/// "restricted:latest", "baseline:v1.25"
struct PodSecurityPolicy {
  static constexpr int kLatest = -1;
  PodSecurityLevel level = PodSecurityLevel::kPrivileged;
  int minor = kLatest;

  std::string Text() const;
  bool operator==(const PodSecurityPolicy&) const = default;
};

/// BadRequest with upstream's text for what is no level or version.
Result<PodSecurityLevel> ParsePodSecurityLevel(std::string_view text);
Result<int> ParsePodSecurityVersion(std::string_view text);

/// One rule that a pod breaks.
struct PodSecurityViolation {
  std::string reason;  ///< "privileged"
  std::string detail;  ///< `container "c" must not set securityContext.privileged=true`, or ""
};

/// What of a pod (or of a template) the policy does not allow, in upstream's order.
std::vector<PodSecurityViolation> CheckPodSecurity(const PodSecurityPolicy& policy, const doc::Value& metadata,
                                                   const doc::Value& spec);
/// "reason, reason", and with the details: "reason (detail), reason".
std::string ViolationReasons(const std::vector<PodSecurityViolation>& violations);
std::string ViolationDetails(const std::vector<PodSecurityViolation>& violations);

// For the table of rules: each adds to `out` what it finds.
struct PodToCheck {
  const doc::Value& metadata;
  const doc::Value& spec;
  std::vector<PodSecurityViolation>& out;
};
using PodSecurityRule = void (*)(const PodToCheck& pod);

/// A rule at the versions from `since` on, until the next one of its id.
struct VersionedRule {
  std::string_view id;
  int since;
  PodSecurityRule check;
  std::string_view overrides = {};  ///< a baseline rule that this one stands for
};
std::vector<VersionedRule> BaselineRules();
std::vector<VersionedRule> RestrictedRules();

// What the rules have in common.
/// All containers of a pod: init, ordinary, ephemeral.
std::vector<const doc::Value*> ContainersOf(const doc::Value& spec);
/// `"a", "b"`
std::string Quoted(const std::vector<std::string>& items);
/// `container "a"`, `containers "a", "b"`
std::string ContainersText(const std::vector<std::string>& names);
std::string NameOfContainer(const doc::Value& container);
bool InUserNamespace(const doc::Value& spec);
void CheckProcMount(const PodToCheck& pod);
bool IsAllowedSeccomp(std::string_view type);

}  // namespace knarr::apiserver
