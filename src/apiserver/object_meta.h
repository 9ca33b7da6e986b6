#pragma once

// What happens to the metadata of every object that is written, whatever it is.

#include <string_view>

#include "apiserver/registry.h"
#include "apiserver/resource.h"
#include "doc/value.h"

namespace knarr::apiserver {

/// The namespace an object is created in is the request's: fills it in, refuses another (BadRequest).
Ok FitNamespace(const api::KindInfo& kind, std::string_view ns, doc::Document& object);
/// The name and namespace of what is written are those of its URL (BadRequest).
Ok FitName(const Resource& resource, const ObjectName& name, doc::Document& object);
/// The object's kind is the resource's: fills it in, refuses another (BadRequest).
Ok FitKind(const api::KindInfo& kind, doc::Document& object);
/// Takes out what clients may not say of a new object: what only a deletion or the server's bookkeeping sets.
void WipeSystemFields(doc::Document& object);
/// Leaves each owner in once, and warns of it. `admitted`: what admission has made of the object.
enum class OwnersOf : uint8_t { kRequest, kAdmitted };
void MergeOwners(RequestContext& context, OwnersOf whose, doc::Document& object);
/// uid, creationTimestamp.
void StampNew(rt::Runtime& runtime, WallTime now, doc::Document& object);
/// Keeps of the old metadata what an update may not change by leaving it out.
void CarryOver(doc::Document& object, const doc::Value& old);

/// A write's precondition that the stored object does not meet, as upstream's storage says it.
Status PreconditionError(const Resource& resource, const ObjectName& name, std::string_view what,
                         std::string_view wanted, std::string_view present);

/// A UID that is wanted and not there; "" wants none.
Ok CheckUid(const Resource& resource, const ObjectName& name, std::string_view wanted, std::string_view present);

/// metadata's numbers and texts, absent ones as nullopt.
std::optional<int64_t> DeletionGrace(const doc::Value& object);
bool IsDeleting(const doc::Value& object);
bool HasFinalizers(const doc::Value& object);
std::string_view NameOf(const doc::Value& object);
void SetDeletion(doc::Document& object, WallTime when, int64_t grace_seconds);
void BumpGeneration(doc::Document& object);

}  // namespace knarr::apiserver
