#pragma once

// The journal: where a batch is durable before the database has it (why: docs/decisions/0017-store-journal.md).
//
// A batch is one frame, one write at the end of a file and one fdatasync. The files are used in turn and over again:
// when one is full the next one follows, and those whose frames the database has wait for their next use, so that a
// write finds blocks that are there already and a sync has no bookkeeping of the file system to do. Where a file still
// grows, it does so by a stretch of zeros in front of the frames to come.
//
// A frame counts from the moment its sync is done: the next one is written only then, and files are used strictly one
// after the other. So at most the last frame can be torn.

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rt/file_system.h"
#include "rt/runtime.h"
#include "store/journal_reader.h"

namespace knarr::store {

/// Told of what happens rarely, by name: a simulation shows by it that it comes so far. On the world thread.
using RareProbe = std::function<void(std::string_view rare)>;

class Journal {
 public:
  Journal(rt::Runtime& world, std::string directory, RareProbe probe)
      : world_(world), directory_(std::move(directory)), probe_(std::move(probe)) {}

  /// Of a database for which there is nothing in it.
  void Begin(uint64_t generation);
  /// Goes on behind what was read. What was read is on the disk from here on: a killed server may have written the last
  /// frame and not come to its sync, or not to what follows from one that failed.
  Ok Resume(const JournalMark& mark, const JournalLeft& left);

  /// How an Append ended that failed.
  enum class Failure : uint8_t {
    kNotThere,  ///< nothing of it counts
    kUnknown,   ///< it may be there, and neither this file nor another should be trusted
  };
  /// Writes what `fill` adds; `about` is its size, by which a file has room for it or not. On the blocking pool.
  Ok Append(size_t about, Revision compacted, const std::function<Ok(FrameWriter& frame)>& fill, Failure& failure);
  /// After an Append that failed with kNotThere, which could not do this for want of space: what there may be of the
  /// frame is overwritten.
  Ok Blot();
  /// Of the last frame.
  uint64_t sequence() const { return sequence_; }
  /// Of the last frame, on the disk.
  size_t frame_bytes() const { return frame_bytes_; }

  /// A new file is begun when one has so many bytes; files beyond `most` together go as soon as they can.
  void SetSizes(size_t file, size_t most);
  /// The database has, on the disk, what frames up to this one say: files with nothing else may be used again.
  void Release(uint64_t applied);
  /// Some file could be used again, were what its frames say on the disk.
  bool Releases(uint64_t applied) const { return !full_.empty() && full_.front()->last <= applied; }
  bool has_spare() const { return !spare_.empty(); }
  /// What is in the files by now is to be overwritten: the next frame begins a new one, and none of these is used again
  /// before a Zero. REQUIRES: no frame is being written.
  void Retire();
  /// Overwrites the files that were retired and released.
  Ok Zero();
  /// The file that is written to is filling, none is there to follow it, and there are not too many.
  bool wants_spare() const;
  /// Makes one, zeros from end to end and on the disk with its name: a writer then finds it. When that fails there is
  /// none; who needs it tries for himself, and is told why not. May suspend while frames are appended.
  void Prepare();
  /// Gives files back that are too many, but for one: the next writer needs it.
  Ok Trim();
  /// Closes the files; Append needs a Begin or Resume then.
  void Close();
  /// Removes all files. REQUIRES: nothing in them is needed.
  Ok Remove();

  size_t bytes() const;

 private:
  struct Part {
    std::string path;
    std::unique_ptr<rt::File> file;
    uint64_t last = 0;  ///< the sequence of its last frame
    size_t tail = 0;    ///< where the next one goes
    size_t bytes = 0;
    bool retired = false;
  };
  /// From here on `now_` is a part that has room, which may be another than before.
  Ok Turn(size_t about);
  void Tell(std::string_view rare) const {
    if (probe_) probe_(rare);
  }
  Result<std::unique_ptr<Part>> Make();
  Ok Fill(const Part& part, size_t bytes) const;
  Result<std::unique_ptr<Part>> OpenPart(const JournalLeft::File& file);
  /// On the blocking pool: it touches nothing but the frame and the file.
  Ok Write(const Part& part, size_t about, Revision compacted, const std::function<Ok(FrameWriter& frame)>& fill,
           size_t& written);

  rt::Runtime& world_;
  const std::string directory_;
  const RareProbe probe_;
  uint64_t generation_ = 0;
  uint64_t sequence_ = 0;
  size_t file_bytes_ = 256 << 10;
  size_t most_ = 1 << 20;
  size_t frame_bytes_ = 0;
  FrameWriter frame_;
  std::unique_ptr<Part> now_;               ///< the one that is written to
  std::deque<std::unique_ptr<Part>> full_;  ///< in the order of their frames
  std::vector<std::unique_ptr<Part>> spare_;
  std::vector<std::unique_ptr<Part>> retired_;  ///< released, and to be overwritten
  uint64_t number_ = 1;                         ///< no file has this number, or a higher one
  bool writing_ = false;
  bool unprepared_ = false;  ///< a Prepare failed, and no file was begun since
};

}  // namespace knarr::store
