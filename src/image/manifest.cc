#include "image/manifest.h"

#include <algorithm>

#include "base/strings.h"
#include "doc/json.h"
#include "net/tls.h"

namespace knarr::image {
namespace {

using doc::Value;

constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
constexpr std::string_view kDockerList = "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
constexpr size_t kLayersMax = 500;
constexpr size_t kManifestsMax = 1000;
constexpr size_t kListMax = 10000;
constexpr int64_t kBlobMax = int64_t{1} << 42;

std::string Text(const Value& value) { return std::string(value.AsString()); }

std::vector<std::string> Strings(const Value& value) {
  std::vector<std::string> out;
  for (const Value& item : value.items().subspan(0, std::min(value.size(), kListMax))) out.push_back(Text(item));
  return out;
}

Result<BlobReference> ParseReference(const Value& value, std::string_view where) {
  BlobReference out;
  out.media_type = Text(value.At("mediaType"));
  out.digest = Text(value.At("digest"));
  out.size = value.At("size").AsInt();
  if (!IsDigest(out.digest)) {
    return BadRequest(std::string(where) + ": invalid or unsupported digest " + GoQuote(out.digest));
  }
  if (out.size < 0 || out.size > kBlobMax) return BadRequest(std::string(where) + ": invalid size");
  out.os = Text(value.Get("platform", "os"));
  out.architecture = Text(value.Get("platform", "architecture"));
  out.variant = Text(value.Get("platform", "variant"));
  const Value& annotations = value.At("annotations");
  out.name = Text(annotations.At("io.containerd.image.name"));
  if (out.name.empty()) out.name = Text(annotations.At("org.opencontainers.image.ref.name"));
  return out;
}

Result<Manifest> ReadManifest(const Value& root) {
  Manifest out;
  out.config = TRY(ParseReference(root.At("config"), "manifest: config"));
  if (root.At("layers").size() > kLayersMax) return BadRequest("manifest: too many layers");
  for (const Value& layer : root.At("layers").items()) {
    out.layers.push_back(TRY(ParseReference(layer, "manifest: layers")));
  }
  return out;
}

Result<Index> ReadIndex(const Value& root) {
  Index out;
  if (root.At("manifests").size() > kManifestsMax) return BadRequest("index: too many manifests");
  for (const Value& entry : root.At("manifests").items()) {
    out.manifests.push_back(TRY(ParseReference(entry, "index: manifests")));
  }
  return out;
}

std::vector<std::string> Keys(const Value& value) {
  std::vector<std::string> out;
  for (const auto& member : value.members()) out.emplace_back(member.key);
  return out;
}

}  // namespace

bool IsDigest(std::string_view text) {
  return text.size() == 71 && text.starts_with("sha256:") && std::all_of(text.begin() + 7, text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string_view DigestHex(std::string_view digest) { return digest.substr(7); }

std::string DigestOf(std::string_view bytes) {
  net::Sha256Stream hash;
  hash.Update(bytes);
  return "sha256:" + hash.FinishHex();
}

std::string_view HostArchitecture() {
#if defined(__x86_64__)
  return "amd64";
#elif defined(__aarch64__)
  return "arm64";
#else
#error "unknown architecture"
#endif
}

Result<std::variant<Manifest, Index>> ParseManifest(std::string_view text, std::string_view content_type) {
  using Parsed = std::variant<Manifest, Index>;
  const doc::Document document = TRY(doc::ParseJson(text).Context("manifest"));
  const Value& root = document.root;
  if (!root.is_object()) return BadRequest("manifest: not a JSON object");
  if (const int64_t version = root.At("schemaVersion").AsInt(2); version != 2) {
    return BadRequest("manifest: schema version " + std::to_string(version) + " is not supported");
  }
  std::string type(content_type.substr(0, content_type.find(';')));
  const auto known = [](std::string_view name) {
    return name == kOciIndex || name == kDockerList || name == kOciManifest || name == kDockerManifest;
  };
  if (!known(type)) type = Text(root.At("mediaType"));
  // One document that could be read both ways is refused: its digest would stand for two different images.
  const bool has_manifests = root.Find("manifests") != nullptr;
  const bool has_layers = root.Find("layers") != nullptr || root.Find("config") != nullptr;
  if (has_manifests && has_layers) return BadRequest("manifest: both an index and a manifest");
  const bool index = known(type) ? type == kOciIndex || type == kDockerList : has_manifests;
  if (index != has_manifests) return BadRequest("manifest: media type " + GoQuote(type) + " does not fit the document");
  if (index) return Parsed(TRY(ReadIndex(root)));
  return Parsed(TRY(ReadManifest(root)));
}

Result<BlobReference> SelectPlatform(const Index& index) {
  const BlobReference* unnamed = nullptr;
  for (const BlobReference& entry : index.manifests) {
    if (entry.os == "linux" && entry.architecture == HostArchitecture()) return entry;
    if (entry.os.empty() && entry.architecture.empty() && unnamed == nullptr) unnamed = &entry;
  }
  if (unnamed != nullptr) return *unnamed;
  return NotFound("no match for platform in manifest: not found");
}

Result<ConfigDocument> ParseImageConfig(std::string_view text) {
  const doc::Document document = TRY(doc::ParseJson(text).Context("image config"));
  const Value& root = document.root;
  if (!root.is_object()) return BadRequest("image config: not a JSON object");
  ConfigDocument out;
  out.architecture = Text(root.At("architecture"));
  out.os = Text(root.At("os"));
  if (!root.At("created").AsString().empty()) {
    const auto created = ParseTime(root.At("created").AsString());
    // Some tools write the year 1; the field only shows in listings.
    if (created.ok()) out.created = *created;
  }
  const Value& config = root.At("config");
  out.config.entrypoint = Strings(config.At("Entrypoint"));
  out.config.command = Strings(config.At("Cmd"));
  out.config.environment = Strings(config.At("Env"));
  out.config.working_directory = Text(config.At("WorkingDir"));
  out.config.user = Text(config.At("User"));
  out.config.stop_signal = Text(config.At("StopSignal"));
  out.config.exposed_ports = Keys(config.At("ExposedPorts"));
  out.config.volumes = Keys(config.At("Volumes"));
  for (const auto& member : config.At("Labels").members()) {
    out.config.labels.emplace_back(member.key, member.value.AsString());
  }
  const Value& diff_ids = root.Get("rootfs", "diff_ids");
  if (diff_ids.size() > kLayersMax) return BadRequest("image config: too many layers");
  for (const Value& id : diff_ids.items()) {
    if (!IsDigest(id.AsString())) {
      return BadRequest("image config: rootfs.diff_ids: invalid or unsupported digest " + GoQuote(id.AsString()));
    }
    out.diff_ids.push_back(Text(id));
  }
  return out;
}

Result<std::vector<SavedImage>> ParseSavedManifest(std::string_view text) {
  const doc::Document document = TRY(doc::ParseJson(text).Context("manifest.json"));
  if (!document.root.is_array()) return BadRequest("manifest.json: not a list");
  std::vector<SavedImage> out;
  for (const Value& item : document.root.items()) {
    SavedImage image;
    image.config_path = Text(item.At("Config"));
    image.names = Strings(item.At("RepoTags"));
    image.layer_paths = Strings(item.At("Layers"));
    if (image.config_path.empty()) return BadRequest("manifest.json: an image has no Config");
    if (image.layer_paths.size() > kLayersMax) return BadRequest("manifest.json: too many layers");
    out.push_back(std::move(image));
  }
  return out;
}

}  // namespace knarr::image
