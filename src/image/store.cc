#include "image/store.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/log.h"
#include "base/strings.h"
#include "image/archive.h"
#include "image/content.h"
#include "image/manifest.h"
#include "image/records.h"
#include "image/registry_client.h"
#include "image/user.h"
#include "rt/file_lock.h"
#include "rt/file_system.h"
#include "rt/sync.h"

namespace knarr::image {
namespace {

constexpr size_t kPullersAtOnce = 3;  // layers of one image
constexpr int kIndexNesting = 4;
constexpr size_t kUserFileMax = 4 << 20;
// As WriteFileAtomic names what it has not yet renamed.
constexpr std::string_view kUnfinishedIndex = "images.json.tmp-";

// Keeps garbage collection away while images come in: many pulls, or one collection.
class ContentUse {
 public:
  explicit ContentUse(rt::Runtime& runtime) : changed_(runtime), lock_(runtime) {}
  Ok Open(const std::string& path) { return lock_.Open(path); }
  Ok Enter() {
    TRY(changed_.WaitUntil([this] { return !collecting_; }));
    if (++users_ > 1) return {};
    Ok locked = lock_.LockShared();
    if (!locked.ok()) Leave();
    return locked;
  }
  void Leave() {
    if (--users_ == 0) lock_.Unlock();
    changed_.NotifyAll();
  }
  /// False while anybody uses content, in this process or another.
  bool TryCollect() {
    if (users_ > 0 || collecting_ || !lock_.TryLockExclusive()) return false;
    collecting_ = true;
    return true;
  }
  void EndCollect() {
    lock_.Unlock();
    collecting_ = false;
    changed_.NotifyAll();
  }

 private:
  rt::WaitQueue changed_;
  rt::FileLock lock_;
  int users_ = 0;
  bool collecting_ = false;
};

// A pull that others of the same name wait for.
struct Flight {
  explicit Flight(rt::Runtime& runtime) : done(runtime) {}
  rt::Event done;
  std::optional<Result<Image>> result;
};

class StoreImpl : public Store {
 public:
  StoreImpl(rt::Runtime& runtime, StoreOptions options)
      : runtime_(runtime),
        options_(std::move(options)),
        content_(runtime, options_.directory),
        use_(runtime),
        writing_(runtime),
        index_lock_(runtime) {}

  Ok Open();
  Result<Image> Get(std::string_view name) override;
  Result<std::vector<Image>> List() override;
  Result<Image> Pull(const Reference& reference, const PullOptions& options) override;
  Result<std::vector<std::string>> Load(const std::string& archive_path, const LoadOptions& options) override;
  Ok Tag(std::string_view source, const Reference& target) override;
  Ok Remove(std::string_view name, const std::function<bool(const std::string& id)>& in_use) override;
  Result<User> ResolveUser(const Image& image, std::string_view user) override;

 private:
  struct Resolved {
    Manifest manifest;
    std::vector<std::string> documents;
    std::string top_digest;
  };
  /// Content is used between its construction and its end; what became garbage meanwhile is removed then.
  class Using;
  std::string IndexPath() const { return options_.directory + "/images.json"; }
  Ok Change(const std::function<Ok(ImageRecords& records)>& change);
  /// Removes what a process that was killed while it wrote the index left beside it.
  Ok RemoveUnfinishedIndexes();
  /// Reads the index again if another process has replaced it.
  Ok Refresh();
  Result<Image> ToImage(const ImageRecord& record);
  Result<int64_t> SizeOf(const ImageRecord& record);
  Result<RegistryClient*> Registry();
  Result<Image> PullNow(const Reference& reference, const PullOptions& options);
  Result<Resolved> Resolve(RegistrySession& session, const Reference& reference);
  Ok FetchLayers(RegistrySession& session, const Manifest& manifest, const std::vector<std::string>& diff_ids,
                 const PullOptions& options);
  Ok FetchBlob(RegistrySession& session, const BlobReference& blob, const std::function<void(int64_t)>& progress);
  Result<std::vector<std::string>> LoadStaged(const std::string& archive_path, const std::string& directory,
                                              const LoadOptions& options);
  Ok AdoptBlob(const StagedArchive& archive, const std::string& digest);
  Result<ImageRecord> AdoptImage(const StagedArchive& archive, const ArchivedImage& image, const LoadOptions& options);
  void CollectGarbage();

