#include "image/archive.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/strings.h"
#include "image/beneath.h"
#include "image/byte_source.h"
#include "image/tar.h"
#include "net/tls.h"

namespace knarr::image {
namespace {

constexpr size_t kEntriesMax = 100'000;
constexpr size_t kBufferSize = 256 << 10;
constexpr int kLinksMax = 16;
constexpr int kNestingMax = 4;

Result<StagedFile> StageFile(TarReader& tar, std::string path) {
  StagedFile out;
  out.path = std::move(path);
  const rt::OwnedFd file(open(out.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return FromErrno(errno, "create " + out.path);
  net::Sha256Stream hash;
  std::vector<char> buffer(kBufferSize);
  while (true) {
    const size_t got = TRY(tar.Read(buffer.data(), buffer.size()));
    if (got == 0) break;
    hash.Update({buffer.data(), got});
    for (size_t at = 0; at < got;) {
      const ssize_t put = write(file.get(), buffer.data() + at, got - at);
      if (put < 0 && errno != EINTR) return FromErrno(errno, "write " + out.path);
      if (put > 0) at += static_cast<size_t>(put);
    }
    out.size += static_cast<int64_t>(got);
  }
  out.digest = "sha256:" + hash.FinishHex();
  return out;
}

// "a/b/layer.tar" and "../../c/layer.tar" → "c/layer.tar"; hard links name their target from the root.
Result<std::string> LinkTarget(const TarEntry& entry, const std::string& name) {
  std::string target = entry.link;
  if (entry.type == TarType::kSymlink && !target.starts_with('/')) {
    const auto cut = CutLast(name, "/");
    if (cut) target = std::string(cut->first) + "/" + target;
  }
  return Join(TRY(CleanPath(target)), "/");
}

}  // namespace

Result<StagedArchive> StagedArchive::Stage(const std::string& archive_path, const std::string& directory) {
  auto file = TRY(OpenFileSource(archive_path));
  const auto source = TRY(Decompress(std::move(file)));
  TarReader tar(*source);
  StagedArchive out;
  for (size_t count = 0; auto entry = TRY(tar.Next()); ++count) {
    if (count == kEntriesMax) return BadRequest("archive has too many entries for an image archive");
    const std::string name = Join(TRY(CleanPath(entry->path)), "/");
    if (entry->type == TarType::kSymlink || entry->type == TarType::kHardLink) {
      out.links_[name] = TRY(LinkTarget(*entry, name));
    } else if (entry->type == TarType::kFile) {
      StagedFile staged = TRY(StageFile(tar, directory + "/" + std::to_string(count)));
      out.digests_[staged.digest] = name;
      out.files_[name] = std::move(staged);
    }
  }
  const rt::OwnedFd folder(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return FromErrno(errno, "open " + directory);
  if (syncfs(folder.get()) != 0) return FromErrno(errno, "sync " + directory);
  return out;
}

const StagedFile* StagedArchive::Find(std::string_view name) const {
  auto cleaned = CleanPath(name);
  if (!cleaned.ok()) return nullptr;
  std::string at = Join(*cleaned, "/");
  for (int hop = 0; hop < kLinksMax; ++hop) {
    if (const auto file = files_.find(at); file != files_.end()) return &file->second;
    const auto link = links_.find(at);
    if (link == links_.end()) return nullptr;
    at = link->second;
  }
  return nullptr;
}

const StagedFile* StagedArchive::ByDigest(std::string_view digest) const {
  const auto found = digests_.find(digest);
  const StagedFile* file = found == digests_.end() ? nullptr : Find(found->second);
  // A later entry of the same name has taken its place.
  return file != nullptr && file->digest == digest ? file : nullptr;
}

Result<std::string> StagedArchive::ReadDocument(const StagedFile& file) const {
  if (file.size > static_cast<int64_t>(kDocumentMax)) return BadRequest("document in the archive is too large");
  const auto source = TRY(OpenFileSource(file.path));
  std::string out(static_cast<size_t>(file.size), '\0');
  size_t have = 0;
  while (have < out.size()) {
    const size_t got = TRY(source->Read(out.data() + have, out.size() - have));
    if (got == 0) break;
    have += got;
  }
  out.resize(have);
  return out;
}

Result<std::vector<ArchivedImage>> StagedArchive::Images() const {
  if (const StagedFile* saved = Find("manifest.json")) return DockerImages(*saved);
  if (const StagedFile* index = Find("index.json")) return OciImages(*index);
  return BadRequest("unrecognized image format: the archive has neither manifest.json nor index.json");
}

Result<std::vector<ArchivedImage>> StagedArchive::DockerImages(const StagedFile& manifest) const {
  std::vector<ArchivedImage> out;
  const std::string text = TRY(ReadDocument(manifest));
  for (const SavedImage& saved : TRY(ParseSavedManifest(text))) {
    ArchivedImage image;
    const StagedFile* config = Find(saved.config_path);
    if (config == nullptr) return BadRequest("archive lacks the config " + GoQuote(saved.config_path));
    const std::string config_text = TRY(ReadDocument(*config));
    image.config = TRY(ParseImageConfig(config_text));
    image.id = config->digest;
    image.names = saved.names;
    for (const std::string& path : saved.layer_paths) {
      const StagedFile* layer = Find(path);
      if (layer == nullptr) return BadRequest("archive lacks the layer " + GoQuote(path));
      image.layers.push_back(layer->digest);
    }
    out.push_back(std::move(image));
  }
  return out;
}

Result<std::vector<ArchivedImage>> StagedArchive::OciImages(const StagedFile& index) const {
  const std::string text = TRY(ReadDocument(index));
  const auto parsed = TRY(ParseManifest(text, "").Context("index.json"));
  const auto* entries = std::get_if<Index>(&parsed);
  if (entries == nullptr) return BadRequest("index.json: not an index");
  std::vector<ArchivedImage> out;
  for (const BlobReference& entry : entries->manifests) {
    const bool other = !entry.os.empty() && (entry.os != "linux" || entry.architecture != HostArchitecture());
    if (other) continue;
    ArchivedImage image;
    if (!entry.name.empty()) image.names.push_back(entry.name);
    TRY(AddOciImage(entry, 0, std::move(image), out));
  }
  if (out.empty()) return NotFound("no match for platform in manifest: not found");
  return out;
}

Ok StagedArchive::AddOciImage(const BlobReference& entry, int depth, ArchivedImage image,
                              std::vector<ArchivedImage>& out) const {
  if (depth > kNestingMax) return BadRequest("indexes nested too deeply");
  const StagedFile* file = ByDigest(entry.digest);
  if (file == nullptr) return BadRequest("archive lacks the blob " + entry.digest);
  const std::string text = TRY(ReadDocument(*file));
  const auto parsed = TRY(ParseManifest(text, entry.media_type).Context(entry.digest));
  image.manifests.push_back(entry.digest);
  if (const auto* index = std::get_if<Index>(&parsed)) {
    const BlobReference chosen = TRY(SelectPlatform(*index));
    return AddOciImage(chosen, depth + 1, std::move(image), out);
  }
  const auto& manifest = std::get<Manifest>(parsed);
  const StagedFile* config = ByDigest(manifest.config.digest);
  if (config == nullptr) return BadRequest("archive lacks the config " + manifest.config.digest);
  const std::string config_text = TRY(ReadDocument(*config));
  image.config = TRY(ParseImageConfig(config_text));
  image.id = config->digest;
  for (const BlobReference& layer : manifest.layers) image.layers.push_back(layer.digest);
  out.push_back(std::move(image));
  return {};
}

}  // namespace knarr::image
