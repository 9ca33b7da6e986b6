#pragma once

// A backup is one file: a head, the records of the state at one revision in the order they were written, and an end
// with their number and a checksum over all. Values are in it as they lie on the disk: what is encrypted at rest stays
// so, and needs the keys of its server. No history: whoever watches begins anew after a restore.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "store/maintenance.h"
#include "store/snapshot.h"

namespace knarr::store {

struct Record;

/// Of a state in memory. `sealer` (null: values as they are) must outlive it.
std::unique_ptr<BackupSource> MakeBackup(std::shared_ptr<const TreeSnapshot> state, const Sealer* sealer);

/// Writes one record after another.
class BackupWriter {
 public:
  /// The bytes in front of the first record.
  void Begin(Revision revision, std::string& out);
  void Add(const Record& record, std::string& out);
  void End(std::string& out) const;

 private:
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
};

struct BackupInfo {
  Revision revision = 0;
  uint64_t records = 0;
};

/// Reads a backup as its bytes come, and checks it.
class BackupReader {
 public:
  using Visit = std::function<Ok(const Record& record)>;
  /// The next bytes. BadRequest names the place where it is no backup, or a damaged one.
  Ok Read(std::string_view bytes, const Visit& visit);
  /// Behind the last bytes: BadRequest when something is missing.
  Result<BackupInfo> End() const;

 private:
  Result<bool> ReadOne(const Visit& visit);
  enum class Part : uint8_t { kHead, kRecords, kEnd };
  Part part_ = Part::kHead;
  std::string buffer_;
  size_t at_ = 0;        ///< in buffer_
  uint64_t offset_ = 0;  ///< of buffer_ in the file
  BackupInfo info_;
  Revision last_ = 0;
  uint64_t sum_ = 0;
};

}  // namespace knarr::store
