#pragma once

// Reading what a journal has beyond the database: by the next start, and by whoever looks after a stopped store.

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "rt/file_system.h"
#include "store/journal_format.h"

namespace knarr::store {

/// The name of the journal's file of that number, and whether a name is one of them.
std::string JournalPath(const std::string& directory, uint64_t number);
bool IsJournal(std::string_view name);
/// The files of a journal in the folder.
Result<std::vector<std::string>> ListJournal(rt::FileSystem& files, const std::string& directory);
/// REQUIRES: nothing in them is needed.
Ok RemoveJournal(rt::FileSystem& files, const std::string& directory);

/// What the bytes of one file say.
struct JournalRun {
  std::vector<Frame> frames;  ///< of the generation, each with a higher sequence than the one in front
  size_t end = 0;             ///< behind the last one
  /// Where a frame can't be read, though later ones of the same use of the file are there.
  struct Hole {
    size_t offset = 0;
    size_t before = 0;  ///< the index in `frames` of the first one behind it
  };
  std::vector<Hole> holes;
};
JournalRun ReadRun(std::string_view bytes, const JournalMark& mark);

/// All that the journal changes about the database, whose rows are those of an earlier moment.
class JournalLeft {
 public:
  /// A record behind those of the database, or records that are lost.
  struct Entry {
    Record record;
    int64_t lost_last = 0;  ///< the last row that is lost, the first one in record.row; 0: it is a record
    std::string why;
  };

  JournalLeft() = default;
  JournalLeft(JournalLeft&&) = default;
  JournalLeft& operator=(JournalLeft&&) = default;

  /// The row was forgotten: of the database it counts no more.
  bool Gone(int64_t row) const { return gone_.contains(row); }
  /// The row as it was sealed anew; nullptr: as the database has it.
  const Record* Instead(int64_t row) const;
  /// In the order of their rows.
  const std::vector<Entry>& entries() const { return entries_; }
  const std::vector<int64_t>& forgotten() const { return forgotten_; }
  const std::vector<Record>& resealed() const { return resealed_; }
  /// The newest mark of a compaction; 0: the database's counts.
  Revision compacted() const { return compacted_; }
  /// No row is higher, forgotten or not; 0: there is none.
  int64_t row_last() const { return row_last_; }
  /// Of the last frame; the database's when there is none.
  uint64_t sequence() const { return sequence_; }
  /// Where the last frame ends, in the last of the files in use.
  size_t tail() const { return tail_; }
  /// The last frame as it was read.
  std::string_view last_frame() const { return last_frame_; }
  /// Of each file, in the order of their use: the last of its frames; those that are not needed are not among them.
  struct File {
    std::string path;
    uint64_t last = 0;
    size_t bytes = 0;
  };
  /// Of each frame: how far it goes.
  struct Place {
    uint64_t sequence = 0;
    size_t bytes = 0;
    int64_t row_last = 0;  ///< of its records and of all in front
    size_t forgotten = 0;  ///< of forgotten(), those up to its end
  };
  const std::vector<Place>& places() const { return places_; }
  const std::vector<File>& in_use() const { return in_use_; }
  const std::vector<File>& unused() const { return unused_; }
  int64_t disk_bytes() const { return disk_bytes_; }
  /// The first of the entries that tells of lost records.
  const Entry* damage() const;

 private:
  friend class JournalReader;
  std::deque<std::string> bytes_;  ///< what the records point into
  std::vector<Entry> entries_;
  std::vector<int64_t> forgotten_;
  std::vector<Record> resealed_;
  std::unordered_set<int64_t> gone_;
  std::unordered_map<int64_t, size_t> instead_;
  Revision compacted_ = 0;
  int64_t row_last_ = 0;
  uint64_t sequence_ = 0;
  size_t tail_ = 0;
  std::string_view last_frame_;
  std::vector<File> in_use_;
  std::vector<File> unused_;
  std::vector<Place> places_;
  int64_t disk_bytes_ = 0;
};

/// Reads the journal's files. What is torn at the end was never acknowledged and is no damage.
Result<JournalLeft> ReadJournal(rt::FileSystem& files, const std::string& directory, const JournalMark& mark);

}  // namespace knarr::store
