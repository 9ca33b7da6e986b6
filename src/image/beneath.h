#pragma once

// File operations below a directory that is held open, on names that came from outside: no path leads out of it,
// whatever symbolic links lie in it. Blocking.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace knarr::image {

/// A descriptor, closed when destroyed.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// The components of an archive's name, "." and empty ones left out and ".." resolved by text. BadRequest when it leads
/// out of the root or a component is too long.
Result<std::vector<std::string>> CleanPath(std::string_view path);

/// An open (O_PATH) directory at this place below `root`; symbolic links are followed as if `root` were "/".
Result<Descriptor> OpenDirectoryBeneath(int root, const std::string& path);
/// The same, making what is missing (0755, owned by root).
Result<Descriptor> MakeDirectoriesBeneath(int root, const std::vector<std::string>& components);
/// Opens a regular file for reading, links resolved as if `root` were "/"; BadRequest when it is anything but a file.
Result<Descriptor> OpenFileBeneath(int root, const std::string& path);
/// Removes whatever has this name in the directory `parent`; fine if nothing has.
Ok RemoveTreeAt(int parent, const std::string& name);

}  // namespace knarr::image
