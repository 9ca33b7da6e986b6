#pragma once

#include "apiserver/authorization/rbac_index.h"

namespace knarr::apiserver {

/// Allows what a rule of a role bound to the user allows. The index must outlive it.
std::unique_ptr<Authorizer> MakeRbacAuthorizer(const RbacIndex& index);

}  // namespace knarr::apiserver
