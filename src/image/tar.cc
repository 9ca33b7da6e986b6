#include "image/tar.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "base/strings.h"

namespace knarr::image {
namespace {

constexpr size_t kBlock = 512;
// pax and GNU headers in front of one entry: their size together, and what one file may be.
constexpr int64_t kExtensionMax = 1 << 20;
constexpr int64_t kFileMax = int64_t{1} << 46;
constexpr size_t kPathMax = 4096;

// The fields of a header block: offset and size.
struct FieldAt {
  size_t offset;
  size_t size;
};
constexpr FieldAt kName{0, 100};
constexpr FieldAt kMode{100, 8};
constexpr FieldAt kUid{108, 8};
constexpr FieldAt kGid{116, 8};
constexpr FieldAt kSize{124, 12};
constexpr FieldAt kMtime{136, 12};
constexpr FieldAt kChecksum{148, 8};
constexpr size_t kTypeAt = 156;
constexpr FieldAt kLink{157, 100};
constexpr FieldAt kMagic{257, 8};
constexpr FieldAt kMajor{329, 8};
constexpr FieldAt kMinor{337, 8};
constexpr FieldAt kPrefix{345, 155};

std::string_view Text(const char* block, FieldAt field) {
  const std::string_view raw(block + field.offset, field.size);
  return raw.substr(0, raw.find('\0'));
}

// Octal digits, or (first byte 0x80 or 0xff) a big-endian two's complement number.
std::optional<int64_t> Number(const char* block, FieldAt field) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(block + field.offset);
  if ((bytes[0] & 0x80) != 0) {
    const bool negative = (bytes[0] & 0x40) != 0;
    uint64_t value = negative ? ~uint64_t{0} : 0;
    for (size_t i = 0; i < field.size; ++i) {
      const unsigned char byte = i == 0 ? static_cast<unsigned char>(negative ? bytes[0] : bytes[0] & 0x7f) : bytes[i];
      const uint64_t top = value >> 56;
      if (top != (negative ? 0xff : 0)) return std::nullopt;
      value = value << 8 | byte;
    }
    const auto out = static_cast<int64_t>(value);
    return (out < 0) == negative ? std::optional(out) : std::nullopt;
  }
  int64_t value = 0;
  size_t i = 0;
  while (i < field.size && bytes[i] == ' ') ++i;
  for (; i < field.size && bytes[i] != ' ' && bytes[i] != 0; ++i) {
    if (bytes[i] < '0' || bytes[i] > '7' || value >> 59 != 0) return std::nullopt;
    value = value << 3 | (bytes[i] - '0');
  }
  return value;
}

bool ChecksumFits(const char* block) {
  const auto stored = Number(block, kChecksum);
  int64_t as_unsigned = 0;
  int64_t as_signed = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    const bool blank = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    as_unsigned += blank ? ' ' : static_cast<unsigned char>(block[i]);
    as_signed += blank ? ' ' : static_cast<signed char>(block[i]);
  }
  return stored && (*stored == as_unsigned || *stored == as_signed);
}

// "1700000000.123456789" → seconds and nanoseconds.
bool ParsePaxTime(std::string_view text, TarEntry& entry) {
  const auto cut = Cut(text, ".");
  const auto seconds = ParseInt64(cut ? cut->first : text);
  if (!seconds.ok()) return false;
  std::string fraction(cut ? cut->second.substr(0, 9) : "");
  fraction.resize(9, '0');
  const auto nanoseconds = ParseInt64(fraction);
  if (!nanoseconds.ok() || *nanoseconds < 0) return false;
  entry.mtime_seconds = *seconds;
  entry.mtime_nanoseconds = static_cast<int32_t>(*nanoseconds);
  return true;
}

std::optional<TarType> TypeOf(char flag) {
  switch (flag) {
    case '0':
    case '\0':
    case '7':
      return TarType::kFile;
    case '1':
      return TarType::kHardLink;
    case '2':
      return TarType::kSymlink;
    case '3':
      return TarType::kCharDevice;
    case '4':
      return TarType::kBlockDevice;
    case '5':
      return TarType::kDirectory;
    case '6':
      return TarType::kFifo;
    default:
      return std::nullopt;
  }
}

}  // namespace

