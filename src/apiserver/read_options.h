#pragma once

// The options of lists, watches and deletes as a request gives them, checked as upstream checks ListOptions and
// DeleteOptions.

#include <optional>

#include "apiserver/http_face.h"
#include "apiserver/registry.h"
#include "apiserver/watch_session.h"
#include "client/client.h"

namespace knarr::apiserver {

/// BadRequest for what can't be read, Invalid with a cause for each option that is wrong.
Result<ListRequest> ReadListOptions(const Call& call);
Result<WatchRequest> ReadWatchOptions(const Call& call);
struct DeleteRequest {
  client::DeleteOptions options;
  /// orphanDependents=false: the answer says when that will take a while.
  bool cascades = false;
};
/// From the body or, when there is none, from the query.
Result<DeleteRequest> ReadDeleteRequest(Call& call);

}  // namespace knarr::apiserver
