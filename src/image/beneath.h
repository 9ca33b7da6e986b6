#pragma once

// File operations below a directory that is held open, on names that came from outside: no path leads out of it,
// whatever symbolic links lie in it. Blocking.

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "rt/owned_fd.h"

namespace knarr::image {

/// The components of an archive's name, "." and empty ones left out and ".." resolved by text. BadRequest when it leads
/// out of the root or a component is too long.
Result<std::vector<std::string>> CleanPath(std::string_view path);

/// An open (O_PATH) directory at this place below `root`; symbolic links are followed as if `root` were "/".
Result<rt::OwnedFd> OpenDirectoryBeneath(int root, const std::string& path);
/// The same, making what is missing (0755, owned by root).
Result<rt::OwnedFd> MakeDirectoriesBeneath(int root, const std::vector<std::string>& components);
/// Opens a regular file for reading, links resolved as if `root` were "/"; BadRequest when it is anything but a file.
Result<rt::OwnedFd> OpenFileBeneath(int root, const std::string& path);
/// Removes whatever has this name in the directory `parent`; fine if nothing has.
Ok RemoveTreeAt(int parent, const std::string& name);

}  // namespace knarr::image
