#pragma once

// What goes along with one request through the pipeline.

#include <optional>
#include <string>
#include <vector>

#include "apiserver/apiserver.h"
#include "apiserver/warnings.h"
#include "rt/runtime.h"

namespace knarr::apiserver {

class AuditEvent;
class Local;

struct RequestContext {
  /// The runtime whose fiber handles the request, and what the server keeps on it.
  rt::Runtime& runtime;
  Local& local;
  UserInfo user;
  Warnings warnings;
  /// What is noted of the request for the audit log; null: nothing.
  AuditEvent* audit = nullptr;
  /// Set with an Expired error of a list: the token with which the client may go on (in a newer state).
  std::string error_continue;
  /// Who sends the request, when it acts as another user.
  std::optional<UserInfo> impersonator = std::nullopt;
};

}  // namespace knarr::apiserver
