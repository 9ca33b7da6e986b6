#pragma once

// Objects on their way between the form they are stored in and the form clients of a resource see. For a resource whose
// kind is the stored one nothing is copied.

#include "api/object.h"
#include "apiserver/resource.h"
#include "base/status.h"
#include "doc/value.h"
#include "store/store.h"

namespace knarr::apiserver {

/// A stored object as the resource's clients see it.
store::Bytes ServedBytes(const Resource& resource, const store::Bytes& stored);
api::ObjectPtr ServedObject(const Resource& resource, api::ObjectPtr stored);
/// A copy of a stored tree as the resource's clients see it.
doc::Document ServedCopy(const Resource& resource, const doc::Value& stored);
/// What a version other than the stored one can't keep is lost, and what the stored one fills in is there: as upstream
/// sees an object, which it reads into a form of its own, when it looks at who wrote what.
Ok ThereAndBack(const Resource& resource, doc::Document& object);
/// What a client gave, in the form that is stored. BadRequest when a part can't be read.
Ok ToStoredForm(const Resource& resource, doc::Document& object);

}  // namespace knarr::apiserver
