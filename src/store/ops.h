#pragma once

// What every engine asks of a transaction and makes of it.

#include <string>
#include <vector>

#include "store/history.h"

namespace knarr::store {

/// A transaction within the bounds: sizes, counts, no key twice.
Ok CheckOps(const std::vector<Op>& ops);
/// The value with the decimal text of its revision in its place; npos: as it is.
std::string WithRevision(std::string value, size_t offset, Revision revision);
/// Conflict about a key that is not at the revision it was expected at; 0: not there.
Status CompareFailed(const Compare& compare, Revision found);

/// What a put or a delete needs besides the tree it happens in.
struct ChangeAt {
  Revision revision = 0;
  MonoTime time;
  int64_t row = 0;
};
/// Puts the value into the tree; the change that this is.
Change PutInto(Tree& tree, std::string key, Bytes value, const Digest& digest, const ChangeAt& at);
/// Takes the key out of the tree; nullopt when it is not there.
std::optional<Change> EraseFrom(Tree& tree, const std::string& key, const ChangeAt& at);

}  // namespace knarr::store
