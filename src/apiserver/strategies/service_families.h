#pragma once

// Which IP families a Service gets: what it asks for, what it had, and what the cluster has.

#include <vector>

#include "api/schema.h"
#include "base/ip.h"
#include "base/status.h"
#include "doc/value.h"

namespace knarr::apiserver {

/// Fills in spec.ipFamilyPolicy and spec.ipFamilies. `families` are the cluster's, the default one first; `old` is null
/// for a create. Invalid, in upstream's words, for what can't be had.
Ok InitFamilies(const api::KindInfo& kind, const std::vector<IpFamily>& families, doc::Document& service,
                const doc::Value* old);
/// An update of a Service that takes both families when there are, and changes neither: it stays with what it has.
bool KeepsPreferredFamilies(const doc::Value& service, const doc::Value* old);

std::string_view FamilyName(IpFamily family);

}  // namespace knarr::apiserver
