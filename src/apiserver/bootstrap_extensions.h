#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace knarr::apiserver {

struct BootstrapObject {
  std::string_view api_version;
  std::string_view kind;
  std::string json;
};

/// What every cluster begins with of the API's own machinery: flow schemas and priority levels, and an APIService for
/// each group and version that the server itself serves.
std::vector<BootstrapObject> ExtensionObjects();

}  // namespace knarr::apiserver
