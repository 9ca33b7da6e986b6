// Reading one file through a stack of layers without mounting them (declared in image/user.h).

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>

#include "base/strings.h"
#include "image/beneath.h"
#include "image/byte_source.h"
#include "image/user.h"

namespace knarr::image {
namespace {

constexpr int kLinksMax = 40;

class Walker {
 public:
  explicit Walker(const std::vector<std::string>& layers) {
    for (auto it = layers.rbegin(); it != layers.rend(); ++it) directories_.push_back(*it);
  }

  // The place of the file: an open layer and a path in it that holds no links.
  Result<rt::OwnedFd> Open(std::string_view path) {
    std::deque<std::string> todo;
    for (std::string& part : TRY(CleanPath(path))) todo.push_back(std::move(part));
    TRY(ToRoot());
    int links = 0;
    while (!todo.empty()) {
      std::string name = std::move(todo.front());
      todo.pop_front();
      if (name == "..") {
        TRY(Up());
        continue;
      }
      const auto [layer, mode] = TRY(Lookup(name));
      if (S_ISLNK(mode)) {
        if (++links > kLinksMax) return BadRequest(std::string(path) + ": too many levels of symbolic links");
        TRY(Follow(layer, name, todo));
      } else if (todo.empty()) {
        return OpenFileBeneath(open_[layer].get(), PathTo(name));
      } else if (S_ISDIR(mode)) {
        TRY(Enter(layer, name));
      } else {
        return NotFound(std::string(path) + ": not a directory");
      }
    }
    return NotFound(std::string(path) + ": is a directory");
  }

 private:
  struct Found {
    size_t layer;
    mode_t mode;
  };

  std::string PathTo(const std::string& name) const {
    return current_.empty() ? name : Join(current_, "/") + "/" + name;
  }

  Ok ToRoot() {
    current_.clear();
    visible_.clear();
    if (open_.empty()) {
      for (const std::string& directory : directories_) {
        open_.emplace_back(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!open_.back()) return FromErrno(errno, "open " + directory);
      }
    }
    for (size_t i = 0; i < open_.size(); ++i) {
      visible_.push_back(i);
      if (Opaque(i, "")) break;
    }
    return {};
  }

  Ok Up() {
    std::vector<std::string> path = current_;
    if (!path.empty()) path.pop_back();
    TRY(ToRoot());
    for (const std::string& name : path) {
      const Found found = TRY(Lookup(name));
      TRY(Enter(found.layer, name));
    }
    return {};
  }

  // The topmost layer that says anything of the name in the current directory.
  Result<Found> Lookup(const std::string& name) {
    for (const size_t layer : visible_) {
      struct stat info{};
      if (!Stat(layer, name, info)) continue;
      if (S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0)) break;
      return Found{layer, info.st_mode};
    }
    return NotFound("/" + PathTo(name) + ": no such file in the image");
  }

  bool Stat(size_t layer, const std::string& name, struct stat& info) {
    const auto parent = OpenDirectoryBeneath(open_[layer].get(), Join(current_, "/"));
    return parent.ok() && fstatat(parent->get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
  }

  bool Opaque(size_t layer, const std::string& path) {
    const auto directory = OpenDirectoryBeneath(open_[layer].get(), path);
    if (!directory.ok()) return false;
    const std::string handle = "/proc/self/fd/" + std::to_string(directory->get());
    char value = 0;
    return getxattr(handle.c_str(), "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
  }

  // Into a directory: the layers below show through until one hides the rest.
  Ok Enter(size_t top, const std::string& name) {
    std::vector<size_t> visible;
    for (const size_t layer : visible_) {
      struct stat info{};
      if (layer < top || !Stat(layer, name, info)) continue;
      if (!S_ISDIR(info.st_mode)) break;
      visible.push_back(layer);
      if (Opaque(layer, PathTo(name))) break;
    }
    visible_ = std::move(visible);
    current_.push_back(name);
    return {};
  }

  Ok Follow(size_t layer, const std::string& name, std::deque<std::string>& todo) {
    const rt::OwnedFd parent = TRY(OpenDirectoryBeneath(open_[layer].get(), Join(current_, "/")));
    std::array<char, 4096> target;
    const ssize_t size = readlinkat(parent.get(), name.c_str(), target.data(), target.size());
    if (size < 0) return FromErrno(errno, "readlink /" + PathTo(name));
    const std::string_view text(target.data(), static_cast<size_t>(size));
    if (text.starts_with('/')) TRY(ToRoot());
    const auto parts = Split(text, '/');
    for (auto it = parts.rbegin(); it != parts.rend(); ++it) {
      if (!it->empty() && *it != ".") todo.emplace_front(*it);
    }
    return {};
  }

  std::vector<std::string> directories_;  // topmost first
  std::vector<rt::OwnedFd> open_;
  std::vector<std::string> current_;
  std::vector<size_t> visible_;  // the layers that have the current directory, topmost first
};

}  // namespace

Result<std::string> ReadMergedFile(const std::vector<std::string>& layers, std::string_view path, size_t limit) {
  Walker walker(layers);
  auto file = walker.Open(path);
  if (file.Failed(Reason::kNotFound)) return std::string();
  if (!file.ok()) return file.status();
  const auto source = FileSource(file->Release());
  std::string out;
  std::array<char, 16384> piece;
  while (true) {
    const size_t got = TRY(source->Read(piece.data(), piece.size()));
    if (got == 0) return out;
    if (out.size() + got > limit) return BadRequest(std::string(path) + " in the image is too large");
    out.append(piece.data(), got);
  }
}

}  // namespace knarr::image
