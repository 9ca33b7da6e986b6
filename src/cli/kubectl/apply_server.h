#pragma once

// kubectl apply --server-side: the server merges; what remains here is to take over what client-side apply managed
// before.

#include <string_view>

#include "api/object.h"
#include "cli/kubectl/session.h"
#include "client/client.h"

namespace knarr::cli {

/// Applies the manifest as the field manager of `options`, and moves the fields of client-side apply's managers to it.
Result<api::ObjectPtr> ApplyOnServer(Session& session, const api::KindInfo& kind, const client::ObjectName& name,
                                     const doc::Value& manifest, const client::WriteOptions& options);

/// The JSON patch that makes `manager` of what the Updates of `old_managers` manage; "" when there is nothing to move.
std::string ManagerUpgradePatch(const doc::Value& object, const std::vector<std::string>& old_managers,
                                std::string_view manager);

}  // namespace knarr::cli
