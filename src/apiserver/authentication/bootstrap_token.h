#pragma once

#include <memory>

#include "apiserver/authentication/token_authenticator.h"
#include "store/store.h"

namespace knarr::apiserver {

/// Tokens that new nodes come with: "ID.SECRET", kept in the secrets bootstrap-token-ID of kube-system. The store must
/// outlive it.
std::unique_ptr<TokenAuthenticator> MakeBootstrapTokenAuthenticator(const store::Store& store,
                                                                    std::vector<std::string> api_audiences);

}  // namespace knarr::apiserver
