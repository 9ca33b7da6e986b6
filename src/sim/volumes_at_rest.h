#pragma once

// What must hold of claims and volumes when a cluster has come to rest.

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "api/object.h"
#include "scheduler/volumes.h"

namespace knarr::sim {

/// What there is of each kind.
struct StorageObjects {
  std::span<const api::ObjectPtr> claims;
  std::span<const api::ObjectPtr> volumes;
  std::span<const api::ObjectPtr> classes;
  std::span<const api::ObjectPtr> pods;
};

/// Each claim and its volume name each other, nothing waits for what is there, nothing is left.
std::vector<std::string> StorageProblems(const StorageObjects& objects);

/// Whether a claim or volume may still be being deleted: it is used.
bool MayStay(const api::Object& object, const StorageObjects& objects);

/// What the scheduler would know of the pod's claims.
scheduler::PodVolumes VolumesOf(const api::Object& pod, const StorageObjects& objects,
                                const std::map<std::string, int, std::less<>>& users);

}  // namespace knarr::sim
