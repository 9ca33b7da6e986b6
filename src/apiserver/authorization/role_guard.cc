#include "apiserver/authorization/role_guard.h"

#include <fmt/format.h>

#include "apiserver/authorization/rules.h"
#include "apiserver/errors.h"
#include "apiserver/object_meta.h"
#include "base/strings.h"
#include "rt/sync.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kGroup = "rbac.authorization.k8s.io";

// Whether only what the garbage collector changes is changed: nobody needs a right for that.
bool ChangesOwnershipOnly(const Value& object, const Value& old) {
  doc::Document copy = doc::Document::Copy(object);
  Value& metadata = Metadata(copy);
  for (const std::string_view member : {"ownerReferences", "finalizers", "managedFields"}) {
    const Value& before = old.Get("metadata", member);
    metadata.Remove(member);
    if (!before.is_null()) metadata.Set(copy.arena, member, before);
  }
  return copy.root.Equals(old);
}

bool Aggregates(const Value& role) { return !role.Get("aggregationRule", "clusterRoleSelectors").empty(); }

std::string MissingText(const UserInfo& user, const std::vector<PolicyRule>& missing) {
  std::vector<std::string> groups;
  for (const std::string& group : user.groups) groups.push_back(GoQuote(group));
  return fmt::format("user {} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
                     GoQuote(user.name), Join(groups, " "), Join(DescribeMissing(missing), "\n"));
}

Status RoleNotFound(std::string_view role_kind, std::string_view name) {
  return NotFoundError({kGroup, role_kind == "Role" ? "roles" : "clusterroles"}, name);
}

}  // namespace

bool IsRbacKind(const api::KindInfo& kind) { return kind.group == kGroup; }

bool RoleGuard::Allowed(const RequestContext& context, std::string_view verb, const GroupResource& what,
                        std::string_view ns, std::string_view name) const {
  Attributes attributes;
  attributes.user = context.user;
  attributes.verb = verb;
  attributes.resource_request = true;
  attributes.group = what.group;
  attributes.version = "*";
  attributes.resource = what.resource;
  attributes.ns = ns;
  attributes.name = name;
  return authorizer_.Authorize(context.runtime, attributes).allowed();
}

std::string RoleGuard::Escalation(const UserInfo& user, std::string_view ns,
                                  const std::vector<PolicyRule>& rules) const {
  const std::shared_ptr<const RbacState> state = index_.state();
  std::vector<const PolicyRule*> owned;
  std::vector<std::string> errors;
  state->VisitRules(user, ns, [&](const RbacBinding& binding, const PolicyRule* rule, const std::string& /*error*/) {
    if (rule != nullptr) {
      owned.push_back(rule);
    } else {
      errors.push_back(RoleNotFound(binding.role_kind, binding.role_name).message());
    }
    return true;
  });
  const std::vector<PolicyRule> missing = Uncovered(owned, rules);
  if (missing.empty()) return {};
  std::string text = MissingText(user, missing);
  if (!errors.empty()) text += fmt::format("; resolution errors: [{}]", AggregateText(errors));
  return text;
}

Ok RoleGuard::Check(const RequestContext& context, const api::KindInfo& kind, std::string_view ns,
                    std::string_view name, const Value& object, const Value* old) const {
  if (!IsRbacKind(kind) || IsMember(context.user, kMasters)) return {};
  if (kind.plural == "roles" || kind.plural == "clusterroles") {
    return CheckRole(context, kind, ns, name, object, old);
  }
  if (old != nullptr && ChangesOwnershipOnly(object, *old)) return {};
  return CheckBinding(context, kind, ns, object);
}

Ok RoleGuard::CheckRole(const RequestContext& context, const api::KindInfo& kind, std::string_view ns,
                        std::string_view name, const Value& object, const Value* old) const {
  if (Allowed(context, "escalate", ResourceOf(kind), ns, name)) return {};
  if (old != nullptr && ChangesOwnershipOnly(object, *old)) return {};
  std::string why = Escalation(context.user, ns, ReadRules(object.At("rules")));
  if (!why.empty()) return ForbiddenError(ResourceOf(kind), NameOf(object), why);
  if (!Aggregates(object) && (old == nullptr || !Aggregates(*old))) return {};
  // What an aggregated role will gather may be anything.
  const std::vector<PolicyRule> everything = {{{"*"}, {"*"}, {"*"}, {}, {}}, {{"*"}, {}, {}, {}, {"*"}}};
  if (Escalation(context.user, ns, everything).empty()) return {};
  return ForbiddenError(ResourceOf(kind), NameOf(object),
                        "must have cluster-admin privileges to use the aggregationRule");
}

Ok RoleGuard::CheckBinding(const RequestContext& context, const api::KindInfo& kind, std::string_view ns,
                           const Value& object) const {
  const std::string_view role_kind = object.Get("roleRef", "kind").AsString();
  const std::string_view role_name = object.Get("roleRef", "name").AsString();
  if (role_kind != "Role" && role_kind != "ClusterRole") {
    return Status(Reason::kUnknown, fmt::format("unsupported role reference kind: {}", GoQuote(role_kind)));
  }
  const GroupResource bound{object.Get("roleRef", "apiGroup").AsString(),
                            role_kind == "Role" ? "roles" : "clusterroles"};
  if (Allowed(context, "bind", bound, ns, role_name)) return {};
  const std::shared_ptr<const RbacRole> role = index_.state()->RoleOf(role_kind, role_name, ns);
  if (role == nullptr) return RoleNotFound(role_kind, role_name);
  const std::string why = Escalation(context.user, ns, role->rules);
  if (!why.empty()) return ForbiddenError(ResourceOf(kind), NameOf(object), why);
  return {};
}

void RoleGuard::Settle(const RequestContext& context, rt::Runtime& world, store::Revision revision) const {
  rt::CallOn(context.runtime, world, [&] { index_.WaitFor(revision); });
}

}  // namespace knarr::apiserver
