#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "api/object.h"

namespace knarr::apiserver {

/// The class that an annotation marks as the default; of several the newest, then the first by name. Null: there is
/// none.
api::ObjectPtr DefaultClass(const std::vector<api::ObjectPtr>& classes,
                            std::initializer_list<std::string_view> annotations);

}  // namespace knarr::apiserver