  rt::Runtime& runtime_;
  StoreOptions options_;
  Content content_;
  ContentUse use_;
  rt::Mutex writing_;
  rt::FileLock index_lock_;
  ImageRecords records_;
  rt::FileInfo index_info_;                        // of the index that records_ shows
  uint64_t version_ = 0;                           // counts how often both were replaced
  std::map<std::string, ConfigDocument> configs_;  // by image id: what was read once
  std::unique_ptr<RegistryClient> registry_;
  std::map<std::string, std::shared_ptr<Flight>> flights_;
};

class StoreImpl::Using {
 public:
  static Result<std::unique_ptr<Using>> Begin(StoreImpl& store) {
    TRY(store.use_.Enter());
    return std::unique_ptr<Using>(new Using(store));
  }
  ~Using() {
    store_.use_.Leave();
    store_.CollectGarbage();
  }
  Using(const Using&) = delete;
  Using& operator=(const Using&) = delete;

 private:
  explicit Using(StoreImpl& store) : store_(store) {}
  StoreImpl& store_;
};

Ok StoreImpl::Open() {
  TRY(content_.Open());
  TRY(use_.Open(options_.directory + "/content.lock"));
  TRY(index_lock_.Open(options_.directory + "/index.lock"));
  TRY(RemoveUnfinishedIndexes());
  TRY(Refresh());
  CollectGarbage();
  return {};
}

Ok StoreImpl::RemoveUnfinishedIndexes() {
  TRY(index_lock_.LockExclusive());  // nobody writes one now
  const Ok done = [&]() -> Ok {
    for (const auto& entry : TRY(runtime_.files().List(options_.directory))) {
      if (!entry.name.starts_with(kUnfinishedIndex)) continue;
      TRY(runtime_.files().Remove(options_.directory + "/" + entry.name));
    }
    return {};
  }();
  index_lock_.Unlock();
  return done;
}

Ok StoreImpl::Refresh() {
  while (true) {
    const uint64_t version = version_;
    const auto info = runtime_.files().Stat(IndexPath());
    if (info.Failed(Reason::kNotFound)) return {};
    if (!info.ok()) return info.status();
    // Every change is a new file, though its inode may be one that was used before.
    if (info->inode == index_info_.inode && info->modified == index_info_.modified && info->size == index_info_.size) {
      return {};
    }
    const std::string text = TRY(runtime_.files().ReadFile(IndexPath()));
    // What another fiber has put there meanwhile is newer than what was read.
    if (version_ != version) continue;
    records_ = TRY(ImageRecords::Parse(text).Context(IndexPath()));
    index_info_ = *info;
    ++version_;
    return {};
  }
}

// Blobs and layers of a pull that was cut short, or of images that were removed. A failure only leaves them for the
// next time.
void StoreImpl::CollectGarbage() {
  const rt::Shield shield(runtime_);
  if (!use_.TryCollect()) return;
  const Ok fresh = Refresh();
  if (!fresh.ok()) {
    use_.EndCollect();
    LOG_WARN("image store: removing what is not used", {"error", fresh.status()});
    return;
  }
  const Ok collected = content_.Collect(records_.BlobsInUse(), records_.LayersInUse());
  use_.EndCollect();
  if (!collected.ok()) LOG_WARN("image store: removing what is not used", {"error", collected.status()});
}

Ok StoreImpl::Change(const std::function<Ok(ImageRecords& records)>& change) {
  const auto guard = TRY(writing_.Lock());
  TRY(index_lock_.LockExclusive());
  const Ok done = [&]() -> Ok {
    TRY(Refresh());
    ImageRecords changed = records_;
    TRY(change(changed));
    TRY(runtime_.files().WriteFileAtomic(IndexPath(), changed.ToJson()));
    const rt::FileInfo info = TRY(runtime_.files().Stat(IndexPath()));
    // Both at once: who reads the index meanwhile must not put an older one between them.
    records_ = std::move(changed);
    index_info_ = info;
    ++version_;
    return {};
  }();
  index_lock_.Unlock();
  return done;
}

Result<Image> StoreImpl::ToImage(const ImageRecord& record) {
  // The record may change while its config is read.
  const ImageRecord copy = record;
  if (!configs_.contains(copy.id)) {
    const std::string text = TRY(content_.ReadBlob(copy.id, kDocumentMax).Context("config of image " + copy.id));
    configs_.insert_or_assign(copy.id, TRY(ParseImageConfig(text)));
  }
  const ConfigDocument& config = configs_.at(copy.id);
  Image image;
  image.id = copy.id;
  image.names.assign(copy.names.begin(), copy.names.end());
  image.repo_digests.assign(copy.repo_digests.begin(), copy.repo_digests.end());
  image.config = config.config;
  image.size = copy.size;
  image.created = config.created;
  image.architecture = config.architecture;
  image.os = config.os;
  for (const LayerRecord& layer : copy.layers)
    image.layer_directories.push_back(content_.LayerDirectory(layer.diff_id));
  return image;
}

Result<Image> StoreImpl::Get(std::string_view name) {
  TRY(Refresh());
  return ToImage(*TRY(records_.Find(name)));
}

Result<std::vector<Image>> StoreImpl::List() {
  TRY(Refresh());
  std::vector<std::string> ids;
  for (const auto& [id, record] : records_.images()) ids.push_back(id);
  std::vector<Image> out;
  for (const std::string& id : ids) {
    const ImageRecord* record = records_.ById(id);
    if (record == nullptr) continue;
    Result<Image> image = ToImage(*record);
    if (image.Failed(Reason::kCancelled)) return image.status();
    // One image whose content was lost must not hide the others; pulling or loading it again mends it.
    if (image.ok()) {
      out.push_back(std::move(image).value());
    } else {
      LOG_WARN("image left out of the list", {"id", id}, {"error", image.status()});
    }
  }
  return out;
}

Result<int64_t> StoreImpl::SizeOf(const ImageRecord& record) {
  int64_t size = 0;
  for (const LayerRecord& layer : record.layers) size += TRY(content_.LayerSize(layer.diff_id));
  return size;
}

Result<RegistryClient*> StoreImpl::Registry() {
  if (registry_ != nullptr) return registry_.get();
  RegistriesConfig config;
  if (!options_.registries_file.empty()) {
    auto text = runtime_.files().ReadFile(options_.registries_file, 1 << 20);
    if (text.ok()) {
      config = TRY(RegistriesConfig::Parse(*text).Context(options_.registries_file));
    } else if (!text.Failed(Reason::kNotFound)) {
      return text.status();
    }
  }
  if (registry_ == nullptr) registry_ = std::make_unique<RegistryClient>(runtime_, std::move(config));
  return registry_.get();
}

Result<Image> StoreImpl::Pull(const Reference& reference, const PullOptions& options) {
  const std::string key = reference.Canonical() + " " + options.username + " " + options.password;
  while (true) {
    const auto found = flights_.find(key);
    if (found == flights_.end()) break;
    const std::shared_ptr<Flight> flight = found->second;
    TRY(flight->done.Wait());
    // Whoever pulled may have been told to stop; that is no answer for us.
    if (!flight->result->Failed(Reason::kCancelled)) return *flight->result;
  }
  const auto flight = std::make_shared<Flight>(runtime_);
  flights_[key] = flight;
  const std::string name = reference.Canonical();
  Result<Image> result = PullNow(reference, options);
  if (!result.ok() && !result.Failed(Reason::kCancelled)) {
    result = result.status().WithContext("failed to pull and unpack image " + GoQuote(name));
  }
  flight->result = result;
  flights_.erase(key);
  flight->done.Set();
  return result;
}

Result<Image> StoreImpl::PullNow(const Reference& reference, const PullOptions& options) {
  RegistryClient* registry = TRY(Registry());
  RegistryAuth auth;
  auth.username = options.username;
  auth.password = options.password;
  const auto session = TRY(RegistrySession::Open(*registry, reference, std::move(auth)));
  const auto use = TRY(Using::Begin(*this));
  const Resolved resolved =
      TRY(Resolve(*session, reference).Context("failed to resolve reference " + GoQuote(reference.Canonical())));
  ImageRecord record;
  record.id = resolved.manifest.config.digest;
  record.manifests = resolved.documents;
  if (!content_.HasBlob(record.id)) {
    if (resolved.manifest.config.size > static_cast<int64_t>(kDocumentMax)) return BadRequest("image config too large");
    TRY(FetchBlob(*session, resolved.manifest.config, [](int64_t) {}));
  }
  const std::string text = TRY(content_.ReadBlob(record.id, kDocumentMax));
  ConfigDocument config = TRY(ParseImageConfig(text));
  if (config.diff_ids.size() != resolved.manifest.layers.size()) {
    return BadRequest("mismatched image rootfs and manifest layers");
  }
  TRY(FetchLayers(*session, resolved.manifest, config.diff_ids, options));
  for (size_t i = 0; i < config.diff_ids.size(); ++i) {
    record.layers.push_back({resolved.manifest.layers[i].digest, config.diff_ids[i]});
  }
  record.size = TRY(SizeOf(record));
  if (reference.digest.empty()) record.names.insert(reference.Canonical());
  record.repo_digests.insert(reference.registry + "/" + reference.repository + "@" + resolved.top_digest);
  TRY(Change([&](ImageRecords& records) -> Ok {
    records.Add(record);
    return {};
  }));
  return ToImage(record);
}

Result<StoreImpl::Resolved> StoreImpl::Resolve(RegistrySession& session, const Reference& reference) {
  Resolved out;
  std::string wanted = reference.digest.empty() ? reference.tag : reference.digest;
  for (int depth = 0; depth <= kIndexNesting; ++depth) {
    auto fetched = session.FetchManifest(wanted);
    if (fetched.Failed(Reason::kNotFound)) return fetched.status().WithContext(reference.Canonical());
    if (!fetched.ok()) return fetched.status();
    auto parsed = TRY(ParseManifest(fetched->bytes, fetched->media_type));
    TRY(content_.PutBlob(fetched->digest, fetched->bytes));
    out.documents.push_back(fetched->digest);
    if (depth == 0) out.top_digest = fetched->digest;
    if (auto* manifest = std::get_if<Manifest>(&parsed)) {
      out.manifest = std::move(*manifest);
      return out;
    }
    wanted = TRY(SelectPlatform(std::get<Index>(parsed))).digest;
  }
  return BadRequest("indexes nested too deeply");
}

Ok StoreImpl::FetchBlob(RegistrySession& session, const BlobReference& blob,
                        const std::function<void(int64_t)>& progress) {
  const auto writer = content_.NewBlob();
  TRY(session.FetchBlob(blob, *writer, progress));
  return content_.Commit(*writer, blob.digest).Context("blob " + blob.digest);
}

Ok StoreImpl::FetchLayers(RegistrySession& session, const Manifest& manifest, const std::vector<std::string>& diff_ids,
                          const PullOptions& options) {
  int64_t total = 0;
  int64_t done = 0;
  for (const BlobReference& layer : manifest.layers) total += layer.size;
  const auto progress = [&](int64_t bytes) {
    done += bytes;
    if (options.progress) options.progress(done, total);
  };
  rt::TaskGroup group(runtime_, "pull");
  std::optional<Status> failed;
  size_t next = 0;
  std::set<std::string> taken;  // an image may hold one layer twice (the empty one)
  const auto work = [&] {
    while (next < manifest.layers.size() && !failed) {
      const size_t i = next++;
      const BlobReference& layer = manifest.layers[i];
      if (!taken.insert(layer.digest).second) continue;
      Ok result;
      if (content_.HasBlob(layer.digest)) {
        progress(layer.size);
      } else {
        result = FetchBlob(session, layer, progress);
      }
      if (result.ok()) result = content_.EnsureLayer(layer.digest, diff_ids[i]);
      if (!result.ok() && !failed) {
        failed = result.status();
        group.Stop();
      }
    }
  };
  for (size_t i = 0; i < std::min(kPullersAtOnce, manifest.layers.size()); ++i) group.Spawn("layer", work);
  group.Join();
  if (failed) return *failed;
  TRY(runtime_.CheckCancelled());
  // A layer that came twice under different diff ids is caught here.
  for (size_t i = 0; i < diff_ids.size(); ++i) TRY(content_.EnsureLayer(manifest.layers[i].digest, diff_ids[i]));
  return {};
}

Result<std::vector<std::string>> StoreImpl::Load(const std::string& archive_path, const LoadOptions& options) {
  const auto use = TRY(Using::Begin(*this));
  const std::string directory = content_.TemporaryPath("load");
  TRY(runtime_.files().MakeDirectories(directory, 0700));
  auto result = LoadStaged(archive_path, directory, options);
  const rt::Shield shield(runtime_);
  TRY(runtime_.files().RemoveAll(directory));
  if (!result.ok()) return result.status().WithContext("load " + archive_path);
  return result;
}

Result<std::vector<std::string>> StoreImpl::LoadStaged(const std::string& archive_path, const std::string& directory,
                                                       const LoadOptions& options) {
  Result<StagedArchive> staged = Internal("not run");
  Result<std::vector<ArchivedImage>> images = Internal("not run");
  runtime_.Blocking([&] {
    staged = StagedArchive::Stage(archive_path, directory);
    if (staged.ok()) images = staged->Images();
  });
  TRY(runtime_.CheckCancelled());
  const StagedArchive archive = TRY(std::move(staged));
  std::vector<ImageRecord> records;
  std::vector<std::string> names;
  for (const ArchivedImage& image : TRY(std::move(images))) {
    records.push_back(TRY(AdoptImage(archive, image, options)));
    names.insert(names.end(), records.back().names.begin(), records.back().names.end());
    if (records.back().names.empty()) names.push_back(records.back().id);
  }
  TRY(Change([&](ImageRecords& changed) -> Ok {
    for (const ImageRecord& record : records) changed.Add(record);
    return {};
  }));
  return names;
}

Ok StoreImpl::AdoptBlob(const StagedArchive& archive, const std::string& digest) {
  if (content_.HasBlob(digest)) return {};
  const StagedFile* file = archive.ByDigest(digest);
  if (file == nullptr) return BadRequest("archive lacks the blob " + digest);
  return content_.Adopt(file->path, digest);
}

Result<ImageRecord> StoreImpl::AdoptImage(const StagedArchive& archive, const ArchivedImage& image,
                                          const LoadOptions& options) {
  if (image.config.diff_ids.size() != image.layers.size()) {
    return BadRequest("mismatched image rootfs and manifest layers");
  }
  ImageRecord record;
  record.id = image.id;
  record.manifests = image.manifests;
  for (const std::string& name : image.names) {
    record.names.insert(TRY(Reference::Parse(name).Context("image name " + GoQuote(name))).Canonical());
  }
  for (const std::string& digest : image.manifests) TRY(AdoptBlob(archive, digest));
  TRY(AdoptBlob(archive, image.id));
  for (size_t i = 0; i < image.layers.size(); ++i) {
    const bool is_new = !content_.HasLayer(image.config.diff_ids[i]);
    TRY(AdoptBlob(archive, image.layers[i]));
    TRY(content_.EnsureLayer(image.layers[i], image.config.diff_ids[i]));
    const StagedFile* file = archive.ByDigest(image.layers[i]);
    if (is_new && options.loaded) options.loaded(image.config.diff_ids[i], file != nullptr ? file->size : 0);
    record.layers.push_back({image.layers[i], image.config.diff_ids[i]});
  }
  record.size = TRY(SizeOf(record));
  return record;
}

Ok StoreImpl::Tag(std::string_view source, const Reference& target) {
  if (!target.digest.empty()) return BadRequest("refusing to create a tag with a digest reference");
  return Change([&](ImageRecords& records) -> Ok {
    const std::string id = TRY(records.Find(source))->id;
    records.AddName(id, target.Canonical());
    return {};
  });
}

Ok StoreImpl::Remove(std::string_view name, const std::function<bool(const std::string& id)>& in_use) {
  const auto reference = Reference::Parse(name);
  const std::string canonical = reference.ok() ? reference->Canonical() : "";
  Ok changed = Change([&](ImageRecords& records) -> Ok {
    const ImageRecord record = *TRY(records.Find(name));
    const bool by_name = record.names.contains(canonical);
    if (by_name && record.names.size() > 1) {
      records.RemoveName(canonical);
      return {};
    }
    const std::string short_id(DigestHex(record.id).substr(0, 12));
    if (!by_name && record.names.size() > 1) {
      return Conflict("conflict: unable to delete " + short_id +
                      " (must be forced) - image is referenced in multiple repositories");
    }
    if (in_use && in_use(record.id)) {
      return Conflict("conflict: unable to delete " + short_id +
                      " (cannot be forced) - image is being used by running container");
    }
    records.Remove(record.id);
    return {};
  });
  TRY(std::move(changed));
  std::erase_if(configs_, [&](const auto& entry) { return records_.ById(entry.first) == nullptr; });
  CollectGarbage();
  return {};
}

Result<Store::User> StoreImpl::ResolveUser(const Image& image, std::string_view user) {
  Result<std::string> passwd = Internal("not run");
  Result<std::string> group = Internal("not run");
  runtime_.Blocking([&] {
    passwd = ReadMergedFile(image.layer_directories, "/etc/passwd", kUserFileMax);
    group = ReadMergedFile(image.layer_directories, "/etc/group", kUserFileMax);
  });
  const std::string passwd_text = TRY(std::move(passwd));
  const std::string group_text = TRY(std::move(group));
  return ResolveUserIn(user, passwd_text, group_text);
}

}  // namespace

Result<std::unique_ptr<Store>> Store::Open(rt::Runtime& runtime, StoreOptions options) {
  auto store = std::make_unique<StoreImpl>(runtime, std::move(options));
  TRY(store->Open().Context("image store"));
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace knarr::image
