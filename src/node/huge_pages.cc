#include "node/huge_pages.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include <cerrno>
#include <set>

#include "base/quantity.h"
#include "base/strings.h"
#include "rt/file_system.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;

constexpr std::string_view kPrefix = "hugepages-";
constexpr std::string_view kMedium = "HugePages";
constexpr const char* kSizesFolder = "/sys/kernel/mm/hugepages";

/// The size that a pod's containers ask for; an error when there is none, or more than one.
Result<int64_t> SizeAskedFor(Pod pod, std::string_view medium, int64_t wanted) {
  std::set<int64_t> sizes;
  const auto add = [&](const doc::Value& resources) {
    for (const doc::Member& member : resources.At("requests").members()) {
      if (const auto size = HugePageSize(member.key)) sizes.insert(*size);
    }
  };
  const doc::Value& spec = pod.tree().At("spec");
  add(spec.At("resources"));
  for (const std::string_view list : {"initContainers", "containers"}) {
    for (const doc::Value& container : spec.At(list).items()) add(container.At("resources"));
  }
  if (wanted == 0 && sizes.size() > 1) {
    return BadRequest(fmt::format("medium: {} can't be used if container requests multiple huge page sizes", medium));
  }
  if (sizes.empty() || (wanted != 0 && !sizes.contains(wanted))) {
    return BadRequest(
        fmt::format("medium {}: hugePages storage requested, but there is no resource request for huge "
                    "pages",
                    medium));
  }
  return wanted != 0 ? wanted : *sizes.begin();
}

}  // namespace

std::optional<int64_t> HugePageSize(std::string_view resource) {
  if (!ConsumePrefix(resource, kPrefix)) return std::nullopt;
  const auto size = Quantity::Parse(resource);
  return size.ok() && size->Sign() > 0 ? std::optional(size->Value()) : std::nullopt;
}

std::string HugePageResource(int64_t page) {
  return std::string(kPrefix) + Quantity(page, QuantityFormat::kBinarySi).ToString();
}

std::string HugePageName(int64_t page) {
  static constexpr std::string_view kUnits[] = {"B", "KB", "MB", "GB", "TB"};
  size_t unit = 0;
  while (page >= 1024 && page % 1024 == 0 && unit + 1 < std::size(kUnits)) {
    page /= 1024;
    ++unit;
  }
  return fmt::format("{}{}", page, kUnits[unit]);
}

api::ResourceList ReadHugePages(rt::Runtime& runtime) {
  api::ResourceList out;
  const auto entries = runtime.files().List(kSizesFolder);
  if (!entries.ok()) return out;  // a kernel without them
  for (const rt::DirectoryEntry& entry : *entries) {
    // hugepages-2048kB
    std::string_view name = entry.name;
    if (!ConsumePrefix(name, kPrefix) || !name.ends_with("kB")) continue;
    name.remove_suffix(2);
    const auto kib = ParseInt64(name);
    const auto text = runtime.files().ReadFile(fmt::format("{}/{}/nr_hugepages", kSizesFolder, entry.name));
    const auto count = text.ok() ? ParseInt64(TrimSpace(*text)) : Result<int64_t>(text.status());
    if (!kib.ok() || *kib <= 0 || *kib > (int64_t{1} << 40) || !count.ok() || *count < 0) continue;
    Quantity amount(*kib << 10, QuantityFormat::kBinarySi);
    amount *= *count;
    out.insert_or_assign(HugePageResource(*kib << 10), amount);
  }
  return out;
}

std::map<std::string, int64_t> HugePageLimits(const api::ResourceList& asked, const api::ResourceList& sizes) {
  std::map<std::string, int64_t> out;
  for (const auto& [resource, there] : sizes) {
    const auto size = HugePageSize(resource);
    if (!size) continue;
    const auto at = asked.find(resource);
    out[HugePageName(*size)] = at == asked.end() ? 0 : at->second.Value();
  }
  return out;
}

Result<std::optional<int64_t>> HugePageMedium(Pod pod, api::core_v1::EmptyDirVolumeSource volume) {
  const std::string_view medium = volume.medium();
  std::string_view rest = medium;
  if (!ConsumePrefix(rest, kMedium)) return std::optional<int64_t>();
  int64_t wanted = 0;
  if (ConsumePrefix(rest, "-")) {
    const auto size = Quantity::Parse(rest);
    if (!size.ok() || size->Sign() <= 0) return BadRequest(fmt::format("medium {}: no size of pages", medium));
    wanted = size->Value();
  } else if (!rest.empty()) {
    return std::optional<int64_t>();
  }
  return std::optional(TRY(SizeAskedFor(pod, medium, wanted)));
}

Ok MountHugePages(rt::Runtime& runtime, const std::string& path, int64_t page) {
  Ok result;
  runtime.Blocking([&] {
    struct statfs info;
    if (statfs(path.c_str(), &info) == 0 && info.f_type == HUGETLBFS_MAGIC) return;
    const std::string options = fmt::format("mode=0777,pagesize={}", page);
    if (mount("nodev", path.c_str(), "hugetlbfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
      result = FromErrno(errno, "mount huge pages at " + path);
    }
  });
  return result;
}

}  // namespace knarr::node
