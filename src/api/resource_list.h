#pragma once

// Amounts of named resources (core/v1 ResourceList) and what is done with them: quotas, limits, the sum of a pod.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/quantity.h"
#include "doc/value.h"

namespace knarr::api {

/// By name, ordered.
using ResourceList = std::map<std::string, Quantity, std::less<>>;

/// A quantity as it stands in a tree: text, or a number that was not made canonical yet. Zero when it is neither
/// (validation has refused those).
Quantity ReadQuantity(const doc::Value& value);
ResourceList ReadResources(const doc::Value& list);
/// The list as an object of quantities' canonical text.
doc::Value WriteResources(const ResourceList& list, doc::Arena& arena);

void AddTo(ResourceList& sum, const ResourceList& more);
/// The greater amount of each resource of `other`.
void RaiseTo(ResourceList& list, const ResourceList& other);
/// What `a` has more than `b`, at least zero, for each resource of either.
ResourceList Excess(const ResourceList& a, const ResourceList& b);
/// The resources of `list` that `names` has, too.
template <typename Names>
ResourceList Masked(const ResourceList& list, const Names& names) {
  ResourceList out;
  for (const auto& [name, amount] : list) {
    if (names.contains(name)) out.emplace(name, amount);
  }
  return out;
}
ResourceList WithoutZeros(const ResourceList& list);
/// "cpu=1,memory=2Gi"
std::string ResourcesText(const ResourceList& list);

}  // namespace knarr::api
