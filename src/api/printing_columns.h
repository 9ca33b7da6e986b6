#pragma once

// Columns that many kinds have, and short ways to write the others. Internal to this folder.

#include <string_view>

#include "api/schema.h"

namespace knarr::api::printing {

inline constexpr Column kName = {"Name", "string", "name", 0, "The name of the object."};
inline constexpr Column kAge = {"Age", "string", "", 0, "The time since the object was made."};
inline constexpr Column kContainers = {"Containers", "string", "", 1, "The names of the template's containers."};
inline constexpr Column kImages = {"Images", "string", "", 1, "The images of the template's containers."};
inline constexpr Column kSelector = {"Selector", "string", "", 1, "The labels of the pods that belong to the object."};

constexpr Column Text(std::string_view name, std::string_view doc) { return {name, "string", "", 0, doc}; }
constexpr Column Wide(std::string_view name, std::string_view doc) { return {name, "string", "", 1, doc}; }
constexpr Column Number(std::string_view name, std::string_view doc) { return {name, "integer", "", 0, doc}; }
constexpr Column Flag(std::string_view name, std::string_view doc) { return {name, "boolean", "", 0, doc}; }

}  // namespace knarr::api::printing