struct TarReader::Pending {
  std::map<std::string, std::string, std::less<>> pax;
  std::string gnu_name;
  std::string gnu_link;
  int64_t bytes = 0;

  // "<length> <key>=<value>\n" again and again.
  bool ParsePax(std::string_view text) {
    while (!text.empty()) {
      const size_t space = text.find(' ');
      if (space == std::string_view::npos || space == 0 || space > 9) return false;
      const auto length = ParseUint64(text.substr(0, space));
      if (!length.ok() || *length > text.size() || *length < space + 3 || text[*length - 1] != '\n') return false;
      const auto record = Cut(text.substr(space + 1, *length - space - 2), "=");
      if (!record) return false;
      if (record->second.empty()) {
        pax.erase(std::string(record->first));
      } else {
        pax[std::string(record->first)] = record->second;
      }
      text.remove_prefix(*length);
    }
    return true;
  }
};

Status TarReader::Damaged(std::string_view what) const {
  return BadRequest("archive/tar: invalid tar header: " + std::string(what) + " before byte " +
                    std::to_string(offset_));
}

Ok TarReader::ReadExactly(char* out, size_t size, std::string_view what) {
  size_t have = 0;
  while (have < size) {
    const size_t got = TRY(source_.Read(out + have, size - have));
    if (got == 0) return Damaged("unexpected end of the archive in " + std::string(what));
    have += got;
    offset_ += static_cast<int64_t>(got);
  }
  return {};
}

Result<bool> TarReader::ReadHeader(char* block) {
  size_t have = 0;
  while (have < kBlock) {
    const size_t got = TRY(source_.Read(block + have, kBlock - have));
    if (got == 0) break;
    have += got;
    offset_ += static_cast<int64_t>(got);
  }
  // Archives that just stop at a block border are common enough to be taken.
  if (have == 0) return false;
  if (have < kBlock) return Damaged("unexpected end of the archive in a header");
  return !std::all_of(block, block + kBlock, [](char c) { return c == 0; });
}

Ok TarReader::SkipData() {
  std::array<char, 16384> waste;
  int64_t left = data_left_ + padding_;
  data_left_ = padding_ = 0;
  while (left > 0) {
    const auto step = static_cast<size_t>(std::min<int64_t>(left, waste.size()));
    TRY(ReadExactly(waste.data(), step, "a file's data"));
    left -= static_cast<int64_t>(step);
  }
  return {};
}

Result<std::string> TarReader::ReadExtension(int64_t size) {
  if (size > kExtensionMax) return Damaged("extended header too large");
  std::string text(static_cast<size_t>(size), '\0');
  TRY(ReadExactly(text.data(), text.size(), "an extended header"));
  padding_ = (static_cast<int64_t>(kBlock) - size % static_cast<int64_t>(kBlock)) % static_cast<int64_t>(kBlock);
  TRY(SkipData());
  return text;
}

Result<size_t> TarReader::Read(char* out, size_t size) {
  if (data_left_ == 0) return size_t{0};
  const auto step = static_cast<size_t>(std::min<int64_t>(data_left_, static_cast<int64_t>(size)));
  const size_t got = TRY(source_.Read(out, step));
  if (got == 0) return Damaged("unexpected end of the archive in a file's data");
  offset_ += static_cast<int64_t>(got);
  data_left_ -= static_cast<int64_t>(got);
  return got;
}

Result<std::optional<TarEntry>> TarReader::Next() {
  TRY(SkipData());
  Pending pending;
  std::array<char, kBlock> block;
  while (true) {
    if (!TRY(ReadHeader(block.data()))) return std::optional<TarEntry>();
    if (!ChecksumFits(block.data())) return Damaged("wrong checksum");
    const char flag = block[kTypeAt];
    if (flag != 'x' && flag != 'g' && flag != 'L' && flag != 'K') break;
    const auto size = Number(block.data(), kSize);
    if (!size || *size < 0 || (pending.bytes += *size) > kExtensionMax) return Damaged("bad extended header size");
    const std::string text = TRY(ReadExtension(*size));
    if (flag == 'L') pending.gnu_name = text.substr(0, text.find('\0'));
    if (flag == 'K') pending.gnu_link = text.substr(0, text.find('\0'));
    if (flag == 'x' && !pending.ParsePax(text)) return Damaged("malformed pax record");
    // Global headers ('g') hold comments such as git's commit id; what they could set, no image builder sets there.
  }
  TarEntry entry = TRY(Decode(block.data(), pending));
  data_left_ = entry.size;
  padding_ = (static_cast<int64_t>(kBlock) - entry.size % static_cast<int64_t>(kBlock)) % static_cast<int64_t>(kBlock);
  return std::optional(std::move(entry));
}

