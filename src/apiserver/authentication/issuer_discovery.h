#pragma once

// What others need to verify service accounts' tokens: OpenID Connect's discovery documents.

#include "apiserver/http_face.h"

namespace knarr::apiserver {

/// Whether this is the path of one of the documents.
bool IsIssuerDiscoveryPath(std::string_view path);
Result<Answer> AnswerIssuerDiscovery(const Call& call, Core& core);

}  // namespace knarr::apiserver
