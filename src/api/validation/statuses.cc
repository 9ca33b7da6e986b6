// The counts in the statuses of the kinds that make pods.

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <span>

#include "api/validation/metadata.h"
#include "api/validation/workloads.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

constexpr std::string_view kReplicaSet[] = {"replicas",          "fullyLabeledReplicas", "readyReplicas",
                                            "availableReplicas", "observedGeneration",   "terminatingReplicas"};
constexpr std::string_view kDeployment[] = {"observedGeneration",  "replicas",          "updatedReplicas",
                                            "readyReplicas",       "availableReplicas", "unavailableReplicas",
                                            "terminatingReplicas", "collisionCount"};
constexpr std::string_view kStatefulSet[] = {"replicas",        "readyReplicas",     "currentReplicas",
                                             "updatedReplicas", "availableReplicas", "observedGeneration",
                                             "collisionCount"};
constexpr std::string_view kDaemonSet[] = {
    "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady",   "observedGeneration",
    "updatedNumberScheduled", "numberAvailable",    "numberUnavailable",      "collisionCount"};
constexpr std::string_view kController[] = {"replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas",
                                            "observedGeneration"};
// Parts of `replicas`.
constexpr std::string_view kLabeledParts[] = {"fullyLabeledReplicas", "readyReplicas", "availableReplicas"};
constexpr std::string_view kDeploymentParts[] = {"updatedReplicas", "readyReplicas", "availableReplicas"};
constexpr std::string_view kStatefulParts[] = {"readyReplicas", "currentReplicas", "updatedReplicas",
                                               "availableReplicas"};

struct Counts {
  std::string_view kind;
  std::span<const std::string_view> all;
  std::span<const std::string_view> parts;
};
constexpr Counts kCounts[] = {
    {"ReplicaSet", kReplicaSet, kLabeledParts},
    {"Deployment", kDeployment, kDeploymentParts},
    {"StatefulSet", kStatefulSet, kStatefulParts},
    {"DaemonSet", kDaemonSet, {}},
    {"ReplicationController", kController, kLabeledParts},
};

void ValidateParts(const Counts& counts, const Value& status, const Path& path, Errors& errors) {
  for (const std::string_view name : counts.parts) {
    const int64_t count = status.At(name).AsInt();
    if (count > status.At("replicas").AsInt()) {
      errors.Invalid(path / name, count, "cannot be greater than status.replicas");
    }
  }
  const int64_t available = status.At("availableReplicas").AsInt();
  if (counts.parts.empty() || available <= status.At("readyReplicas").AsInt()) return;
  errors.Invalid(path / "availableReplicas", available,
                 counts.kind == "StatefulSet" ? "cannot be greater than status.readyReplicas"
                                              : "cannot be greater than readyReplicas");
}

}  // namespace

void ValidateReplicasStatus(const Value& object, const Value& old, Errors& errors) {
  const Path path("status");
  const Value& status = object.At("status");
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  const std::string_view kind = object.At("kind").AsString();
  const auto* counts = std::ranges::find(kCounts, kind, &Counts::kind);
  if (counts == std::end(kCounts)) return;
  for (const std::string_view name : counts->all) errors.NonNegative(path / name, status.At(name).AsInt());
  ValidateParts(*counts, status, path, errors);
  const int64_t collisions = status.At("collisionCount").AsInt();
  if (collisions < old.Get("status", "collisionCount").AsInt()) {
    errors.Invalid(path / "collisionCount", collisions, "cannot be decremented");
  }
}

}  // namespace knarr::api::validation
