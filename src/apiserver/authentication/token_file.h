#pragma once

// The file of static tokens, as kube-apiserver's --token-auth-file: CSV records of token, user name, user uid and, if
// there are any, the groups in one field with commas.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apiserver/user.h"
#include "base/status.h"

namespace knarr::apiserver {

/// RFC 4180 as Go's encoding/csv reads it. BadRequest with its message otherwise.
Result<std::vector<std::vector<std::string>>> ParseCsv(std::string_view text);

using StaticTokens = std::vector<std::pair<std::string, UserInfo>>;

/// `path` stands in messages.
Result<StaticTokens> ParseTokenFile(std::string_view text, std::string_view path);

}  // namespace knarr::apiserver
