#pragma once

// Acting as somebody else: the Impersonate-* headers, and whether who sends them may.
//
// There are several ways of being allowed to (Kubernetes 1.36's constrained impersonation), asked one after the other:
// as the node one's pod runs on, as any node, as a service account, as another user: each needs a right to be that user
// (the verb "impersonate:MODE") and one for what is done as that user ("impersonate-on:MODE:VERB"); and the way of old,
// which needs the verb "impersonate" alone.

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "apiserver/authorization/authorizer.h"
#include "net/http.h"

namespace knarr::apiserver {

/// Whom the headers ask to be, as they say it; nullopt when there are none. BadRequest when they name no user.
Result<std::optional<UserInfo>> WantedUser(const net::Headers& headers);

/// Who somebody has become, and by which right: the verb "impersonate:MODE", "" for that of old.
struct Impersonated {
  UserInfo user;
  std::string constraint;
};

class Impersonator {
 public:
  /// `runtimes` are all that ask. Everything must outlive it.
  Impersonator(Authorizer& authorizer, const std::vector<rt::Runtime*>& runtimes);
  ~Impersonator();
  /// The user to be, with the groups it has: Forbidden when the request's user may not be that one. `attributes` are
  /// the request's, with who sends it.
  Result<Impersonated> Impersonate(rt::Runtime& here, const UserInfo& wanted, const Attributes& attributes);

 private:
  class Attempt;
  struct PerRuntime {
    rt::Runtime* runtime;
    /// The way that was open to a user the last time, tried first the next time.
    std::unordered_map<std::string, size_t> last_mode;
  };
  Authorizer& authorizer_;
  std::vector<PerRuntime> per_runtime_;
};

}  // namespace knarr::apiserver
