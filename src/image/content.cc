#include "image/content.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/strings.h"
#include "image/byte_source.h"
#include "image/manifest.h"
#include "image/unpack.h"
#include "rt/file_system.h"

namespace knarr::image {
namespace {

// Hashes what passes through.
class HashingSource : public ByteSource {
 public:
  explicit HashingSource(ByteSource& source) : source_(source) {}
  Result<size_t> Read(char* out, size_t size) override {
    const size_t got = TRY(source_.Read(out, size));
    hash_.Update({out, got});
    return got;
  }
  std::string Finish() { return "sha256:" + hash_.FinishHex(); }

 private:
  ByteSource& source_;
  net::Sha256Stream hash_;
};

Result<UnpackResult> UnpackBlob(const std::string& blob, const std::string& directory, const std::string& diff_id) {
  auto file = TRY(OpenFileSource(blob));
  const auto source = TRY(Decompress(std::move(file)));
  HashingSource hashing(*source);
  const UnpackResult result = TRY(UnpackLayer(hashing, directory));
  // The diff id covers what follows the archive's end mark, too.
  std::array<char, 65536> rest;
  while (TRY(hashing.Read(rest.data(), rest.size())) > 0) {
  }
  if (const std::string got = hashing.Finish(); got != diff_id) {
    return BadRequest("wrong diff id calculated on extraction " + GoQuote(got) + ", expected " + GoQuote(diff_id));
  }
  return result;
}

}  // namespace

BlobWriter::BlobWriter(rt::Runtime& runtime, std::string path) : runtime_(runtime), path_(std::move(path)) {}

BlobWriter::~BlobWriter() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(path_.c_str());
}

Ok BlobWriter::OpenFile() {
  fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd_ < 0) return FromErrno(errno, "create " + path_);
  return {};
}

Ok BlobWriter::Append(std::string_view bytes) {
  Ok result;
  runtime_.Blocking([&] {
    result = [&]() -> Ok {
      if (fd_ < 0) TRY(OpenFile());
      for (size_t at = 0; at < bytes.size();) {
        const ssize_t put = write(fd_, bytes.data() + at, bytes.size() - at);
        if (put < 0 && errno != EINTR) return FromErrno(errno, "write " + path_);
        if (put > 0) at += static_cast<size_t>(put);
      }
      hash_->Update(bytes);
      return {};
    }();
  });
  TRY(std::move(result));
  size_ += static_cast<int64_t>(bytes.size());
  return {};
}

Ok BlobWriter::Restart() {
  Ok result;
  runtime_.Blocking([&] {
    if (fd_ >= 0 && (ftruncate(fd_, 0) != 0 || lseek(fd_, 0, SEEK_SET) < 0)) {
      result = FromErrno(errno, "truncate " + path_);
    }
  });
  hash_.emplace();
  size_ = 0;
  return result;
}

Result<std::string> BlobWriter::Finish() {
  TRY(Append({}));  // an empty blob is a file, too
  Ok result;
  runtime_.Blocking([&] {
    if (fsync(fd_) != 0) result = FromErrno(errno, "sync " + path_);
  });
  TRY(std::move(result));
  close(fd_);
  fd_ = -1;
  return "sha256:" + hash_->FinishHex();
}

Content::Content(rt::Runtime& runtime, std::string directory)
    : runtime_(runtime), directory_(std::move(directory)), unpacked_(runtime) {}

Ok Content::Open() {
  rt::FileSystem& files = runtime_.files();
  TRY(files.MakeDirectories(directory_ + "/tmp", 0700));
  TRY(files.MakeDirectories(directory_ + "/blobs/sha256", 0700));
  TRY(files.MakeDirectories(directory_ + "/layers", 0700));
  return {};
}

std::string Content::BlobPath(std::string_view digest) const {
  return directory_ + "/blobs/sha256/" + std::string(DigestHex(digest));
}

bool Content::HasBlob(std::string_view digest) { return runtime_.files().Exists(BlobPath(digest)); }

Result<std::string> Content::ReadBlob(std::string_view digest, size_t limit) {
  std::string bytes = TRY(runtime_.files().ReadFile(BlobPath(digest), limit));
  if (DigestOf(bytes) != digest) return Internal("blob " + std::string(digest) + " is damaged on disk");
  return bytes;
}

