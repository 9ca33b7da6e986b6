#pragma once

// How a value lies in etcd. The revision that an object carries is known only when etcd has committed it, so the value
// lies there without, and each reader puts it in; whoever wrote it is named with it, so that a writer that lost the
// answer to a transaction finds it again among the changes.
//
// The bytes: "knr1", then a protobuf message of 1: the place of the revision, plus one (absent: none); 2 and 3: writer
// and number, fixed64; 4: the value, sealed or plain.

#include <cstdint>
#include <string>
#include <string_view>

#include "store/ops.h"

namespace knarr::store::etcd {

/// A transaction of one server. Zero: none.
struct Mark {
  uint64_t writer = 0;
  uint64_t number = 0;
  bool operator==(const Mark&) const = default;
};

/// `sealer` may be null. An error: the value can't be sealed.
Result<std::string> Wrap(const Sealer* sealer, std::string_view key, std::string_view value, size_t revision_offset,
                         Mark mark);

struct Unwrapped {
  std::string value;  ///< with its revision in its place
  Mark mark;
};
/// InternalError, naming the key, when it is none of ours, or nothing opens it.
Result<Unwrapped> Unwrap(const Sealer* sealer, std::string_view key, std::string_view bytes, Revision revision);

}  // namespace knarr::store::etcd
