#pragma once

// Between stored bytes and trees.

#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "api/schema.h"
#include "base/status.h"
#include "doc/value.h"
#include "store/store.h"

namespace knarr::apiserver {

/// What goes into the store: canonical JSON without a resource version, and the place where the store puts it.
struct StoredForm {
  std::string bytes;
  size_t revision_offset = 0;
  store::Digest digest{};  ///< of what selectors look at
};
/// Makes the tree canonical on the way. BadRequest when a member has a wrong type.
Result<StoredForm> EncodeStored(const api::KindInfo& kind, doc::Document& object);
/// The form as an object that has no resource version: what a dry run answers.
std::string WithoutRevision(const StoredForm& form);
/// The form with this text as resource version.
std::string WithRevision(const StoredForm& form, std::string_view revision);
/// Objects above this size are refused.
inline constexpr size_t kObjectBytesMax = 1536 << 10;

/// The tree of stored bytes, which must outlive it.
doc::Document DecodeStored(const std::string& bytes);

/// Whether `form` with its resource version would be exactly these stored bytes: a write that changes nothing.
bool SameAsStored(const StoredForm& form, const std::string& stored);

/// Stored bytes with another resourceVersion: what watchers see of an object at the revision that removed it.
store::Bytes WithResourceVersion(const std::string& stored, store::Revision revision);

/// metadata.resourceVersion of stored bytes, found without decoding.
std::string_view StoredResourceVersion(const std::string& stored);

}  // namespace knarr::apiserver
