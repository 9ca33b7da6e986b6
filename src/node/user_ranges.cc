#include "node/user_ranges.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "base/strings.h"
#include "doc/json.h"
#include "doc/value.h"
#include "rt/file_system.h"

namespace knarr::node {
namespace {

using doc::Value;
using runtime::IdRange;

constexpr std::string_view kUser = "kubelet";
constexpr std::string_view kFile = "/userns";
// The very last range is not whole: 4294967295 is no id.
constexpr IdRange kAll = {kIdsPerPod, uint32_t{0} - 2 * kIdsPerPod};

/// The user's ranges: lines of "<user>:<first>:<number>".
Result<std::vector<IdRange>> RangesOf(std::string_view text) {
  std::vector<IdRange> out;
  for (const std::string_view line : Lines(text)) {
    const auto parts = Split(TrimSpace(line), ':');
    if (parts.size() != 3 || parts[0] != kUser) continue;
    out.push_back({TRY(ParseInt<uint32_t>(parts[1])), TRY(ParseInt<uint32_t>(parts[2]))});
  }
  return out;
}

bool Same(const IdRange& a, const IdRange& b) { return a.first == b.first && a.length == b.length; }

Result<std::string> ReadIfThere(rt::FileSystem& files, const std::string& path) {
  Result<std::string> text = files.ReadFile(path);
  return text.Failed(Reason::kNotFound) ? Result<std::string>(std::string()) : text;
}

/// The one mapping of a list, of all ids from 0 on.
Result<IdRange> OnlyMapping(const Value& list) {
  const auto bad = [](const std::string& why) { return Invalid("invalid user namespace configuration: " + why); };
  if (!list.is_array() || list.size() != 1) return bad("no more than one mapping allowed");
  const Value& one = list.items()[0];
  if (one.At("containerId").AsInt(-1) != 0) return bad("id 0 must be mapped");
  const int64_t first = one.At("hostId").AsInt(-1);
  const int64_t length = one.At("length").AsInt(-1);
  if (length != kIdsPerPod) return bad(fmt::format("wrong user namespace length {}", length));
  if (first < kIdsPerPod || first % kIdsPerPod != 0 || first > int64_t{UINT32_MAX} - length) {
    return bad(fmt::format("wrong user namespace offset specified {}", first));
  }
  return IdRange{static_cast<uint32_t>(first), static_cast<uint32_t>(length)};
}

}  // namespace

Result<IdRange> PodIds(std::string_view subuid, std::string_view subgid) {
  const auto users = TRY(RangesOf(subuid).Context("/etc/subuid"));
  const auto groups = TRY(RangesOf(subgid).Context("/etc/subgid"));
  if (users.empty() && groups.empty()) return kAll;
  if (users.size() != 1 || groups.size() != 1 || !Same(users[0], groups[0])) {
    return Invalid(fmt::format("mismatched subuids and subgids for user \"{}\"", kUser));
  }
  const IdRange& ids = users[0];
  if (ids.first < kIdsPerPod || ids.first % kIdsPerPod != 0) {
    return Invalid(fmt::format("kubelet user assigned ID {} is not a multiple of {}", ids.first, kIdsPerPod));
  }
  if (ids.length == 0 || ids.length % kIdsPerPod != 0 || ids.length > UINT32_MAX - ids.first) {
    return Invalid(fmt::format("kubelet user assigned IDs length {} is not a multiple of {}", ids.length, kIdsPerPod));
  }
  return ids;
}

std::string ToText(const IdRange& ids) {
  return fmt::format(R"({{"uidMappings":[{{"hostId":{0},"containerId":0,"length":{1}}}],)"
                     R"("gidMappings":[{{"hostId":{0},"containerId":0,"length":{1}}}]}})",
                     ids.first, ids.length);
}

Result<IdRange> ParseIds(std::string_view text) {
  const doc::Document document = TRY(doc::ParseJson(text).Context("invalid user namespace mappings file"));
  const IdRange users = TRY(OnlyMapping(document.root.At("uidMappings")));
  const IdRange groups = TRY(OnlyMapping(document.root.At("gidMappings")));
  if (Same(users, groups)) return users;
  return Invalid("invalid user namespace configuration: GID and UID mapping should be identical");
}

Ok UserRanges::Load() {
  rt::FileSystem& files = runtime_.files();
  const std::string users = TRY(ReadIfThere(files, "/etc/subuid"));
  const std::string groups = TRY(ReadIfThere(files, "/etc/subgid"));
  all_ = TRY(PodIds(users, groups).Context("user namespaces"));
  for (const rt::DirectoryEntry& entry : TRY(files.List(pods_directory_))) {
    const std::string text = TRY(ReadIfThere(files, fmt::format("{}/{}{}", pods_directory_, entry.name, kFile)));
    if (text.empty()) continue;
    const IdRange ids =
        TRY(ParseIds(text).Context(fmt::format("record pod mappings for existing pod \"{}\"", entry.name)));
    if (!taken_.insert(ids.first).second) {
      return Invalid(fmt::format("range picked for pod \"{}\" already taken", entry.name));
    }
    of_[entry.name] = ids;
  }
  return {};
}

// Anywhere: what others on this machine have picked from the front, as their tools do, is not met.
Result<uint32_t> UserRanges::Pick() {
  const uint32_t ranges = all_.length / kIdsPerPod;
  const auto begin = static_cast<uint32_t>(runtime_.Random() % ranges);
  for (uint32_t i = 0; i < ranges; i++) {
    const uint32_t first = all_.first + (begin + i) % ranges * kIdsPerPod;
    if (!taken_.contains(first)) return first;
  }
  return Unavailable("could not find an empty slot to allocate a user namespace");
}

Result<IdRange> UserRanges::Of(const std::string& uid) {
  if (const auto at = of_.find(uid); at != of_.end()) return at->second;
  const IdRange ids = {TRY(Pick().Context("create user namespace")), kIdsPerPod};
  // Before it is written: nobody else picks it meanwhile.
  taken_.insert(ids.first);
  const std::string folder = pods_directory_ + "/" + uid;
  const Ok written = [&]() -> Ok {
    TRY(runtime_.files().MakeDirectories(folder));
    return runtime_.files().WriteFileAtomic(folder + std::string(kFile), ToText(ids));
  }();
  if (!written.ok()) {
    taken_.erase(ids.first);
    return written.status().WithContext("create user namespace");
  }
  of_[uid] = ids;
  return ids;
}

Ok UserRanges::Release(const std::string& uid) {
  const auto at = of_.find(uid);
  if (at == of_.end()) return {};
  // First: whoever finds it takes it for the pod's.
  TRY(runtime_.files().Remove(fmt::format("{}/{}{}", pods_directory_, uid, kFile)));
  if (const auto released = of_.extract(uid)) taken_.erase(released.mapped().first);
  return {};
}

}  // namespace knarr::node
