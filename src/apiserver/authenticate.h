#pragma once

#include "apiserver/core.h"
#include "net/http.h"

namespace knarr::apiserver {

/// Who a request comes from: a verified client certificate (CN, O), a static token, a service account's token, or else
/// system:anonymous. Unauthorized for credentials that are no good.
Result<UserInfo> Authenticate(const net::Request& request, Core& core, rt::Runtime& runtime);

}  // namespace knarr::apiserver
