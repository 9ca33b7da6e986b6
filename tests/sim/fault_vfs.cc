#include "fault_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "base/check.h"
#include "base/path.h"

namespace knarr::sim {

namespace {

constexpr size_t kSector = 512;
constexpr int64_t kPage = 8192;
/// SQLite's own words in front of a page: how many records it has. A lost one would leave no trace.
constexpr int64_t kPageHead = 12;

/// SQLite's code for an error of the file system.
int CodeOf(const Ok& done, int failed) {
  constexpr int kInsufficientStorage = 507;
  if (done.ok()) return SQLITE_OK;
  return done.status().code() == kInsufficientStorage ? SQLITE_FULL : failed;
}

}  // namespace

struct FaultFile {
  sqlite3_file base;
  FaultVfs* vfs;
  rt::File* file;
  std::string* path;
  bool fresh;

  static FaultFile& Of(sqlite3_file* file) { return *reinterpret_cast<FaultFile*>(file); }

  static int Close(sqlite3_file* base) {
    FaultFile& self = Of(base);
    delete self.file;
    delete self.path;
    return SQLITE_OK;
  }
  static int Read(sqlite3_file* base, void* out, int size, sqlite3_int64 at) {
    FaultFile& self = Of(base);
    const auto bytes = self.file->ReadAt(at, static_cast<size_t>(size));
    if (!bytes.ok()) return SQLITE_IOERR_READ;
    std::memset(out, 0, static_cast<size_t>(size));
    std::memcpy(out, bytes->data(), bytes->size());
    return bytes->size() == static_cast<size_t>(size) ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
  }
  static int Write(sqlite3_file* base, const void* bytes, int size, sqlite3_int64 at) {
    const std::string_view text(static_cast<const char*>(bytes), static_cast<size_t>(size));
    return CodeOf(Of(base).file->WriteAt(at, text), SQLITE_IOERR_WRITE);
  }
  static int Truncate(sqlite3_file* base, sqlite3_int64 size) {
    return CodeOf(Of(base).file->Truncate(size), SQLITE_IOERR_TRUNCATE);
  }
  static int Sync(sqlite3_file* base, int) {
    FaultFile& self = Of(base);
    if (!self.file->Sync().ok()) return SQLITE_IOERR_FSYNC;
    if (self.fresh && !self.vfs->files_.SyncDirectory(DirName(*self.path)).ok()) return SQLITE_IOERR_DIR_FSYNC;
    self.fresh = false;
    return SQLITE_OK;
  }
  static int Size(sqlite3_file* base, sqlite3_int64* out) {
    const auto size = Of(base).file->Size();
    if (!size.ok()) return SQLITE_IOERR_FSTAT;
    *out = *size;
    return SQLITE_OK;
  }
  static int Lock(sqlite3_file*, int) { return SQLITE_OK; }
  static int CheckLock(sqlite3_file*, int* out) {
    *out = 0;
    return SQLITE_OK;
  }
  static int Control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
  static int SectorSize(sqlite3_file*) { return 4096; }
  static int Characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

  static const sqlite3_io_methods* Methods() {
    static const sqlite3_io_methods methods = [] {
      sqlite3_io_methods out{};
      out.iVersion = 1;
      out.xClose = Close;
      out.xRead = Read;
      out.xWrite = Write;
      out.xTruncate = Truncate;
      out.xSync = Sync;
      out.xFileSize = Size;
      out.xLock = Lock;
      out.xUnlock = Lock;
      out.xCheckReservedLock = CheckLock;
      out.xFileControl = Control;
      out.xSectorSize = SectorSize;
      out.xDeviceCharacteristics = Characteristics;
      return out;
    }();
    return &methods;
  }

  static int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* base, int flags, int* out_flags) {
    auto& self = *static_cast<FaultVfs*>(vfs->pAppData);
    base->pMethods = nullptr;
    // Sorts and the like, which this store has none of.
    if (name == nullptr || self.dead_) return SQLITE_CANTOPEN;
    const bool create = (flags & SQLITE_OPEN_CREATE) != 0;
    const bool fresh = !self.files_.Exists(name);
    auto file = self.files_.Open(name, create ? rt::OpenMode::kCreate : rt::OpenMode::kReadWrite, 0600);
    if (!file.ok()) return SQLITE_CANTOPEN;
    FaultFile& opened = Of(base);
    opened.vfs = &self;
    opened.file = file->release();
    opened.path = new std::string(name);
    opened.fresh = fresh;
    base->pMethods = Methods();
    if (out_flags != nullptr) *out_flags = flags;
    return SQLITE_OK;
  }
  static int Delete(sqlite3_vfs* vfs, const char* name, int sync) {
    auto& self = *static_cast<FaultVfs*>(vfs->pAppData);
    if (self.dead_) return SQLITE_IOERR_DELETE;
    if (!self.files_.Exists(name)) return SQLITE_IOERR_DELETE_NOENT;
    if (!self.files_.Remove(name).ok()) return SQLITE_IOERR_DELETE;
    if (sync != 0 && !self.files_.SyncDirectory(DirName(name)).ok()) return SQLITE_IOERR_DIR_FSYNC;
    return SQLITE_OK;
  }
  static int Access(sqlite3_vfs* vfs, const char* name, int, int* out) {
    auto& self = *static_cast<FaultVfs*>(vfs->pAppData);
    if (self.dead_) return SQLITE_IOERR_ACCESS;
    const auto info = self.files_.Stat(name);
    *out = info.ok() && info->size > 0;
    return SQLITE_OK;
  }
  static int FullPath(sqlite3_vfs*, const char* name, int size, char* out) {
    sqlite3_snprintf(size, out, "%s", name);
    return SQLITE_OK;
  }
  static int Randomness(sqlite3_vfs* vfs, int size, char* out) {
    static_cast<FaultVfs*>(vfs->pAppData)->runtime_.RandomBytes(out, static_cast<size_t>(size));
    return size;
  }
  static int Sleep(sqlite3_vfs*, int microseconds) { return microseconds; }
  static int Time(sqlite3_vfs*, double* out) {
    *out = 2460000.5;
    return SQLITE_OK;
  }
  static int LastError(sqlite3_vfs*, int, char*) { return 0; }
};

