#pragma once

// What makes a store durable: a log of records, appended in groups.

#include <memory>
#include <vector>

#include "store/tree.h"

namespace knarr::store {

class Log {
 public:
  struct Batch {
    std::vector<ItemRef> records;  ///< in the order of their rows; without a value: a delete
    std::vector<int64_t> forget;   ///< rows that nothing needs any more
    std::vector<ItemRef> reseal;   ///< rows that are to be sealed anew, in their place; gone ones are left alone
    bool scrub = false;            ///< what was sealed anew is to leave no trace of its older form
    Revision compacted = 0;        ///< kept with `forget`: history up to here is gone
  };

  virtual ~Log() = default;
  /// Suspends until the batch is on the disk as a whole, or (error) nothing of it counts. Reason kServerTimeout: the
  /// batch is certainly not there and a later one may succeed (disk full). Any other: the log can't be trusted any
  /// more.
  virtual Ok Append(const Batch& batch) = 0;
  /// Any thread.
  virtual int64_t disk_bytes() const = 0;
  /// Much of the disk space is unused: each Append, also of an empty batch, gives some of it back.
  virtual bool spacious() const { return false; }
  /// Must be the last call.
  virtual void Close() = 0;
};

}  // namespace knarr::store