Ok Content::PutBlob(std::string_view digest, std::string_view bytes) {
  if (HasBlob(digest)) return {};
  const auto writer = NewBlob();
  TRY(writer->Append(bytes));
  return Commit(*writer, digest);
}

std::unique_ptr<BlobWriter> Content::NewBlob() { return std::make_unique<BlobWriter>(runtime_, TemporaryPath("blob")); }

Ok Content::Commit(BlobWriter& writer, std::string_view digest) {
  const std::string got = TRY(writer.Finish());
  if (got != digest) {
    TRY(runtime_.files().Remove(writer.path()));
    return BadRequest("unexpected digest " + got + ", expected " + std::string(digest));
  }
  return Adopt(writer.path(), digest);
}

Ok Content::Adopt(const std::string& path, std::string_view digest) {
  TRY(runtime_.files().Rename(path, BlobPath(digest)));
  return runtime_.files().SyncDirectory(directory_ + "/blobs/sha256");
}

std::string Content::TemporaryPath(std::string_view what) {
  // Another process may work in the same folder: a number alone would not do.
  return directory_ + "/tmp/" + std::string(what) + "-" + std::to_string(runtime_.Random()) + "-" +
         std::to_string(next_temporary_++);
}

std::string Content::LayerDirectory(std::string_view diff_id) const {
  return directory_ + "/layers/" + std::string(DigestHex(diff_id)) + "/fs";
}

bool Content::HasLayer(std::string_view diff_id) { return runtime_.files().Exists(LayerDirectory(diff_id)); }

Ok Content::EnsureLayer(std::string_view digest, std::string_view diff_id) {
  const std::string id(diff_id);
  TRY(unpacked_.WaitUntil([&] { return !unpacking_.contains(id); }));
  unpacking_.insert(id);
  Ok result;
  if (!HasLayer(id)) result = Unpack(std::string(digest), id);
  unpacking_.erase(id);
  unpacked_.NotifyAll();
  return result;
}

Ok Content::Unpack(const std::string& digest, const std::string& diff_id) {
  rt::FileSystem& files = runtime_.files();
  const std::string temporary = TemporaryPath("layer");
  TRY(files.MakeDirectories(temporary + "/fs", 0755));
  TRY(files.Chmod(temporary + "/fs", 0755));  // whatever the umask
  Result<UnpackResult> unpacked = Internal("not run");
  const std::string blob = BlobPath(digest);
  runtime_.Blocking([&] { unpacked = UnpackBlob(blob, temporary + "/fs", diff_id); });
  if (!unpacked.ok()) {
    const rt::Shield shield(runtime_);
    TRY(files.RemoveAll(temporary));
    return unpacked.status().WithContext("failed to extract layer " + diff_id);
  }
  TRY(files.WriteFileAtomic(temporary + "/size", std::to_string(unpacked->bytes)));
  const Ok placed = files.Rename(temporary, directory_ + "/layers/" + std::string(DigestHex(diff_id)));
  if (!placed.ok()) {
    TRY(files.RemoveAll(temporary));
    if (!HasLayer(diff_id)) return placed;  // otherwise another process was faster
  }
  return files.SyncDirectory(directory_ + "/layers");
}

Result<int64_t> Content::LayerSize(std::string_view diff_id) {
  const std::string path = directory_ + "/layers/" + std::string(DigestHex(diff_id)) + "/size";
  return ParseInt64(TRY(runtime_.files().ReadFile(path, 64))).Context(path);
}

Ok Content::Collect(const std::set<std::string>& digests, const std::set<std::string>& diff_ids) {
  rt::FileSystem& files = runtime_.files();
  // Nobody uses content now, so what is in here was left half-done.
  for (const auto& entry : TRY(files.List(directory_ + "/tmp")))
    TRY(files.RemoveAll(directory_ + "/tmp/" + entry.name));
  for (const auto& entry : TRY(files.List(directory_ + "/blobs/sha256"))) {
    if (!digests.contains("sha256:" + entry.name)) TRY(files.Remove(directory_ + "/blobs/sha256/" + entry.name));
  }
  for (const auto& entry : TRY(files.List(directory_ + "/layers"))) {
    if (diff_ids.contains("sha256:" + entry.name)) continue;
    // Out of sight in one step; the slow removal may be cut short.
    const std::string gone = TemporaryPath("gone");
    TRY(files.Rename(directory_ + "/layers/" + entry.name, gone));
    TRY(files.RemoveAll(gone));
  }
  return {};
}

}  // namespace knarr::image
