#pragma once

#include "apiserver/authorization/authorizer.h"
#include "apiserver/webhook_review.h"

namespace knarr::apiserver {

struct WebhookAuthorizerOptions {
  /// How long answers may be used again.
  Duration allowed_time = std::chrono::minutes(5);
  Duration refused_time = std::chrono::seconds(30);
};

/// Asks a webhook with SubjectAccessReviews. One that can't be reached has no opinion. `runtimes` are all that ask.
std::unique_ptr<Authorizer> MakeWebhookAuthorizer(ReviewWebhook& webhook, WebhookAuthorizerOptions options,
                                                  const std::vector<rt::Runtime*>& runtimes);

}  // namespace knarr::apiserver
