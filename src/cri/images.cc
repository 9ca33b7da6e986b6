#include "cri/images.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "cri/messages.h"
#include "doc/json.h"
#include "image/manifest.h"

namespace knarr::cri {
namespace {

// A pull has no limit of its own; the runtime ends one that makes no progress.
constexpr Duration kPullTimeout = 24h;
constexpr const char* kService = "/runtime.v1.ImageService/";
constexpr const char* kSnapshots = "/containerd.services.snapshots.v1.Snapshots/";
constexpr const char* kSnapshotter = "overlayfs";
constexpr const char* kNotOverCri = "a container runtime's images are loaded and tagged with its own tools";

image::Image ToImage(const Image& from) {
  image::Image out;
  out.id = from.id;
  out.names = from.repo_tags;
  out.repo_digests = from.repo_digests;
  out.config.user = from.uid ? std::to_string(*from.uid) : from.username;
  out.size = static_cast<int64_t>(from.size);
  out.architecture = image::HostArchitecture();
  out.os = "linux";
  return out;
}

/// The folders of a mount that shows them, the lowest first: what containerd's overlayfs has several of is an overlay,
/// and a single one is shown as it is. BadRequest for another kind of mount.
Result<std::vector<std::string>> FoldersOf(const ViewSnapshotResponse& view) {
  if (view.mounts.size() != 1) return BadRequest("want one mount");
  const SnapshotMount& mount = view.mounts.front();
  if (mount.type == "bind" && mount.source.starts_with('/')) return std::vector<std::string>{mount.source};
  for (std::string_view option : mount.options) {
    if (mount.type != "overlay" || !ConsumePrefix(option, "lowerdir=")) continue;
    std::vector<std::string> out;
    for (const std::string_view folder : Split(option, ':')) out.emplace_back(folder);
    std::ranges::reverse(out);
    return out;
  }
  return BadRequest("a mount of type " + GoQuote(mount.type) + " has no folders");
}

class Images : public image::Store {
 public:
  explicit Images(Channel& channel) : channel_(channel) {}

  Result<image::Image> Get(std::string_view name) override {
    const ImageStatusRequest request{.image = {.image = std::string(name)}};
    const auto answer = TRY(Ask<ImageStatusResponse>("ImageStatus", request));
    if (!answer.image) return NotFound("No such image: " + std::string(name));
    return ToImage(*answer.image);
  }

  Result<std::vector<image::Image>> List() override {
    std::vector<image::Image> out;
    for (const Image& one : TRY(Ask<ListImagesResponse>("ListImages", Empty())).images) out.push_back(ToImage(one));
    return out;
  }

  Result<image::Image> Pull(const image::Reference& reference, const image::PullOptions& options) override {
    PullImageRequest request{.image = {.image = reference.Canonical()}};
    if (!options.username.empty()) request.auth = AuthConfig{options.username, options.password};
    return Get(TRY(Ask<PullImageResponse>("PullImage", request, kPullTimeout)).image_ref);
  }

  Result<std::vector<std::string>> Load(const std::string&, const image::LoadOptions&) override { return Refused(); }
  Ok Tag(std::string_view, const image::Reference&) override { return Refused(); }

  /// The runtime takes all names of an image at once; further ones are gone by then.
  Ok Remove(std::string_view name, const std::function<bool(const std::string& id)>& in_use) override {
    const Result<image::Image> found = Get(name);
    if (found.Failed(Reason::kNotFound)) return {};
    if (!found.ok()) return found.status();
    if (in_use(found->id)) return Conflict("image " + found->id + " is in use by a container");
    TRY(Ask<Empty>("RemoveImage", RemoveImageRequest{.image = {.image = found->id}}));
    return {};
  }

  /// CRI has no call for that; containerd's own API has, on the same socket. What is looked at there is given back at
  /// once: the folders are the image's.
  Result<std::vector<std::string>> Layers(const image::Image& image) override {
    const ImageStatusRequest request{.image = {.image = image.id}, .verbose = true};
    const auto status = TRY(Ask<ImageStatusResponse>("ImageStatus", request));
    const auto info = status.info.find("info");
    if (info == status.info.end()) return Refusal("the container runtime does not say where an image's files lie");
    const doc::Document told = TRY(doc::ParseJson(info->second).Context("the container runtime's image"));
    const std::string chain(told.root.At("chainID").AsString());
    const std::string key = "knarr-look-" + std::to_string(looks_++) + "-" + chain;
    const auto view = cri::Ask<ViewSnapshotResponse>(channel_, std::string(kSnapshots) + "View",
                                                     ViewSnapshotRequest{kSnapshotter, key, chain});
    if (view.Failed(Reason::kMethodNotAllowed)) return Refusal("image volumes are shown of containerd's images only");
    if (!view.ok()) return view.status().WithContext("the files of image " + image.id);
    TRY(cri::Ask<Empty>(channel_, std::string(kSnapshots) + "Remove", RemoveSnapshotRequest{kSnapshotter, key}));
    return FoldersOf(*view).Context("the files of image " + image.id);
  }

  Result<User> ResolveUser(const image::Image&, std::string_view) override { return Refused(); }

 private:
  static Status Refusal(const char* why) { return {Reason::kMethodNotAllowed, why}; }
  static Status Refused() { return Refusal(kNotOverCri); }

  template <typename Response, typename Request>
  Result<Response> Ask(const char* method, const Request& request, Duration timeout = kCallTimeout) {
    return cri::Ask<Response>(channel_, std::string(kService) + method, request, timeout);
  }

  Channel& channel_;
  uint64_t looks_ = 0;
};

}  // namespace

Result<std::string> ImageFolder(Channel& channel) {
  const auto info = TRY(Ask<ImageFsInfoResponse>(channel, std::string(kService) + "ImageFsInfo", Empty()));
  for (const FilesystemUsage& one : info.image_filesystems) {
    if (one.filesystem.mountpoint.starts_with('/')) return one.filesystem.mountpoint;
  }
  return std::string();
}

std::unique_ptr<image::Store> MakeImages(Channel& channel) { return std::make_unique<Images>(channel); }

}  // namespace knarr::cri