FaultVfs::FaultVfs(rt::Runtime& runtime)
    : runtime_(runtime),
      files_(dynamic_cast<rt::MemoryFileSystem&>(runtime.files())),
      before_(sqlite3_vfs_find(nullptr)),
      vfs_(std::make_unique<sqlite3_vfs>()) {
  vfs_->iVersion = 1;
  vfs_->szOsFile = sizeof(FaultFile);
  vfs_->mxPathname = 512;
  vfs_->zName = "knarr-fault";
  vfs_->pAppData = this;
  vfs_->xOpen = FaultFile::Open;
  vfs_->xDelete = FaultFile::Delete;
  vfs_->xAccess = FaultFile::Access;
  vfs_->xFullPathname = FaultFile::FullPath;
  vfs_->xRandomness = FaultFile::Randomness;
  vfs_->xSleep = FaultFile::Sleep;
  vfs_->xCurrentTime = FaultFile::Time;
  vfs_->xGetLastError = FaultFile::LastError;
  CHECK(sqlite3_vfs_register(vfs_.get(), 1) == SQLITE_OK);
  files_.SetFaults(this);
  // Its random numbers are of this world from here on.
  sqlite3_randomness(0, nullptr);
}

FaultVfs::~FaultVfs() {
  files_.SetFaults(nullptr);
  sqlite3_vfs_unregister(vfs_.get());
  sqlite3_vfs_register(before_, 1);
}

Ok FaultVfs::Touch() { return dead_ ? Ok(FromErrno(EIO, "the disk")) : Ok(); }

Ok FaultVfs::Write(uint64_t inode, size_t size, size_t offset, std::string_view& bytes) {
  const bool fits = !full || offset + bytes.size() <= size;
  // What there are blocks for is written all the same.
  if (!fits) bytes = bytes.substr(0, size - std::min(size, offset));
  if (!bytes.empty()) pending_[inode].push_back({offset, std::string(bytes)});
  return fits ? Ok() : Ok(FromErrno(ENOSPC, "write"));
}

void FaultVfs::Truncate(uint64_t inode, size_t size) { pending_[inode].push_back({size, "", true}); }

Ok FaultVfs::Sync(uint64_t inode, std::string& synced) {
  if (slow) TRY(runtime_.Sleep(std::chrono::milliseconds(UpTo(30))));
  TRY(Touch());
  if (syncs_lie) return {};
  std::vector<Change>& pending = pending_[inode];
  if (sync_fails != 0 && UpTo(sync_fails) == 0) {
    // The kernel drops what it could not write, and a later sync knows nothing of it.
    Tear(pending, synced);
    syncs_failed++;
    return FromErrno(EIO, "sync");
  }
  for (const Change& change : pending) Apply(synced, change);
  pending.clear();
  return {};
}

void FaultVfs::Apply(std::string& bytes, const Change& change) {
  if (change.truncates) {
    bytes.resize(change.offset);
    return;
  }
  const size_t end = change.offset + change.bytes.size();
  if (bytes.size() < end) bytes.resize(end);
  bytes.replace(change.offset, change.bytes.size(), change.bytes);
}

/// Of what is pending, any sectors reach the disk.
void FaultVfs::Tear(std::vector<Change>& pending, std::string& synced) {
  // None, some, or all of them.
  const uint64_t of_four = UpTo(5);
  for (const Change& change : pending) {
    if (change.truncates) {
      if (UpTo(4) < of_four) Apply(synced, change);
      continue;
    }
    const size_t end = change.offset + change.bytes.size();
    for (size_t at = change.offset; at < end;) {
      const size_t next = std::min(end, (at / kSector + 1) * kSector);
      if (UpTo(4) < of_four) Apply(synced, {at, change.bytes.substr(at - change.offset, next - at)});
      at = next;
    }
  }
  pending.clear();
}

void FaultVfs::Crash(uint64_t inode, std::string& synced) {
  const auto found = pending_.find(inode);
  if (found != pending_.end()) Tear(found->second, synced);
}

void FaultVfs::Revive() {
  dead_ = false;
  full = false;
}

void FaultVfs::PowerFails() {
  Revive();
  files_.Crash();
  pending_.clear();
}

void FaultVfs::FlipBit(const std::string& path) {
  sync_fails = 0;
  const auto file = MUST(files_.Open(path, rt::OpenMode::kReadWrite));
  const int64_t size = MUST(file->Size());
  if (size < 2 * kPage) return;
  const auto page = static_cast<int64_t>(UpTo(static_cast<uint64_t>(size / kPage)));
  const int64_t at = page * kPage + kPageHead + static_cast<int64_t>(UpTo(kPage - kPageHead));
  std::string byte = MUST(file->ReadAt(at, 1));
  byte[0] = static_cast<char>(byte[0] ^ (1 << UpTo(8)));
  MUST(file->WriteAt(at, byte));
  MUST(file->Sync());
}

}  // namespace knarr::sim
