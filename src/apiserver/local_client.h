#pragma once

#include <memory>

#include "apiserver/local.h"
#include "apiserver/operations.h"
#include "client/client.h"

namespace knarr::apiserver {

/// A Client that calls the operations directly, for fibers of `local`'s runtime. Nothing is serialised on the way but
/// what the store keeps. `agent` manages the fields of what is written without naming a field manager.
std::unique_ptr<client::Client> MakeLocalClient(Operations& operations, Local& local, UserInfo user,
                                                std::string agent);

}  // namespace knarr::apiserver
