#include "rt/memory_files.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <vector>

#include "base/check.h"
#include "base/strings.h"

namespace knarr::rt {
namespace {

constexpr int kLinksMax = 40;
constexpr size_t kFileMax = size_t{1} << 32;

struct Node {
  using Entries = std::map<std::string, std::shared_ptr<Node>>;
  FileType type = FileType::kFile;
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t inode = 0;
  WallTime modified;
  std::string bytes;  // a file's; a link's target
  Entries entries;    // a directory's
  // What a crash leaves.
  std::string synced_bytes;
  Entries synced_entries;
};

using NodePtr = std::shared_ptr<Node>;

void RevertToSynced(Node& node, FileFaults* faults) {
  if (node.type == FileType::kFile) {
    if (faults != nullptr) faults->Crash(node.inode, node.synced_bytes);
    node.bytes = node.synced_bytes;
  }
  if (node.type != FileType::kDirectory) return;
  node.entries = node.synced_entries;
  for (const auto& [name, child] : node.entries) RevertToSynced(*child, faults);
}

size_t CountBytes(const Node& node) {
  size_t total = node.type == FileType::kFile ? node.bytes.size() : 0;
  for (const auto& [name, child] : node.entries) total += CountBytes(*child);
  return total;
}

FileInfo InfoOf(const Node& node) {
  return {.type = node.type,
          .mode = node.mode,
          .uid = node.uid,
          .gid = node.gid,
          .size = static_cast<int64_t>(node.bytes.size()),
          .inode = node.inode,
          .device = 1,
          .modified = node.modified};
}

class MemoryFiles;

class MemoryFile : public File {
 public:
  MemoryFile(MemoryFiles& files, NodePtr node, std::string path, bool writable);
  Result<std::string> ReadAt(int64_t offset, size_t size) override;
  Ok WriteAt(int64_t offset, std::string_view bytes) override;
  Ok Append(std::string_view bytes) override;
  Ok Sync() override;
  Ok Truncate(int64_t size) override;
  Result<int64_t> Size() override;

 private:
  Ok Begin(std::string_view what, bool writes);
  Ok Write(size_t offset, std::string_view bytes);
  MemoryFiles& files_;
  NodePtr node_;
  std::string path_;
  bool writable_;
  uint64_t epoch_;
};

class MemoryFiles : public MemoryFileSystem {
 public:
  explicit MemoryFiles(Runtime& runtime) : runtime_(runtime), root_(std::make_shared<Node>()) {
    root_->type = FileType::kDirectory;
    root_->mode = 0755;
    root_->inode = next_inode_++;
  }

  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode, uint32_t permissions) override {
    TRY(Begin());
    const Place place = TRY(Find(path, "open", true));
    NodePtr node = place.node;
    const bool creates = mode == OpenMode::kCreate || mode == OpenMode::kCreateNew || mode == OpenMode::kTruncate;
    if (node == nullptr && !creates) return FromErrno(ENOENT, "open " + path);
    if (node != nullptr && mode == OpenMode::kCreateNew) return FromErrno(EEXIST, "open " + path);
    if (node == nullptr) node = Add(place, FileType::kFile, permissions);
    if (node->type == FileType::kDirectory) return FromErrno(EISDIR, "open " + path);
    if (mode == OpenMode::kTruncate) {
      node->bytes.clear();
      if (faults_ != nullptr) faults_->Truncate(node->inode, 0);
    }
    return std::unique_ptr<File>(std::make_unique<MemoryFile>(*this, node, path, mode != OpenMode::kRead));
  }

  Result<std::string> ReadFile(const std::string& path, size_t limit) override {
    Turn();
    const NodePtr node = TRY(Require(path, "open"));
    if (node->type == FileType::kDirectory) return FromErrno(EISDIR, "read " + path);
    if (node->bytes.size() > limit) {
      return Status(Reason::kRequestEntityTooLarge,
                    "read " + path + ": file is larger than " + std::to_string(limit) + " bytes");
    }
    return node->bytes;
  }

