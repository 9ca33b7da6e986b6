#pragma once

#include "apiserver/authentication/service_account_tokens.h"
#include "apiserver/request.h"
#include "doc/value.h"
#include "store/store.h"

namespace knarr::apiserver {

/// The answer to a TokenRequest for an account. `api_audiences` are the token's when it asks for none.
Result<doc::Document> AnswerTokenRequest(const ServiceAccountTokens& tokens,
                                         const std::vector<std::string>& api_audiences, RequestContext& context,
                                         const store::Snapshot& snapshot, const doc::Value& account,
                                         doc::Document request);

}  // namespace knarr::apiserver
