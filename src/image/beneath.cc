#include "image/beneath.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/strings.h"

namespace knarr::image {
namespace {

constexpr size_t kComponentMax = 255;
constexpr int kTreeDepthMax = 400;

Result<rt::OwnedFd> Open(int root, const std::string& path, uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  while (true) {
    const long fd = syscall(SYS_openat2, root, path.empty() ? "." : path.c_str(), &how, sizeof how);
    if (fd >= 0) return rt::OwnedFd(static_cast<int>(fd));
    if (errno != EINTR && errno != EAGAIN) return FromErrno(errno, "open /" + path);
  }
}

Ok RemoveTree(int parent, const std::string& name, int depth) {
  if (unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return FromErrno(errno, "remove " + name);
  if (depth > kTreeDepthMax) return BadRequest("remove " + name + ": directories nested too deeply");
  rt::OwnedFd fd(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return FromErrno(errno, "open " + name);
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(fdopendir(fd.get()), closedir);
  if (entries == nullptr) return FromErrno(errno, "open " + name);
  const int directory = fd.Release();
  while (const dirent* entry = readdir(entries.get())) {
    const std::string_view child = entry->d_name;
    if (child != "." && child != "..") TRY(RemoveTree(directory, std::string(child), depth + 1));
  }
  if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return FromErrno(errno, "remove " + name);
  return {};
}

}  // namespace

Result<std::vector<std::string>> CleanPath(std::string_view path) {
  std::vector<std::string> out;
  for (const std::string_view part : Split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (out.empty()) return BadRequest("path " + GoQuote(path) + " leads out of the root directory");
      out.pop_back();
      continue;
    }
    if (part.size() > kComponentMax) return BadRequest("path " + GoQuote(path) + " has a name longer than 255 bytes");
    out.emplace_back(part);
  }
  return out;
}

Result<rt::OwnedFd> OpenDirectoryBeneath(int root, const std::string& path) {
  return Open(root, path, O_PATH | O_DIRECTORY);
}

Result<rt::OwnedFd> MakeDirectoriesBeneath(int root, const std::vector<std::string>& components) {
  rt::OwnedFd at = TRY(OpenDirectoryBeneath(root, ""));
  std::string path;
  for (const std::string& component : components) {
    path += (path.empty() ? "" : "/") + component;
    auto next = OpenDirectoryBeneath(root, path);
    if (!next.ok()) {
      if (!next.Failed(Reason::kNotFound)) return next.status();
      // A dangling link is in the way when mkdir says that the name exists: there is no telling what was meant.
      if (mkdirat(at.get(), component.c_str(), 0755) != 0) return FromErrno(errno, "mkdir /" + path);
      // Whatever the umask. It was made just now: the name can't be a link.
      if (fchmodat(at.get(), component.c_str(), 0755, 0) != 0) return FromErrno(errno, "set the mode of /" + path);
      next = OpenDirectoryBeneath(root, path);
      if (!next.ok()) return next.status();
    }
    at = std::move(next).value();
  }
  return at;
}

Result<rt::OwnedFd> OpenFileBeneath(int root, const std::string& path) {
  // O_PATH first: opening a device or a pipe for reading already has effects.
  const rt::OwnedFd place = TRY(Open(root, path, O_PATH));
  struct stat info{};
  if (fstat(place.get(), &info) != 0) return FromErrno(errno, "stat /" + path);
  if (!S_ISREG(info.st_mode)) return BadRequest("/" + path + " is not a regular file");
  const std::string again = "/proc/self/fd/" + std::to_string(place.get());
  rt::OwnedFd file(open(again.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return FromErrno(errno, "open /" + path);
  return file;
}

Ok RemoveTreeAt(int parent, const std::string& name) { return RemoveTree(parent, name, 0); }

}  // namespace knarr::image
