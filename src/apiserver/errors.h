#pragma once

// The API's errors in upstream's words (apimachinery's errors package), with the details that clients switch on.

#include <string>
#include <string_view>

#include "api/schema.h"
#include "base/status.h"
#include "doc/value.h"

namespace knarr::apiserver {

/// What an error is about: a resource of a group ("pods", "deployments.apps").
struct GroupResource {
  std::string_view group;
  std::string_view resource;
  std::string ToString() const;
};
inline GroupResource ResourceOf(const api::KindInfo& kind) { return {kind.group, kind.plural}; }

/// `pods "x" not found`
Status NotFoundError(const GroupResource& what, std::string_view name);
/// `pods "x" already exists`
Status AlreadyExistsError(const GroupResource& what, std::string_view name);
/// `Operation cannot be fulfilled on pods "x": why`
Status ConflictError(const GroupResource& what, std::string_view name, std::string_view why);
/// The same with "the object has been modified; please apply your changes to the latest version and try again".
Status ModifiedError(const GroupResource& what, std::string_view name);
/// `pods "x" is forbidden: why`; without a name `pods is forbidden: why`.
Status ForbiddenError(const GroupResource& what, std::string_view name, std::string_view why);
/// `Pod "x" is invalid: spec.a: Required value` from one or several causes (`status` carries them).
Status InvalidError(const api::KindInfo& kind, std::string_view name, std::vector<StatusCause> causes);
/// `delete is not supported on resources of kind "pods"`
Status MethodNotAllowedError(const GroupResource& what, std::string_view verb);
/// `Internal error occurred: why`
Status InternalError(std::string_view why);
/// `the server could not find the requested resource`
Status NoSuchResourceError();
/// `the server does not allow this method on the requested resource`
Status RouteMethodError();
/// An error that upstream makes of an HTTP code alone: its details are there, and empty.
Status RouteError(Reason reason, std::string message);
/// `Too large resource version: 5, current: 3`, as a Timeout that clients know by its cause.
Status TooLargeResourceVersionError(int64_t asked, int64_t current);

/// What upstream passes on without a reason of its own: code 500, and the message alone.
Status BareError(std::string message);

/// What upstream's own code calls a kind, where its messages tell: "core.ConfigMap".
std::string InternalName(const api::KindInfo& kind);

/// The metav1.Status object of an error, as it goes over the wire. `continue_token` stands in its metadata.
void WriteStatusObject(const Status& status, std::string& json, std::string_view continue_token = {});
doc::Document StatusDocument(const Status& status, std::string_view continue_token = {});

}  // namespace knarr::apiserver
