#pragma once

// Nobody may grant what they do not have: the checks on writing roles and bindings.

#include "apiserver/authorization/rbac_index.h"
#include "apiserver/errors.h"
#include "apiserver/request.h"

namespace knarr::apiserver {

/// Whether the kind is one of RBAC's own.
bool IsRbacKind(const api::KindInfo& kind);

class RoleGuard {
 public:
  RoleGuard(RbacIndex& index, Authorizer& authorizer) : index_(index), authorizer_(authorizer) {}

  /// Refuses (Forbidden) a role with rules, or a binding of a role with rules, that the user does not have, unless the
  /// user may "escalate" or "bind". `old` is null for what is created; `name` is what the request's path names.
  Ok Check(const RequestContext& context, const api::KindInfo& kind, std::string_view ns, std::string_view name,
           const doc::Value& object, const doc::Value* old) const;
  /// Suspends until what is written now counts. `world` is the runtime of the index.
  void Settle(const RequestContext& context, rt::Runtime& world, store::Revision revision) const;

 private:
  Ok CheckRole(const RequestContext& context, const api::KindInfo& kind, std::string_view ns, std::string_view name,
               const doc::Value& object, const doc::Value* old) const;
  Ok CheckBinding(const RequestContext& context, const api::KindInfo& kind, std::string_view ns,
                  const doc::Value& object) const;
  /// "" when the user has all of the rules; otherwise what is to be said about it.
  std::string Escalation(const UserInfo& user, std::string_view ns, const std::vector<PolicyRule>& rules) const;
  bool Allowed(const RequestContext& context, std::string_view verb, const GroupResource& what, std::string_view ns,
               std::string_view name) const;

  RbacIndex& index_;
  Authorizer& authorizer_;
};

}  // namespace knarr::apiserver
