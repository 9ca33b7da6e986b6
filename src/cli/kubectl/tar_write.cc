#include "cli/kubectl/tar_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace knarr::cli {
namespace {

constexpr size_t kBlock = 512;
// Fields of a ustar header: where they begin, how long they are.
constexpr size_t kNameMax = 100;
constexpr size_t kModeAt = 100;
constexpr size_t kUidAt = 108;
constexpr size_t kGidAt = 116;
constexpr size_t kSizeAt = 124;
constexpr size_t kTimeAt = 136;
constexpr size_t kSumAt = 148;
constexpr size_t kTypeAt = 156;
constexpr size_t kLinkAt = 157;
constexpr size_t kMagicAt = 257;
constexpr int64_t kSizeMax = (int64_t{1} << 33) - 1;
constexpr uint32_t kIdMax = (1 << 21) - 1;

void PutOctal(std::string& block, size_t at, int width, uint64_t value) {
  const std::string text = fmt::format("{:0{}o}", value, width);
  block.replace(at, text.size(), text);
}

std::string Block(char type, std::string_view name, const image::TarEntry& entry, int64_t size) {
  std::string block(kBlock, '\0');
  name = name.substr(0, kNameMax);
  block.replace(0, name.size(), name);
  PutOctal(block, kModeAt, 7, entry.mode & 07777);
  PutOctal(block, kUidAt, 7, std::min(entry.uid, kIdMax));
  PutOctal(block, kGidAt, 7, std::min(entry.gid, kIdMax));
  PutOctal(block, kSizeAt, 11, static_cast<uint64_t>(std::min(size, kSizeMax)));
  PutOctal(block, kTimeAt, 11, static_cast<uint64_t>(std::max<int64_t>(entry.mtime_seconds, 0)));
  block[kTypeAt] = type;
  const std::string_view link = std::string_view(entry.link).substr(0, kNameMax);
  block.replace(kLinkAt, link.size(), link);
  block.replace(kMagicAt, 8, std::string_view("ustar\00000", 8));
  block.replace(kSumAt, 8, 8, ' ');
  uint64_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  PutOctal(block, kSumAt, 6, sum);
  block[kSumAt + 6] = '\0';
  return block;
}

/// "<length> <key>=<value>\n", where the length counts itself.
std::string PaxRecord(std::string_view key, std::string_view value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest;
  while (length != rest + std::to_string(length).size()) length = rest + std::to_string(length).size();
  return fmt::format("{} {}={}\n", length, key, value);
}

}  // namespace

std::string TarHeader(const image::TarEntry& entry) {
  std::string pax;
  if (entry.path.size() > kNameMax) pax += PaxRecord("path", entry.path);
  if (entry.link.size() > kNameMax) pax += PaxRecord("linkpath", entry.link);
  if (entry.size > kSizeMax) pax += PaxRecord("size", std::to_string(entry.size));
  if (entry.uid > kIdMax) pax += PaxRecord("uid", std::to_string(entry.uid));
  if (entry.gid > kIdMax) pax += PaxRecord("gid", std::to_string(entry.gid));
  std::string out;
  if (!pax.empty()) {
    const auto size = static_cast<int64_t>(pax.size());
    out = Block('x', "PaxHeaders.0/" + entry.path, {}, size) + pax + TarPadding(size);
  }
  const char type = entry.type == image::TarType::kDirectory ? '5' : entry.type == image::TarType::kSymlink ? '2' : '0';
  return out + Block(type, entry.path, entry, entry.size);
}

std::string TarPadding(int64_t size) {
  const auto over = static_cast<size_t>(size % static_cast<int64_t>(kBlock));
  return std::string(over == 0 ? 0 : kBlock - over, '\0');
}

std::string TarEnd() { return std::string(2 * kBlock, '\0'); }

}  // namespace knarr::cli