  Ok WriteFile(const std::string& path, std::string_view bytes, uint32_t permissions) override {
    const std::unique_ptr<File> file = TRY(Open(path, OpenMode::kTruncate, permissions));
    return file->WriteAt(0, bytes);
  }

  Ok WriteFileAtomic(const std::string& path, std::string_view bytes, uint32_t permissions) override {
    Turn();
    const Place place = TRY(Find(path, "create", false));
    if (place.node != nullptr && place.node->type == FileType::kDirectory) return FromErrno(EISDIR, "rename " + path);
    const NodePtr node = Add(place, FileType::kFile, permissions);
    node->bytes = node->synced_bytes = bytes;
    place.directory->synced_entries[place.name] = node;
    return {};
  }

  Result<FileInfo> Stat(const std::string& path) override {
    Turn();
    return InfoOf(*TRY(Require(path, "stat")));
  }

  Result<FileInfo> LinkStat(const std::string& path) override {
    Turn();
    return InfoOf(*TRY(RequireHere(path, "stat")));
  }

  Result<std::vector<DirectoryEntry>> List(const std::string& path) override {
    TRY(Begin());
    const NodePtr node = TRY(Require(path, "open"));
    if (node->type != FileType::kDirectory) return FromErrno(ENOTDIR, "open " + path);
    std::vector<DirectoryEntry> entries;
    for (const auto& [name, child] : node->entries) entries.push_back({.name = name, .type = child->type});
    return entries;
  }

  Ok MakeDirectories(const std::string& path, uint32_t permissions) override {
    Turn();
    std::string prefix;
    for (const std::string_view part : Split(path, '/')) {
      if (part.empty()) continue;
      prefix += "/" + std::string(part);
      const Place place = TRY(Find(prefix, "mkdir", true));
      if (place.node == nullptr) {
        Add(place, FileType::kDirectory, permissions);
      } else if (place.node->type != FileType::kDirectory) {
        return FromErrno(ENOTDIR, "mkdir " + prefix);
      }
    }
    return {};
  }

  Ok Rename(const std::string& from, const std::string& to) override {
    TRY(Begin());
    const Place source = TRY(Find(from, "rename", false));
    if (source.node == nullptr || source.directory == nullptr) return FromErrno(ENOENT, "rename " + from);
    const Place target = TRY(Find(to, "rename", false));
    if (target.directory == nullptr) return FromErrno(EBUSY, "rename " + from);
    if (target.node == source.node) return {};
    const bool source_is_directory = source.node->type == FileType::kDirectory;
    if (target.node != nullptr && (target.node->type == FileType::kDirectory) != source_is_directory) {
      return FromErrno(source_is_directory ? ENOTDIR : EISDIR, "rename " + from);
    }
    if (target.node != nullptr && !target.node->entries.empty()) return FromErrno(ENOTEMPTY, "rename " + from);
    if (source_is_directory && Contains(*source.node, target.directory)) return FromErrno(EINVAL, "rename " + from);
    source.directory->entries.erase(source.name);
    target.directory->entries[target.name] = source.node;
    return {};
  }

  Ok Symlink(const std::string& target, const std::string& path) override {
    Turn();
    const Place place = TRY(Find(path, "symlink", false));
    if (place.node != nullptr) return FromErrno(EEXIST, "symlink " + path);
    Add(place, FileType::kSymlink, 0777)->bytes = target;
    return {};
  }

  Result<std::string> ReadLink(const std::string& path) override {
    Turn();
    const NodePtr node = TRY(RequireHere(path, "readlink"));
    if (node->type != FileType::kSymlink) return FromErrno(EINVAL, "readlink " + path);
    return node->bytes;
  }

  Ok Remove(const std::string& path) override { return Erase(path, false); }
  Ok RemoveAll(const std::string& path) override { return Erase(path, true); }

  Ok Chown(const std::string& path, uint32_t uid, uint32_t gid) override {
    Turn();
    const NodePtr node = TRY(Require(path, "chown"));
    node->uid = uid;
    node->gid = gid;
    return {};
  }

