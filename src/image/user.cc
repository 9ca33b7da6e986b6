#include "image/user.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"

namespace knarr::image {
namespace {

constexpr size_t kGroupsMax = 1000;
constexpr int64_t kIdMax = INT32_MAX;

struct PasswdEntry {
  std::string_view name;
  int64_t uid = 0;
  int64_t gid = 0;
  std::string_view home;
};

std::optional<int64_t> Number(std::string_view text) {
  const auto value = ParseInt64(text);
  return value.ok() ? std::optional(*value) : std::nullopt;
}

Ok CheckRange(int64_t id) {
  if (id < 0 || id > kIdMax) return BadRequest("uids and gids must be in range 0-" + std::to_string(kIdMax));
  return {};
}

// A name counts before a number: a user may be called "1000".
std::optional<PasswdEntry> FindUser(std::string_view passwd, std::string_view wanted) {
  const auto as_number = Number(wanted);
  std::optional<PasswdEntry> by_number;
  for (const std::string_view line : Lines(passwd)) {
    const auto parts = Split(line, ':');
    if (parts.size() < 4 || line.starts_with('#')) continue;
    const auto uid = Number(parts[2]);
    const auto gid = Number(parts[3]);
    if (!uid || !gid) continue;
    const PasswdEntry entry{parts[0], *uid, *gid, parts.size() > 5 ? parts[5] : ""};
    if (entry.name == wanted) return entry;
    if (as_number && *as_number == entry.uid && !by_number) by_number = entry;
  }
  return by_number;
}

std::optional<int64_t> FindGroup(std::string_view group, std::string_view wanted) {
  const auto as_number = Number(wanted);
  for (const std::string_view line : Lines(group)) {
    const auto parts = Split(line, ':');
    if (parts.size() >= 3 && parts[0] == wanted) {
      if (const auto gid = Number(parts[2])) return gid;
    }
  }
  return as_number;
}

Ok AddMemberships(std::string_view group, std::string_view name, Store::User& out) {
  for (const std::string_view line : Lines(group)) {
    const auto parts = Split(line, ':');
    if (parts.size() < 4) continue;
    const auto members = Split(parts[3], ',');
    const auto gid = Number(parts[2]);
    if (!gid || *gid < 0 || *gid > kIdMax || std::find(members.begin(), members.end(), name) == members.end()) continue;
    if (out.groups.size() == kGroupsMax) return BadRequest("user " + GoQuote(name) + " is in too many groups");
    out.groups.push_back(static_cast<uint32_t>(*gid));
  }
  return {};
}

}  // namespace

Result<Store::User> ResolveUserIn(std::string_view user, std::string_view passwd, std::string_view group) {
  Store::User out;
  out.home = "/";
  const auto cut = Cut(user, ":");
  std::string_view name = cut ? cut->first : user;
  const std::string_view group_name = cut ? cut->second : "";
  if (name.empty()) name = "0";
  const auto entry = FindUser(passwd, name);
  if (entry) {
    TRY(CheckRange(entry->uid));
    TRY(CheckRange(entry->gid));
    out.uid = static_cast<uint32_t>(entry->uid);
    out.gid = static_cast<uint32_t>(entry->gid);
    if (!entry->home.empty()) out.home = entry->home;
  } else {
    const auto uid = Number(name);
    if (!uid) return BadRequest("unable to find user " + std::string(name) + ": no matching entries in passwd file");
    TRY(CheckRange(*uid));
    out.uid = static_cast<uint32_t>(*uid);
    if (*uid == 0) out.home = "/root";
  }
  if (!group_name.empty()) {
    const auto gid = FindGroup(group, group_name);
    if (!gid) {
      return BadRequest("unable to find group " + std::string(group_name) + ": no matching entries in group file");
    }
    TRY(CheckRange(*gid));
    out.gid = static_cast<uint32_t>(*gid);
  } else if (entry) {
    TRY(AddMemberships(group, entry->name, out));
  }
  return out;
}

}  // namespace knarr::image
