#pragma once

// Where a list goes on: upstream's token, so that clients and tools that look into it (none should) find what they
// know.

#include <string>
#include <string_view>

#include "base/status.h"
#include "store/store.h"

namespace knarr::apiserver {

struct ContinueToken {
  store::Revision revision = 0;  ///< -1: whatever is newest (the token given with an Expired error)
  std::string start_after;       ///< the last key of the page before, behind the list's prefix
};

std::string EncodeContinueToken(const ContinueToken& token);
/// BadRequest when it is none of ours.
Result<ContinueToken> DecodeContinueToken(std::string_view text);

}  // namespace knarr::apiserver