  Ok Chmod(const std::string& path, uint32_t permissions) override {
    Turn();
    TRY(Require(path, "chmod"))->mode = permissions;
    return {};
  }

  Ok SyncDirectory(const std::string& path) override {
    TRY(Begin());
    const NodePtr node = TRY(Require(path, "open"));
    if (node->type != FileType::kDirectory) return FromErrno(ENOTDIR, "open " + path);
    node->synced_entries = node->entries;
    return {};
  }

  void Crash() override {
    ++epoch_;
    RevertToSynced(*root_, faults_);
  }

  size_t bytes() const override { return CountBytes(*root_); }

  void SetFaults(FileFaults* faults) override { faults_ = faults; }
  FileFaults* faults() const { return faults_; }

  uint64_t epoch() const { return epoch_; }
  WallTime Now() const { return runtime_.Wall(); }
  /// Where the real file system would let others run.
  void Turn() {
    if (runtime_.current() != nullptr) runtime_.Yield();
  }
  /// Turn, in front of what may fail.
  Ok Begin() {
    Turn();
    return faults_ == nullptr ? Ok() : faults_->Touch();
  }

 private:
  struct Place {
    NodePtr directory;  // nullptr for the root itself
    std::string name;
    NodePtr node;  // nullptr when there is nothing of that name
  };

  // Walks to `path`. A link at its end is followed when `follow`.
  Result<Place> Find(const std::string& path, std::string_view what, bool follow) const {
    const auto fail = [&](int error) { return FromErrno(error, std::string(what) + " " + path); };
    if (!path.starts_with('/')) return fail(EINVAL);
    std::vector<std::string> parts;  // what is left of the way, last first
    const auto push = [&](std::string_view more) {
      const std::vector<std::string_view> split = Split(more, '/');
      for (size_t i = split.size(); i > 0; --i) parts.emplace_back(split[i - 1]);
    };
    push(path);
    std::vector<NodePtr> way = {root_};
    Place place{.directory = nullptr, .name = "", .node = root_};
    int links = 0;
    while (!parts.empty()) {
      const std::string part = std::move(parts.back());
      parts.pop_back();
      if (part.empty() || part == ".") continue;
      if (way.back()->type != FileType::kDirectory) return fail(ENOTDIR);
      if (part == "..") {
        if (way.size() > 1) way.pop_back();
        place = {.directory = nullptr, .name = "", .node = way.back()};
        continue;
      }
      place = {.directory = way.back(), .name = part, .node = nullptr};
      const auto found = way.back()->entries.find(part);
      const bool last = std::ranges::all_of(parts, [](const std::string& p) { return p.empty(); });
      if (found == way.back()->entries.end()) {
        if (last) return place;
        return fail(ENOENT);
      }
      place.node = found->second;
      if (place.node->type == FileType::kSymlink && (follow || !last)) {
        if (++links > kLinksMax) return fail(ELOOP);
        if (place.node->bytes.starts_with('/')) way.resize(1);
        push(place.node->bytes);
        place = {.directory = nullptr, .name = "", .node = way.back()};
        continue;
      }
      if (last) return place;
      way.push_back(place.node);
    }
    return place;
  }

  Result<NodePtr> Require(const std::string& path, std::string_view what) const {
    NodePtr node = TRY(Find(path, what, true)).node;
    if (node == nullptr) return FromErrno(ENOENT, std::string(what) + " " + path);
    return node;
  }

  Result<NodePtr> RequireHere(const std::string& path, std::string_view what) const {
    NodePtr node = TRY(Find(path, what, false)).node;
    if (node == nullptr) return FromErrno(ENOENT, std::string(what) + " " + path);
    return node;
  }

  NodePtr Add(const Place& place, FileType type, uint32_t mode) {
    auto node = std::make_shared<Node>();
    node->type = type;
    node->mode = mode;
    node->inode = next_inode_++;
    node->modified = Now();
    place.directory->entries[place.name] = node;
    return node;
  }

