#pragma once

#include "apiserver/authentication/token_authenticator.h"
#include "apiserver/webhook_review.h"

namespace knarr::apiserver {

/// Tokens that a webhook knows. Its answers may be used for `cache_time`.
std::unique_ptr<TokenAuthenticator> MakeWebhookTokenAuthenticator(ReviewWebhook& webhook, Duration cache_time,
                                                                  std::vector<std::string> api_audiences);

}  // namespace knarr::apiserver
