#pragma once

// Who may do what. An authorizer looks at the attributes of a request and allows it, denies it, or has no opinion; the
// server asks several in turn (system:masters, Node, RBAC, webhook), and what nobody allows is forbidden.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/user.h"
#include "base/selector.h"
#include "rt/runtime.h"

namespace knarr::apiserver {

/// What is asked, as authorizers see it (authorization/v1 attributes).
struct Attributes {
  UserInfo user;
  std::string verb;  ///< "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"
  bool resource_request = false;
  std::string group;
  std::string version;
  std::string resource;
  std::string subresource;
  std::string ns;
  std::string name;
  std::string path;  ///< for requests that are for no resource
  /// Of list, watch and deletecollection: what is asked for is limited to this. An error says that (part of) a selector
  /// could not be read; what could be read still limits.
  FieldSelector field_selector = {};
  LabelSelector label_selector = {};
  bool field_selector_bad = false;
  bool label_selector_bad = false;
};

enum class Decision : uint8_t { kNoOpinion, kAllow, kDeny };

struct Verdict {
  Decision decision = Decision::kNoOpinion;
  std::string reason;
  std::string error;  ///< what went wrong while deciding; "" for nothing

  bool allowed() const { return decision == Decision::kAllow; }
};

/// rbac/v1 PolicyRule, also what a rules review answers with.
struct PolicyRule {
  std::vector<std::string> verbs;
  std::vector<std::string> api_groups;
  std::vector<std::string> resources;
  std::vector<std::string> resource_names;
  std::vector<std::string> non_resource_urls;

  bool operator==(const PolicyRule&) const = default;
};

/// What a user may do in a namespace, as far as it can be told.
struct RuleSet {
  std::vector<PolicyRule> rules;
  bool incomplete = false;
  std::vector<std::string> errors;
};

class Authorizer {
 public:
  virtual ~Authorizer() = default;
  /// Any of the server's runtimes; `here` is the one whose fiber asks.
  virtual Verdict Authorize(rt::Runtime& here, const Attributes& attributes) = 0;
  /// Adds what the user may do in the namespace ("": at the cluster's scope).
  virtual void AddRules(const UserInfo& user, std::string_view ns, RuleSet& rules) = 0;
};

/// Members of system:masters may do everything.
std::unique_ptr<Authorizer> MakeMastersAuthorizer();
/// Asks each in turn until one allows or denies. They must outlive it.
std::unique_ptr<Authorizer> MakeUnionAuthorizer(std::vector<Authorizer*> authorizers);

/// `pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "default": why`
Status ForbiddenTo(const Attributes& attributes, std::string_view reason);

/// Several errors as one text, as Go's aggregate prints them: each once, in brackets when there are several.
std::string AggregateText(const std::vector<std::string>& errors);

}  // namespace knarr::apiserver
