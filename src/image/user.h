#pragma once

// Who a container runs as: the user text of an image or a pod, looked up in the image's own /etc/passwd and /etc/group.

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "image/store.h"

namespace knarr::image {

/// Pure: `user` is "", "name", "uid", "name:group", "uid:gid". BadRequest as runc words it: "unable to find user x: no
/// matching entries in passwd file".
Result<Store::User> ResolveUserIn(std::string_view user, std::string_view passwd, std::string_view group);

/// Reads a file as a container would see it over these layers (lowest first): whiteouts, opaque directories and
/// symbolic links count. "" when it is absent. Blocking.
Result<std::string> ReadMergedFile(const std::vector<std::string>& layers, std::string_view path, size_t limit);

}  // namespace knarr::image
