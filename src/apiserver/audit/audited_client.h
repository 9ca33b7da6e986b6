#pragma once

#include <memory>
#include <string>

#include "apiserver/audit/log.h"
#include "apiserver/local.h"
#include "client/client.h"

namespace knarr::apiserver {

/// In-process calls in the audit log, like requests over HTTP: `inner` is a LocalClient of this user and this runtime.
std::unique_ptr<client::Client> MakeAuditedClient(std::unique_ptr<client::Client> inner, AuditLog& log, Local& local,
                                                  UserInfo user, std::string agent);

}  // namespace knarr::apiserver
