#pragma once

// Reviews that a webhook answers: a TokenReview or SubjectAccessReview is posted to the URL of a kubeconfig's cluster,
// and comes back with its status.

#include <memory>
#include <string>
#include <string_view>

#include "apiserver/remote.h"
#include "client/kubeconfig.h"
#include "doc/value.h"

namespace knarr::apiserver {

class ReviewWebhook {
 public:
  /// `api_version` and `kind` are those of the reviews. Everything must outlive it.
  ReviewWebhook(rt::Runtime& world, Remote& remote, const client::RestConfig& config, std::string api_version,
                std::string kind);
  /// Posts a review of this spec and gives the status of the answer, after some tries when the webhook is not well.
  /// Any of the server's runtimes.
  Result<doc::Document> Ask(rt::Runtime& here, const doc::Value& spec);

 private:
  Result<doc::Document> Post(const std::string& body);

  rt::Runtime& world_;
  Remote& remote_;
  net::ClientRequest request_;  // without its body
  Result<net::Url> url_;
  const std::string api_version_;
  const std::string kind_;
};

/// The way to a kubeconfig's server.
Result<std::unique_ptr<Remote>> MakeRemoteOf(rt::Runtime& world, const client::RestConfig& config);

}  // namespace knarr::apiserver