Result<TarEntry> TarReader::Decode(const char* block, Pending& pending) {
  TarEntry entry;
  const auto type = TypeOf(block[kTypeAt]);
  if (!type) return Damaged("entry type " + GoQuote(std::string_view(block + kTypeAt, 1)) + " is not supported");
  entry.type = *type;
  entry.path = Text(block, kName);
  entry.link = Text(block, kLink);
  const bool ustar = std::string_view(block + kMagic.offset, 6) == std::string_view("ustar\0", 6);
  if (ustar && !Text(block, kPrefix).empty()) entry.path = std::string(Text(block, kPrefix)) + "/" + entry.path;
  const auto number = [&](FieldAt field) { return Number(block, field); };
  auto size = number(kSize);
  auto uid = number(kUid);
  auto gid = number(kGid);
  const auto mode = number(kMode);
  const auto mtime = number(kMtime);
  const bool device = entry.type == TarType::kCharDevice || entry.type == TarType::kBlockDevice;
  const auto major = device ? number(kMajor) : 0;
  const auto minor = device ? number(kMinor) : 0;
  if (!size || !uid || !gid || !mode || !mtime || !major || !minor) return Damaged("malformed number");
  entry.mtime_seconds = *mtime;
  if (!pending.gnu_name.empty()) entry.path = pending.gnu_name;
  if (!pending.gnu_link.empty()) entry.link = pending.gnu_link;
  constexpr std::string_view kXattr = "SCHILY.xattr.";
  for (auto& [key, value] : pending.pax) {
    const auto integer = [&]() -> std::optional<int64_t> {
      const auto parsed = ParseInt64(value);
      return parsed.ok() ? std::optional(*parsed) : std::nullopt;
    };
    if (key == "path") entry.path = value;
    if (key == "linkpath") entry.link = value;
    if (key == "size") size = integer();
    if (key == "uid") uid = integer();
    if (key == "gid") gid = integer();
    if (key == "mtime" && !ParsePaxTime(value, entry)) return Damaged("malformed mtime");
    if (key.starts_with("GNU.sparse.")) return Damaged("sparse files are not supported");
    if (key.starts_with(kXattr)) entry.xattrs.emplace_back(key.substr(kXattr.size()), value);
  }
  if (!size || *size < 0 || *size > kFileMax) return Damaged("bad size");
  const auto id_ok = [](const std::optional<int64_t>& id) { return id && *id >= 0 && *id < INT64_C(0xffffffff); };
  if (!id_ok(uid) || !id_ok(gid)) return Damaged("bad owner");
  if (*major < 0 || *major > 0xfff || *minor < 0 || *minor > 0xfffff) return Damaged("bad device number");
  if (entry.path.empty() || entry.path.size() > kPathMax || entry.link.size() > kPathMax) return Damaged("bad name");
  if ((entry.path + entry.link).find('\0') != std::string::npos) return Damaged("bad name");
  // V7 tar had no directories: a file whose name ends in a slash is one.
  if (entry.type == TarType::kFile && entry.path.ends_with('/')) entry.type = TarType::kDirectory;
  entry.size = entry.type == TarType::kFile ? *size : 0;
  entry.mode = static_cast<uint32_t>(*mode) & 07777;
  entry.uid = static_cast<uint32_t>(*uid);
  entry.gid = static_cast<uint32_t>(*gid);
  entry.device_major = static_cast<uint32_t>(*major);
  entry.device_minor = static_cast<uint32_t>(*minor);
  return entry;
}

}  // namespace knarr::image
