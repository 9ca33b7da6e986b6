#pragma once

// A filesystem of its own that is quickly full: a file, formatted as ext4 and mounted by loop. Needs root.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/check.h"

namespace knarr {

class SmallDisk {
 public:
  /// Below the folder, which exists.
  explicit SmallDisk(const std::string& folder) : image_(folder + "/image"), path_(folder + "/disk") {
    std::filesystem::create_directory(path_);
    const int fd = open(image_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && ftruncate(fd, kBytes) == 0);
    close(fd);
    mounted_ = std::system(("mkfs.ext4 -q -m 0 " + image_ + " >/dev/null 2>&1").c_str()) == 0 &&
               std::system(("mount -o loop " + image_ + " " + path_ + " 2>/dev/null").c_str()) == 0;
  }
  ~SmallDisk() { Unmount(); }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }
  const std::string& path() const { return path_; }

  /// Takes all that is left.
  void Fill() {
    const int fd = open(Filler().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    for (size_t size : {size_t{1} << 20, size_t{4096}}) {
      const std::string bytes(size, 'x');
      while (write(fd, bytes.data(), bytes.size()) > 0) {
      }
      CHECK(errno == ENOSPC);
    }
    close(fd);
  }
  void Unmount() {
    // A child that was not waited for may still use it.
    if (mounted_ && std::system(("umount -l " + path_).c_str()) != 0) std::perror("umount");
    mounted_ = false;
  }
  void Free() { CHECK(unlink(Filler().c_str()) == 0); }

 private:
  static constexpr off_t kBytes = 96 << 20;
  std::string Filler() const { return path_ + "/filler"; }
  const std::string image_;
  const std::string path_;
  bool mounted_ = false;
};

}  // namespace knarr
