#pragma once

// What the node has set aside for a pod. It is what the pod's spec asked for when it was admitted, and stays so while
// the spec is changed (a resize), until the node has room for that.

#include <map>
#include <string>
#include <string_view>

#include "api/core_v1.h"
#include "api/object.h"
#include "api/resource_list.h"
#include "base/status.h"
#include "runtime/runtime.h"

namespace knarr::node {

/// What a container, or a pod as a whole, asks for and may have at most. Equal by the amounts, not by how they are
/// written.
struct Requirements {
  api::ResourceList requests;
  api::ResourceList limits;
  bool operator==(const Requirements&) const = default;
};
Requirements ReadRequirements(const doc::Value& resources);
doc::Value WriteRequirements(const Requirements& requirements, doc::Arena& arena);

struct Allocation {
  std::map<std::string, Requirements, std::less<>> containers;  ///< with init containers, without ephemeral ones
  Requirements pod;                                             ///< its own budget
  bool operator==(const Allocation&) const = default;
  /// Nothing, when there is none of that name.
  const Requirements& Of(std::string_view container) const;
};
/// What the pod's spec asks for.
Allocation AllocationOf(api::core_v1::Pod pod);
/// The pod as if its spec asked for that; the same object when it does.
api::ObjectPtr WithAllocation(const api::ObjectPtr& pod, const Allocation& allocation);

/// What is kept of a pod's resources in its folder.
struct ResourceRecord {
  Allocation allocated;
  Allocation actuated;                 ///< what containers were last given
  runtime::CgroupResources pod_group;  ///< what the pod's control group was last given
};
std::string ToJson(const ResourceRecord& record);
/// BadRequest for what was not written by ToJson.
Result<ResourceRecord> ParseResourceRecord(std::string_view text);

/// The amounts of a running container that a resize changes: milli-CPUs and bytes, 0 for none. A limit that it has not
/// itself is the pod's.
struct Sizes {
  int64_t cpu_request = 0;
  int64_t cpu_limit = 0;
  int64_t memory_request = 0;
  int64_t memory_limit = 0;
  bool operator==(const Sizes&) const = default;
};
Sizes SizesOf(const Requirements& container, const Requirements& pod);

}  // namespace knarr::node
