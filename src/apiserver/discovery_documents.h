#pragma once

// What discovery says, as trees: from the kinds that are served, in upstream's order of groups, versions and names.

#include <string>
#include <string_view>
#include <vector>

#include "api/schema.h"
#include "doc/value.h"

namespace knarr::apiserver {

/// Kinds that discovery lists.
using KindList = std::vector<const api::KindInfo*>;

/// A kind of each group but core, in the order in which upstream prefers groups.
KindList GroupsOf(const KindList& kinds);
/// A kind of each version of a group, the preferred version first.
KindList VersionsOf(const KindList& kinds, std::string_view group);

/// APIVersions: what /api says. `address` is where clients find the server.
doc::Document CoreVersionsDocument(std::string_view address);
/// APIGroupList and APIGroup.
doc::Document GroupListDocument(const KindList& kinds);
doc::Document GroupDocument(const KindList& kinds, std::string_view group);
/// APIResourceList of the group-version of `first`.
doc::Document ResourceListDocument(const KindList& kinds, const api::KindInfo& first);
/// APIGroupDiscoveryList (apidiscovery.k8s.io/v2): of core, or of all other groups.
doc::Document AggregatedDocument(const KindList& kinds, bool core);

/// Eight bytes that change when objects of a kind are stored as another kind or version, in base64: of the kind they
/// are stored as.
std::string StorageVersionHash(const api::KindInfo& stored);

}  // namespace knarr::apiserver
