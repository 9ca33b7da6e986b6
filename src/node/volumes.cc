#include "node/volumes.h"

#include <fmt/format.h>

#include "base/quantity.h"
#include "base/strings.h"
#include "node/huge_pages.h"
#include "node/mount.h"
#include "node/persistent_volumes.h"
#include "node/projected.h"
#include "rt/file_system.h"

namespace knarr::node {
namespace {

using api::core_v1::ConfigMap;
using api::core_v1::ConfigMapVolumeSource;
using api::core_v1::KeyToPath;
using api::core_v1::Pod;
using api::core_v1::Secret;
using api::core_v1::SecretVolumeSource;
using api::core_v1::Volume;

constexpr uint32_t kDefaultMode = 0644;
constexpr uint32_t kGroupReads = 0440;
constexpr std::string_view kDataLink = "..data";
constexpr std::string_view kImages = "volumes/image";
constexpr std::string_view kImageId = ".id";  // volumes have no dots in their names

/// All files of `content`, or those that items pick, under their paths.
Result<VolumeFiles> PickFiles(const std::map<std::string, std::string>& content, api::ListView<KeyToPath> items,
                              uint32_t default_mode, bool optional, std::string_view what) {
  VolumeFiles files;
  if (items.empty()) {
    for (const auto& [key, bytes] : content) files[key] = {bytes, default_mode};
    return files;
  }
  for (KeyToPath item : items) {
    auto at = content.find(std::string(item.key()));
    if (at == content.end()) {
      if (optional) continue;
      return NotFound(fmt::format("{} references non-existent key: {}", what, item.key()));
    }
    files[std::string(item.path())] = {at->second, static_cast<uint32_t>(item.mode().value_or(default_mode))};
  }
  return files;
}

/// The object; nullptr when it is missing and optional.
Result<api::ObjectPtr> GetSource(client::Client& client, const api::KindInfo& kind, std::string_view ns,
                                 std::string_view name, bool optional) {
  Result<api::ObjectPtr> got = client.Get(kind, {std::string(ns), std::string(name)});
  if (got.ok() || !got.Failed(Reason::kNotFound)) return got;
  if (optional) return api::ObjectPtr();
  return NotFound(fmt::format("{} \"{}\" not found", kind.singular, name));
}

/// A relative path that stays inside: no "..", not absolute. The API server checks it, too.
Ok CheckRelative(std::string_view path) {
  if (path.empty() || path.front() == '/') return BadRequest(fmt::format("invalid path {}", GoQuote(path)));
  for (std::string_view part : Split(path, '/')) {
    if (part == ".." || part.empty()) return BadRequest(fmt::format("invalid path {}", GoQuote(path)));
  }
  return {};
}

/// How many files lie in the folder and below.
Result<size_t> CountFiles(rt::FileSystem& files, const std::string& directory) {
  size_t count = 0;
  for (const rt::DirectoryEntry& entry : TRY(files.List(directory))) {
    count += entry.type == rt::FileType::kDirectory ? TRY(CountFiles(files, directory + "/" + entry.name)) : 1;
  }
  return count;
}

/// Whether ..data shows exactly these files with these modes.
bool Shows(rt::FileSystem& files, const std::string& directory, const VolumeFiles& wanted) {
  const std::string data = directory + "/" + std::string(kDataLink);
  for (const auto& [path, file] : wanted) {
    Result<rt::FileInfo> info = files.Stat(data + "/" + path);
    if (!info.ok() || info->mode != file.mode || info->gid != file.group.value_or(info->gid)) return false;
    if (info->size != static_cast<int64_t>(file.content.size())) return false;
    Result<std::string> content = files.ReadFile(data + "/" + path);
    if (!content.ok() || *content != file.content) return false;
  }
  const Result<size_t> there = CountFiles(files, data);
  return there.ok() && *there == wanted.size();
}

/// Links in the volume's root, one for each first part of a path; removes those of files that are gone.
Ok LinkRoots(rt::FileSystem& files, const std::string& directory, const VolumeFiles& wanted, const std::string& keep) {
  std::map<std::string, bool> roots;
  for (const auto& [path, file] : wanted) roots[path.substr(0, path.find('/'))] = true;
  for (const rt::DirectoryEntry& entry : TRY(files.List(directory))) {
    if (entry.name == kDataLink || entry.name == keep) continue;
    if (roots.erase(entry.name) > 0) continue;
    TRY(files.RemoveAll(directory + "/" + entry.name));
  }
  for (const auto& [name, unused] : roots) {
    TRY(files.Symlink(std::string(kDataLink) + "/" + name, directory + "/" + name));
  }
  return {};
}

}  // namespace

Result<VolumeFiles> ConfigMapFiles(client::Client& client, std::string_view ns, ConfigMapVolumeSource source) {
  const bool optional = source.optional().value_or(false);
  api::ObjectPtr object = TRY(GetSource(client, api::core_v1::ConfigMapInfo(), ns, source.name(), optional));
  std::map<std::string, std::string> content;
  if (object != nullptr) {
    ConfigMap config(object->tree());
    for (auto [key, value] : config.data()) content[std::string(key)] = std::string(value);
    for (auto [key, value] : config.binary_data()) content[std::string(key)] = TRY(Base64Decode(value));
  }
  const auto mode = static_cast<uint32_t>(source.default_mode().value_or(kDefaultMode));
  return PickFiles(content, source.items(), mode, optional, "configmap");
}

Result<VolumeFiles> SecretFiles(client::Client& client, std::string_view ns, SecretVolumeSource source) {
  const bool optional = source.optional().value_or(false);
  api::ObjectPtr object = TRY(GetSource(client, api::core_v1::SecretInfo(), ns, source.secret_name(), optional));
  std::map<std::string, std::string> content;
  if (object != nullptr) {
    for (auto [key, value] : Secret(object->tree()).data()) content[std::string(key)] = TRY(Base64Decode(value));
  }
  const auto mode = static_cast<uint32_t>(source.default_mode().value_or(kDefaultMode));
  return PickFiles(content, source.items(), mode, optional, "secret");
}

Ok WriteVolumeFiles(rt::Runtime& runtime, const std::string& directory, const VolumeFiles& wanted) {
  rt::FileSystem& files = runtime.files();
  for (const auto& [path, file] : wanted) TRY(CheckRelative(path));
  TRY(files.MakeDirectories(directory));
  if (Shows(files, directory, wanted)) {
    // Who wrote them may have been killed before the links to them were there.
    const std::string shown = TRY(files.ReadLink(directory + "/" + std::string(kDataLink)));
    return LinkRoots(files, directory, wanted, shown);
  }
  const std::string fresh = fmt::format("..{}.{}", FormatNanoTime(runtime.Wall()), runtime.Random() % 1000000000);
  for (const auto& [path, file] : wanted) {
    const std::string full = directory + "/" + fresh + "/" + path;
    TRY(files.MakeDirectories(full.substr(0, full.rfind('/'))));
    TRY(files.WriteFile(full, file.content, file.mode));
    // The umask must not take bits away that the volume asks for.
    TRY(files.Chmod(full, file.mode));
    if (file.group) {
      const rt::FileInfo info = TRY(files.Stat(full));
      TRY(files.Chown(full, info.uid, *file.group));
      TRY(files.Chmod(full, file.mode));  // changing the owner takes bits away
    }
  }
  TRY(files.MakeDirectories(directory + "/" + fresh));
  const std::string link = directory + "/..data_tmp";
  TRY(files.Remove(link));
  TRY(files.Symlink(fresh, link));
  TRY(files.Rename(link, directory + "/" + std::string(kDataLink)));
  return LinkRoots(files, directory, wanted, fresh);
}

namespace {

/// Whom the pod's own volumes belong to besides root.
std::optional<uint32_t> GroupOf(Pod pod) {
  const auto group = pod.spec().security_context().fs_group();
  return group ? std::optional(static_cast<uint32_t>(*group)) : std::nullopt;
}

bool IsClaim(Volume volume) { return volume.persistent_volume_claim() || volume.ephemeral(); }

/// The folder of a volume whose files are made from objects; "" for others.
std::string_view FileFolder(Volume volume) {
  if (volume.config_map()) return "configmap";
  if (volume.secret()) return "secret";
  if (volume.projected()) return "projected";
  return volume.downward_api() ? "downward-api" : "";
}

}  // namespace

PodVolumes::PodVolumes(rt::Runtime& runtime, client::Client& client, std::string directory, PodFacts facts,
                       rt::Mutex* asking)
    : runtime_(runtime),
      client_(client),
      directory_(std::move(directory)),
      facts_(std::move(facts)),
      asking_(asking),
      tokens_(std::make_unique<PodTokens>(runtime, client)),
      busy_(runtime) {}
PodVolumes::~PodVolumes() = default;

std::optional<WallTime> PodVolumes::refresh_at() const { return tokens_->renew_at(); }

Ok PodVolumes::SetUp(Pod pod) {
  const auto turn = TRY(busy_.Lock());
  for (Volume volume : pod.spec().volumes()) {
    Ok done = SetUpOne(pod, volume);
    if (!done.ok() && IsClaim(volume)) return done;
    if (!done.ok()) {
      return done.status().WithContext(fmt::format("MountVolume.SetUp failed for volume \"{}\" ", volume.name()));
    }
  }
  set_up_ = true;
  return {};
}

Ok PodVolumes::SetUpOne(Pod pod, Volume volume) {
  std::string path;
  if (volume.empty_dir()) {
    path = TRY(SetUpEmptyDir(pod, volume));
  } else if (volume.host_path()) {
    path = TRY(ShowHostPath(runtime_, volume.host_path()));
  } else if (IsClaim(volume)) {
    path = TRY(SetUpClaim(pod, volume));
  } else if (volume.nfs()) {
    const VolumePlace place = PlaceOf(pod, volume, volume.nfs().read_only());
    TRY(MountNfs(runtime_, volume.nfs(), {}, place));
    if (place.read_only) read_only_.emplace(volume.name());
    path = place.target;
  } else if (!FileFolder(volume).empty()) {
    path = TRY(SetUpFiles(pod, volume));
    read_only_.emplace(volume.name());
  } else if (volume.image()) {
    read_only_.emplace(volume.name());
    return {};  // what it shows is not known before it is pulled
  } else {
    return BadRequest(
        "this node knows only emptyDir, hostPath, configMap, secret, downwardAPI, projected, image, nfs, ephemeral and "
        "persistentVolumeClaim volumes");
  }
  paths_[std::string(volume.name())] = std::move(path);
  return {};
}

Result<std::set<std::string>> ImagesShownIn(rt::Runtime& runtime, const std::string& directory) {
  std::set<std::string> out;
  const std::string folder = directory + "/" + std::string(kImages);
  const auto entries = runtime.files().List(folder);
  if (entries.Failed(Reason::kNotFound)) return out;
  if (!entries.ok()) return entries.status();
  for (const auto& entry : *entries) {
    if (!entry.name.ends_with(kImageId)) continue;
    Result<std::string> id = runtime.files().ReadFile(folder + "/" + entry.name);
    if (id.Failed(Reason::kNotFound)) continue;  // torn down meanwhile
    out.insert(TRY(std::move(id)));
  }
  return out;
}

Ok PodVolumes::SetUpImage(std::string_view volume, const image::Image& image, int user_namespace_of) {
  std::string path = fmt::format("{}/{}/{}", directory_, kImages, volume);
  TRY(runtime_.files().MakeDirectories(path));
  // One that is mounted stays, whatever its name means by now.
  if (!IsMounted(runtime_, path)) {
    TRY(runtime_.files().WriteFile(path + std::string(kImageId), image.id));
    TRY(MountImage(runtime_, image.layer_directories, path, user_namespace_of));
  }
  // An overlay can't be mapped itself, as other volumes are.
  if (user_namespace_of != 0) mapped_.emplace(volume);
  paths_.insert_or_assign(std::string(volume), std::move(path));
  return {};
}

Result<std::string> PodVolumes::SetUpEmptyDir(Pod pod, Volume volume) {
  std::string path = fmt::format("{}/volumes/empty-dir/{}", directory_, volume.name());
  if (paths_.contains(volume.name())) return path;
  TRY(runtime_.files().MakeDirectories(path, 0777));
  TRY(runtime_.files().Chmod(path, 0777));
  if (volume.empty_dir().medium() == "Memory") {
    int64_t limit = 0;
    if (!volume.empty_dir().size_limit().value_or("").empty()) {
      limit = TRY(Quantity::Parse(volume.empty_dir().size_limit().value_or(""))).Value();
    }
    TRY(MountTmpfs(runtime_, path, limit));
  }
  if (const auto page = TRY(HugePageMedium(pod, volume.empty_dir()))) TRY(MountHugePages(runtime_, path, *page));
  // One that is older than this process is the group's already, whatever has been put there since.
  if (const auto group = GroupOf(pod)) TRY(GiveToGroup(runtime_, path, *group, true));
  return path;
}

/// Its errors say all there is to say: of which volume, too.
Result<std::string> PodVolumes::SetUpClaim(Pod pod, Volume volume) {
  const Result<ClaimedVolume> found = FindClaimedVolume(client_, pod, volume);
  if (!found.ok()) {
    return Status(found.status().reason(),
                  fmt::format("Unable to attach or mount volumes: unmounted volumes=[{0}], unattached volumes=[], "
                              "failed to process volumes=[{0}]: {1}",
                              volume.name(), found.status().message()));
  }
  const VolumePlace place = PlaceOf(pod, volume, volume.persistent_volume_claim().read_only());
  if (place.read_only) read_only_.emplace(volume.name());
  return ShowPersistentVolume(runtime_, client_, api::core_v1::PersistentVolume(found->volume->tree()), place);
}

VolumePlace PodVolumes::PlaceOf(Pod pod, Volume volume, bool read_only) const {
  const auto policy = pod.spec().security_context().fs_group_change_policy().value_or("Always");
  return {.target = fmt::format("{}/volumes/persistent/{}", directory_, volume.name()),
          .node_name = facts_.node_name,
          .group = GroupOf(pod),
          .group_always = policy != "OnRootMismatch",
          .read_only = read_only,
          .asking = asking_};
}

Result<VolumeFiles> PodVolumes::FilesOf(Pod pod, Volume volume) {
  if (volume.config_map()) return ConfigMapFiles(client_, pod.metadata().ns(), volume.config_map());
  if (volume.secret()) return SecretFiles(client_, pod.metadata().ns(), volume.secret());
  if (volume.downward_api()) return DownwardFiles(pod, volume.downward_api(), facts_);
  return ProjectedFiles(client_, pod, volume.projected(), facts_, *tokens_);
}

Result<std::string> PodVolumes::SetUpFiles(Pod pod, Volume volume) {
  VolumeFiles files = TRY(FilesOf(pod, volume));
  for (auto& [name, file] : files) {
    file.group = GroupOf(pod);
    if (file.group) file.mode |= kGroupReads;
  }
  std::string path = fmt::format("{}/volumes/{}/{}", directory_, FileFolder(volume), volume.name());
  if ((volume.secret() || volume.projected()) && !paths_.contains(volume.name())) {
    // Secrets and tokens never touch the disk.
    TRY(runtime_.files().MakeDirectories(path));
    TRY(MountTmpfs(runtime_, path, 0));
  }
  TRY(WriteVolumeFiles(runtime_, path, files));
  return path;
}

Ok PodVolumes::Refresh(Pod pod) {
  const auto turn = TRY(busy_.Lock());
  for (Volume volume : pod.spec().volumes()) {
    if (!FileFolder(volume).empty() && paths_.contains(volume.name())) TRY(SetUpFiles(pod, volume));
  }
  return {};
}

Result<std::string> PodVolumes::PathOf(std::string_view volume) const {
  auto at = paths_.find(volume);
  if (at == paths_.end()) return NotFound(fmt::format("volume \"{}\" is not mounted", volume));
  return at->second;
}

Ok PodVolumes::TearDown() {
  const auto turn = TRY(busy_.Lock());
  TRY(UnmountBelow(runtime_, directory_ + "/volume-subpaths"));
  TRY(runtime_.files().RemoveAll(directory_ + "/volume-subpaths"));
  TRY(UnmountBelow(runtime_, directory_ + "/volumes"));
  paths_.clear();
  read_only_.clear();
  mapped_.clear();
  tokens_->Clear();
  set_up_ = false;
  return runtime_.files().RemoveAll(directory_ + "/volumes");
}

}  // namespace knarr::node
