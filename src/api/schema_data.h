#pragma once

// The generated tables (generated/api/schema_data.cc). Code outside this folder asks api/schema.h instead.

#include <cstddef>

#include "api/schema.h"

namespace knarr::api::detail {

extern const Type kTypes[];
extern const KindInfo kKinds[];  ///< the served ones first
extern const size_t kServedKinds;
extern const size_t kKindCount;
extern const Package kPackages[];
extern const size_t kPackageCount;

}  // namespace knarr::api::detail