  Ok Erase(const std::string& path, bool with_all_inside) {
    TRY(Begin());
    const Result<Place> place = Find(path, "remove", false);
    if (place.Failed(Reason::kNotFound)) return {};
    if (!place.ok()) return place.status();
    if (place->node == nullptr) return {};
    if (place->directory == nullptr) return FromErrno(EBUSY, "remove " + path);
    if (!with_all_inside && !place->node->entries.empty()) return FromErrno(ENOTEMPTY, "remove " + path);
    place->directory->entries.erase(place->name);
    return {};
  }

  static bool Contains(const Node& directory, const NodePtr& wanted) {
    if (&directory == wanted.get()) return true;
    return std::ranges::any_of(directory.entries, [&](const auto& entry) { return Contains(*entry.second, wanted); });
  }

  Runtime& runtime_;
  uint64_t next_inode_ = 1;
  uint64_t epoch_ = 0;
  FileFaults* faults_ = nullptr;
  NodePtr root_;
};

MemoryFile::MemoryFile(MemoryFiles& files, NodePtr node, std::string path, bool writable)
    : files_(files), node_(std::move(node)), path_(std::move(path)), writable_(writable), epoch_(files.epoch()) {}

Ok MemoryFile::Begin(std::string_view what, bool writes) {
  TRY(files_.Begin());
  const std::string where = std::string(what) + " " + path_;
  if (epoch_ != files_.epoch()) return FromErrno(EIO, where);
  if (writes && !writable_) return FromErrno(EBADF, where);
  if (writes) node_->modified = files_.Now();
  return {};
}

Result<std::string> MemoryFile::ReadAt(int64_t offset, size_t size) {
  TRY(Begin("read", false));
  CHECK(offset >= 0);
  if (static_cast<size_t>(offset) >= node_->bytes.size()) return std::string();
  return node_->bytes.substr(static_cast<size_t>(offset), size);
}

Ok MemoryFile::Write(size_t offset, std::string_view bytes) {
  const size_t end = offset + bytes.size();
  if (offset > kFileMax || end > kFileMax) return FromErrno(EFBIG, "write " + path_);
  Ok done;
  if (FileFaults* faults = files_.faults()) done = faults->Write(node_->inode, node_->bytes.size(), offset, bytes);
  if (done.ok() && end > node_->bytes.size()) node_->bytes.resize(end);
  std::ranges::copy(bytes, node_->bytes.begin() + static_cast<std::ptrdiff_t>(std::min(offset, node_->bytes.size())));
  return done;
}

Ok MemoryFile::WriteAt(int64_t offset, std::string_view bytes) {
  TRY(Begin("write", true));
  CHECK(offset >= 0);
  return Write(static_cast<size_t>(offset), bytes);
}

Ok MemoryFile::Append(std::string_view bytes) {
  TRY(Begin("write", true));
  return Write(node_->bytes.size(), bytes);
}

Ok MemoryFile::Sync() {
  TRY(Begin("sync", false));
  if (FileFaults* faults = files_.faults()) return faults->Sync(node_->inode, node_->synced_bytes);
  node_->synced_bytes = node_->bytes;
  return {};
}

Ok MemoryFile::Truncate(int64_t size) {
  TRY(Begin("truncate", true));
  if (size < 0 || static_cast<size_t>(size) > kFileMax) return FromErrno(EINVAL, "truncate " + path_);
  node_->bytes.resize(static_cast<size_t>(size));
  if (FileFaults* faults = files_.faults()) faults->Truncate(node_->inode, node_->bytes.size());
  return {};
}

Result<int64_t> MemoryFile::Size() {
  if (epoch_ != files_.epoch()) return FromErrno(EIO, "stat " + path_);
  return static_cast<int64_t>(node_->bytes.size());
}

}  // namespace

std::unique_ptr<MemoryFileSystem> MakeMemoryFileSystem(Runtime& runtime) {
  return std::make_unique<MemoryFiles>(runtime);
}

}  // namespace knarr::rt
