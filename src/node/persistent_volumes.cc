#include "node/persistent_volumes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "api/node_selector.h"
#include "api/persistent_volumes.h"
#include "base/ip.h"
#include "base/strings.h"
#include "node/mount.h"
#include "rt/file_system.h"
#include "rt/owned_fd.h"
#include "rt/process.h"

namespace knarr::node {
namespace {

using api::core_v1::HostPathVolumeSource;
using api::core_v1::NFSVolumeSource;
using api::core_v1::PersistentVolume;
using api::core_v1::PersistentVolumeClaim;
using api::core_v1::Pod;
using api::core_v1::Volume;

constexpr std::string_view kProtection = "kubernetes.io/pvc-protection";
constexpr const char* kNfsHelper = "/sbin/mount.nfs";
constexpr std::string_view kNfsVersions[] = {"4.2", "4.1", "4.0", "3"};
constexpr uint32_t kTargetMode = 0750;

bool IsProtected(const api::Object& claim) {
  const auto items = claim.tree().Get("metadata", "finalizers").items();
  return std::ranges::any_of(items, [](const doc::Value& item) { return item.AsString() == kProtection; });
}

struct VolumeUse {
  bool mounted = false;  // in volumeMounts
  bool mapped = false;   // in volumeDevices
};

VolumeUse UseOf(Pod pod, std::string_view volume) {
  VolumeUse out;
  const auto look = [&](auto containers) {
    for (const auto container : containers) {
      for (const auto mount : container.volume_mounts()) out.mounted |= mount.name() == volume;
      for (const auto device : container.volume_devices()) out.mapped |= device.name() == volume;
    }
  };
  look(pod.spec().containers());
  look(pod.spec().init_containers());
  return out;
}

Result<api::ObjectPtr> FindVolume(client::Client& client, std::string_view name, std::string_view claim_uid) {
  Result<api::ObjectPtr> found = client.Get(api::core_v1::PersistentVolumeInfo(), {"", std::string(name)});
  if (!found.ok()) {
    return Status(found.status().reason(),
                  fmt::format("failed to fetch PV {} from API server: {}", name, found.status().message()));
  }
  const auto reference = PersistentVolume((*found)->tree()).spec().claim_ref();
  if (!reference) {
    return BadRequest(fmt::format(
        "found PV object {} but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim", name));
  }
  if (reference.uid() != claim_uid) {
    return BadRequest(
        fmt::format("found PV object {} but its pv.Spec.ClaimRef.UID {} does not point to claim.UID {}", name,
                    reference.uid(), claim_uid));
  }
  return found;
}

Result<api::ObjectPtr> FindClaim(client::Client& client, const client::ObjectName& name) {
  Result<api::ObjectPtr> found = client.Get(api::core_v1::PersistentVolumeClaimInfo(), name);
  if (!found.ok()) {
    return Status(found.status().reason(),
                  fmt::format("failed to fetch PVC from API server: {}", found.status().message()));
  }
  if ((*found)->deleting() && !IsProtected(**found)) return BadRequest("PVC is being deleted");
  const PersistentVolumeClaim claim((*found)->tree());
  if (claim.status().phase() != "Bound") return BadRequest("PVC is not bound");
  if (claim.spec().volume_name().empty()) return BadRequest("PVC has empty pvc.Spec.VolumeName");
  return found;
}

Ok CheckReachable(client::Client& client, PersistentVolume volume, const std::string& node_name) {
  if (!volume.spec().node_affinity().required()) return {};
  const api::ObjectPtr node = TRY(client.Get(api::core_v1::NodeInfo(), {"", node_name}));
  if (api::IsReachable(volume, {api::core_v1::Node(node->tree()).metadata().labels(), node_name})) return {};
  return BadRequest("no matching NodeSelectorTerms");
}

std::vector<std::string> OptionsOf(PersistentVolume volume, const VolumePlace& place) {
  std::vector<std::string> out;
  if (place.read_only) out.emplace_back("ro");
  for (const std::string_view option : volume.spec().mount_options()) out.emplace_back(option);
  return out;
}

/// The folder, bound to the target with options of its own.
Ok BindWith(rt::Runtime& runtime, const std::string& folder, const std::vector<std::string>& options,
            const std::string& target) {
  const MountOptions parsed = ParseMountOptions(options);
  if (!parsed.data.empty()) return BadRequest(fmt::format("mount options {} mean nothing for a folder", parsed.data));
  // One that is mounted may lack its options: we were ended between the two.
  const bool mounted = IsMounted(runtime, target);
  Ok result;
  runtime.Blocking([&] {
    if (!mounted && mount(folder.c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0) {
      result = FromErrno(errno, "bind " + folder);
      return;
    }
    if (mount(nullptr, target.c_str(), nullptr, MS_BIND | MS_REMOUNT | parsed.flags, nullptr) != 0) {
      result = FromErrno(errno, "mount options of " + folder);
    }
  });
  return result;
}

Ok MountDevice(rt::Runtime& runtime, const std::string& device, std::string_view type,
               const std::vector<std::string>& options, const std::string& target) {
  if (IsMounted(runtime, target)) return {};
  const MountOptions parsed = ParseMountOptions(options);
  const std::string name(type.empty() ? "ext4" : type);
  Ok result;
  runtime.Blocking([&] {
    if (mount(device.c_str(), target.c_str(), name.c_str(), parsed.flags, parsed.data.c_str()) == 0) return;
    const Status error = FromErrno(errno, "mount");
    result = Status(error.reason(), fmt::format("local: failed to mount device {} at {} (fstype: {}), error {}", device,
                                                target, name, error.message()));
  });
  return result;
}

Result<std::string> ShowLocal(rt::Runtime& runtime, PersistentVolume volume, const VolumePlace& place) {
  rt::FileSystem& files = runtime.files();
  const std::string path(volume.spec().local().path());
  const Result<rt::FileInfo> info = files.Stat(path);
  if (info.Failed(Reason::kNotFound)) return NotFound(fmt::format("path {} does not exist", GoQuote(path)));
  if (!info.ok()) return info.status();
  const std::vector<std::string> options = OptionsOf(volume, place);
  std::string shown = path;
  // Made when it has been given to the pod's group once: a restart of ours is none of the pod's.
  const bool first = !files.Exists(place.target);
  if (info->type == rt::FileType::kBlockDevice) {
    TRY(files.MakeDirectories(place.target, kTargetMode));
    TRY(MountDevice(runtime, path, volume.spec().local().fs_type().value_or(""), options, place.target));
    shown = place.target;
  } else if (info->type != rt::FileType::kDirectory) {
    return BadRequest("only directory and block device are supported");
  }
  if (place.group && first && !place.read_only) {
    TRY(GiveToGroup(runtime, shown, *place.group, !place.group_always));
  }
  TRY(files.MakeDirectories(place.target, kTargetMode));
  if (shown == path && !volume.spec().mount_options().empty()) {
    TRY(BindWith(runtime, path, options, place.target));
    shown = place.target;
  }
  return shown;
}

}  // namespace

Result<ClaimedVolume> FindClaimedVolume(client::Client& client, Pod pod, Volume volume) {
  const client::ObjectName name{std::string(pod.metadata().ns()), api::ClaimNameOf(pod, volume)};
  const std::string context = fmt::format("error processing PVC {}", name.ToString());
  ClaimedVolume out;
  out.claim = TRY(FindClaim(client, name).Context(context));
  const PersistentVolumeClaim claim(out.claim->tree());
  if (volume.ephemeral()) {
    const std::string why = api::WhyNotForPod(pod, claim);
    if (!why.empty()) return BadRequest(why);
  }
  out.volume = TRY(FindVolume(client, claim.spec().volume_name(), out.claim->uid()).Context(context));
  const std::string_view mode = PersistentVolume(out.volume->tree()).spec().volume_mode().value_or("Filesystem");
  const VolumeUse use = UseOf(pod, volume.name());
  if (use.mounted && mode != "Filesystem") {
    return BadRequest(
        fmt::format("volume {} has volumeMode {}, but is specified in volumeMounts", volume.name(), mode));
  }
  if (use.mapped && mode != "Block") {
    return BadRequest(
        fmt::format("volume {} has volumeMode {}, but is specified in volumeDevices", volume.name(), mode));
  }
  return out;
}

namespace {

/// The device itself is the volume: containers get a node of it.
Result<std::string> MapDevice(rt::Runtime& runtime, std::string_view path) {
  const Result<rt::FileInfo> info = runtime.files().Stat(std::string(path));
  if (info.Failed(Reason::kNotFound)) return NotFound(fmt::format("path {} does not exist", GoQuote(path)));
  if (!info.ok()) return info.status();
  if (info->type != rt::FileType::kBlockDevice) return BadRequest(fmt::format("{} is not a block device", path));
  return std::string(path);
}

Result<std::string> MapBlockVolume(rt::Runtime& runtime, client::Client& client, PersistentVolume volume,
                                   const VolumePlace& place) {
  const std::string suffix = fmt::format(" for volume {} ", GoQuote(volume.metadata().name()));
  if (!volume.spec().local()) {
    return BadRequest(
        "MapVolume.FindMapperPluginBySpec failed to find BlockVolumeMapper plugin. Volume plugin is nil." + suffix);
  }
  TRY(CheckReachable(client, volume, place.node_name).Context("MapVolume.NodeAffinity check failed" + suffix));
  return MapDevice(runtime, volume.spec().local().path()).Context("MapVolume.MapBlockVolume failed" + suffix);
}

}  // namespace

Result<std::string> ShowPersistentVolume(rt::Runtime& runtime, client::Client& client, PersistentVolume volume,
                                         const VolumePlace& place) {
  if (volume.spec().volume_mode().value_or("Filesystem") == "Block") {
    return MapBlockVolume(runtime, client, volume, place);
  }
  const std::string suffix = fmt::format(" for volume {} ", GoQuote(volume.metadata().name()));
  TRY(CheckReachable(client, volume, place.node_name).Context("MountVolume.NodeAffinity check failed" + suffix));
  const auto show = [&]() -> Result<std::string> {
    const auto spec = volume.spec();
    if (spec.local()) return ShowLocal(runtime, volume, place);
    if (spec.host_path()) return ShowHostPath(runtime, spec.host_path());
    if (spec.nfs()) {
      TRY(MountNfs(runtime, spec.nfs(), OptionsOf(volume, place), place));
      return place.target;
    }
    return BadRequest("no volume plugin matched: this node knows only local, hostPath and nfs volumes");
  };
  return show().Context("MountVolume.SetUp failed" + suffix);
}

Result<std::string> ShowHostPath(rt::Runtime& runtime, HostPathVolumeSource source) {
  rt::FileSystem& files = runtime.files();
  std::string path(source.path());
  const std::string_view type = source.type().value_or("");
  Result<rt::FileInfo> info = files.Stat(path);
  if (!info.ok() && (type == "DirectoryOrCreate" || type.empty())) {
    // Without a type as Docker and containerd do for a bind mount whose source is missing.
    TRY(files.MakeDirectories(path));
    return path;
  }
  if (!info.ok() && type == "FileOrCreate") {
    TRY(files.Open(path, rt::OpenMode::kCreate, 0644));
    return path;
  }
  struct Check {
    std::string_view type;
    rt::FileType wanted;
    std::string_view text;
  };
  constexpr Check kChecks[] = {{"DirectoryOrCreate", rt::FileType::kDirectory, "directory"},
                               {"Directory", rt::FileType::kDirectory, "directory"},
                               {"FileOrCreate", rt::FileType::kFile, "file"},
                               {"File", rt::FileType::kFile, "file"},
                               {"Socket", rt::FileType::kSocket, "socket file"},
                               {"CharDevice", rt::FileType::kCharDevice, "character device"},
                               {"BlockDevice", rt::FileType::kBlockDevice, "block device"}};
  if (type.empty()) return path;
  for (const Check& check : kChecks) {
    if (check.type != type) continue;
    if (info.ok() && info->type == check.wanted) return path;
    return BadRequest(fmt::format("hostPath type check failed: {} is not a {}", path, check.text));
  }
  return BadRequest(fmt::format("{} is an invalid volume type", type));
}

MountOptions ParseMountOptions(const std::vector<std::string>& options) {
  struct Known {
    std::string_view name;
    uint64_t flag;
    bool clears = false;
  };
  static constexpr Known kKnown[] = {
      {"defaults", 0},           {"ro", MS_RDONLY},         {"rw", MS_RDONLY, true},   {"nosuid", MS_NOSUID},
      {"suid", MS_NOSUID, true}, {"nodev", MS_NODEV},       {"dev", MS_NODEV, true},   {"noexec", MS_NOEXEC},
      {"exec", MS_NOEXEC, true}, {"sync", MS_SYNCHRONOUS},  {"async", MS_SYNCHRONOUS, true},
      {"dirsync", MS_DIRSYNC},   {"noatime", MS_NOATIME},   {"atime", MS_NOATIME, true},
      {"nodiratime", MS_NODIRATIME}, {"relatime", MS_RELATIME}, {"strictatime", MS_STRICTATIME}, {"bind", 0}};
  MountOptions out;
  for (const std::string& text : options) {
    for (const std::string_view option : Split(text, ',')) {
      const auto known = std::ranges::find(kKnown, option, &Known::name);
      if (known == std::end(kKnown)) {
        if (!option.empty()) out.data += fmt::format("{}{}", out.data.empty() ? "" : ",", option);
      } else if (known->clears) {
        out.flags &= ~known->flag;
      } else {
        out.flags |= known->flag;
      }
    }
  }
  return out;
}

namespace {

/// As `mount -t nfs` would say that it failed.
Status NfsFailed(const std::string& arguments, std::string_view output) {
  return BadRequest(fmt::format(
      "mount failed: exit status 32\nMounting command: mount\nMounting arguments: {}\nOutput: {}", arguments, output));
}

/// Without the program of the NFS tools: the kernel takes addresses only, and one version at a time.
Ok MountNfsByKernel(rt::Runtime& runtime, const std::string& source, const std::string& address,
                    const MountOptions& options, const std::string& target) {
  const bool has_version = options.data.starts_with("vers=") || options.data.starts_with("nfsvers=") ||
                           options.data.contains(",vers=") || options.data.contains(",nfsvers=");
  Ok result;
  runtime.Blocking([&] {
    for (const std::string_view version : kNfsVersions) {
      std::string data = fmt::format("addr={}", address);
      if (!options.data.empty()) data += "," + options.data;
      if (!has_version) data += fmt::format(",vers={}", version);
      if (mount(source.c_str(), target.c_str(), "nfs", options.flags, data.c_str()) == 0) {
        result = {};
        return;
      }
      const int error = errno;
      result = FromErrno(error, "mount.nfs");
      if (has_version || (error != EPROTONOSUPPORT && error != EINVAL && error != EPROTO)) return;
    }
  });
  return result;
}

}  // namespace

Ok MountNfs(rt::Runtime& runtime, NFSVolumeSource source, const std::vector<std::string>& options,
            const VolumePlace& place) {
  if (IsMounted(runtime, place.target)) return {};
  TRY(runtime.files().MakeDirectories(place.target, kTargetMode));
  std::vector<std::string> all = options;
  if (source.read_only() && std::ranges::find(all, "ro") == all.end()) all.insert(all.begin(), "ro");
  std::string server(source.server());
  // An IPv6 address stands in brackets.
  const auto address = IpAddress::Parse(server);
  if (server.contains(':') && !server.starts_with('[')) server = fmt::format("[{}]", server);
  const std::string from = fmt::format("{}:{}", server, source.path());
  const std::string joined = fmt::format("{}", fmt::join(all, ","));
  const std::string arguments =
      fmt::format("-t nfs {}{}{} {}", all.empty() ? "" : "-o ", joined + (all.empty() ? "" : " "), from, place.target);
  if (runtime.files().Exists(kNfsHelper)) {
    rt::ProcessSpec spec{.argv = {kNfsHelper, from, place.target}};
    if (!all.empty()) spec.argv.insert(spec.argv.end(), {"-o", joined});
    const rt::Output output = TRY(runtime.processes().Run(spec));
    return output.status.ok() ? Ok() : Ok(NfsFailed(arguments, output.err + output.out));
  }
  if (!address.ok()) {
    return NfsFailed(arguments, fmt::format("{} is not installed, and without it a server must be named by its address",
                                            kNfsHelper));
  }
  std::optional<rt::Mutex::Guard> turn;
  if (place.asking != nullptr) turn.emplace(TRY(place.asking->Lock()));
  const Ok mounted =
      MountNfsByKernel(runtime, from, address->ToString(), ParseMountOptions(all), place.target);
  return mounted.ok() ? Ok() : Ok(NfsFailed(arguments, mounted.status().message()));
}

}  // namespace knarr::node
