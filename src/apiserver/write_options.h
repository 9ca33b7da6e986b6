#pragma once

// The options of a write as its URL gives them, checked as upstream checks CreateOptions, UpdateOptions and
// PatchOptions.

#include <optional>
#include <string_view>

#include "apiserver/operations.h"
#include "client/client.h"
#include "net/http.h"

namespace knarr::apiserver {

/// `patch` for the options of a patch. Invalid with a cause for each option that is wrong.
Result<WriteRequest> ReadWriteOptions(const net::Request& request, std::string_view options_kind,
                                      std::optional<client::PatchType> patch = std::nullopt);

}  // namespace knarr::apiserver
