#include "base/path.h"

#include <vector>

#include "base/strings.h"

namespace knarr {

std::string CleanPath(std::string_view path) {
  const bool rooted = path.starts_with('/');
  std::vector<std::string_view> parts;
  for (const std::string_view part : Split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty() && parts.back() != "..") {
      parts.pop_back();
    } else if (!rooted) {
      parts.push_back(part);
    }
  }
  const std::string joined = Join(parts, "/");
  if (rooted) return "/" + joined;
  return joined.empty() ? "." : joined;
}

std::string JoinPaths(std::string_view one, std::string_view other) {
  if (one.empty() && other.empty()) return {};
  if (one.empty()) return CleanPath(other);
  return CleanPath(std::string(one) + "/" + std::string(other));
}

std::string DirName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return CleanPath(slash == std::string_view::npos ? std::string_view() : path.substr(0, slash + 1));
}

std::string BaseName(std::string_view path) {
  if (path.empty()) return ".";
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  if (path == "/") return "/";
  return std::string(path.substr(path.rfind('/') + 1));
}

}  // namespace knarr
