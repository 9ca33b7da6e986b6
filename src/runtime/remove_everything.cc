#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "rt/file_system.h"
#include "runtime/engine_impl.h"
#include "runtime/kernel.h"

namespace knarr::runtime {

namespace {

constexpr Duration kTimeout = 10s;
constexpr Duration kRetry = 5ms;

// What the records know of: control groups, and the shims of this boot.
struct Known {
  std::vector<std::string> groups;
  std::vector<ShimPids> shims;
};

Known ReadRecords(const EngineOptions& options) {
  Known out{{options.cgroup_root}, {}};
  const std::string boot_id = kernel::BootId();
  for (const std::string& id : kernel::List(SandboxesDirectory(options))) {
    const std::string directory = SandboxesDirectory(options) + "/" + id;
    const auto text = kernel::ReadFile(directory + "/sandbox.json");
    const auto record = text.ok() ? ParseSandboxRecord(*text) : Result<SandboxRecord>(text.status());
    if (record.ok()) out.groups.push_back(record->spec.cgroup_parent);
    const auto numbers = kernel::ReadFile(directory + "/shim.pid");
    const auto pids = numbers.ok() ? ParseShimPids(*numbers) : Result<ShimPids>(numbers.status());
    if (pids.ok() && record.ok() && record->boot_id == boot_id) out.shims.push_back(*pids);
  }
  return out;
}

// Kills and removes until nothing is left of the groups.
Ok RemoveGroups(rt::Runtime& runtime, const Cgroups& cgroups, const std::vector<std::string>& groups) {
  const MonoTime until = runtime.Mono() + kTimeout;
  for (const std::string& group : groups) {
    if (group.size() < 2) continue;
    for (;;) {
      Ok removed;
      runtime.Blocking([&] {
        if (!cgroups.Empty(group)) cgroups.KillAll(group);
        removed = cgroups.Remove(group);
      });
      if (removed.ok()) break;
      if (runtime.Mono() > until) return removed;
      TRY(runtime.Sleep(kRetry));
    }
  }
  return {};
}

// The deepest first.
Ok UnmountBelow(const std::string& directory) {
  auto mounts = kernel::Mounts();
  std::ranges::reverse(mounts);
  for (const kernel::MountPoint& mount : mounts) {
    if (mount.path.starts_with(directory + "/")) TRY(kernel::Unmount(mount.path));
  }
  return {};
}

// Takes back the v1 hierarchies we mounted, unless somebody else has come to use one.
Ok UnmountControllers(const EngineOptions& options) {
  const auto text = kernel::ReadFile(CgroupMountsFile(options));
  for (const std::string_view line : Lines(text.ok() ? std::string_view(*text) : std::string_view())) {
    const std::string path(line);
    const auto inside = kernel::List(path);
    const bool used =
        std::ranges::any_of(inside, [&](const auto& name) { return kernel::IsDirectory(path + "/" + name); });
    if (used) {
      LOG_INFO("left mounted: others have groups in it", {"hierarchy", path});
      continue;
    }
    TRY(kernel::Unmount(path));
    TRY(kernel::RemoveDirectory(path));
  }
  return {};
}

}  // namespace

Ok RemoveEverything(rt::Runtime& runtime, const EngineOptions& options) {
  if (options.state_directory.size() < 2 || options.cgroup_root.size() < 2) {
    return BadRequest("remove the container engine: no state directory or control group root");
  }
  const rt::Shield shield(runtime);
  Known known;
  Result<Cgroups> cgroups = Unavailable("");
  runtime.Blocking([&] {
    known = ReadRecords(options);
    cgroups = Cgroups::Detect();
  });
  // The containers first: so their shims, which are their parents, still reap them.
  if (cgroups.ok()) TRY(RemoveGroups(runtime, *cgroups, known.groups).Context("remove the container engine"));
  runtime.Blocking([&] {
    for (const ShimPids& pids : known.shims) {
      kernel::Kill(pids.shim, pids.shim_start);
      kernel::Kill(pids.infra, pids.infra_start);
    }
  });
  Ok unmounted;
  runtime.Blocking([&] {
    unmounted = UnmountBelow(kernel::RealPath(options.state_directory));
    if (unmounted.ok()) unmounted = UnmountControllers(options);
  });
  TRY(unmounted);
  return runtime.files().RemoveAll(options.state_directory);
}

}  // namespace knarr::runtime
