#pragma once

#include <optional>

#include "apiserver/authorization/node_graph.h"

namespace knarr::apiserver {

/// The node whose user this is (system:node:NAME, of the group system:nodes); "" when it does not say which; nullopt
/// for everybody else.
std::optional<std::string_view> NodeOf(const UserInfo& user);

/// Allows nodes what they need for the pods bound to them. The graph belongs to `world`; both must outlive it.
std::unique_ptr<Authorizer> MakeNodeAuthorizer(rt::Runtime& world, const store::Store& store, NodeGraph& graph);

}  // namespace knarr::apiserver
