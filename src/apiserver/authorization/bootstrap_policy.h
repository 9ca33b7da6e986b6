#pragma once

// The roles and bindings that every cluster has: Kubernetes 1.36's, as text (bootstrap_policy_cluster.cc,
// bootstrap_policy_controller.cc), and how a cluster that has some of them already is brought up to date.
//
//   ClusterRole NAME [into=R]… [of=R]       its rules follow. into: they are part of the aggregated role R as well;
//                                           of: it is the aggregated role R itself, and has no rules of its own
//   Role NAMESPACE/NAME
//     VERBS GROUPS RESOURCES [names=NAMES]  a rule: lists with commas; the group "core" is the one without a name
//     VERBS url PATHS
//   Controller NAME                         ClusterRole system:controller:NAME, bound to kube-system's account NAME
//   ClusterRoleBinding NAME SUBJECT…        of the ClusterRole of the same name. A subject is KIND:NAME, with the
//   RoleBinding NAMESPACE/NAME SUBJECT…     namespace and a slash before a service account's name. A first subject of
//                                           kind Role or ClusterRole names another role
// A line that is indented by four spaces or more belongs to the one before.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/authorization/authorizer.h"
#include "client/client.h"

namespace knarr::apiserver {

extern const std::string_view kClusterPolicy;
extern const std::string_view kControllerPolicy;

struct PolicyRole {
  std::string ns;  ///< "": a ClusterRole
  std::string name;
  std::vector<std::string> labels;  ///< set to "true"
  std::string aggregates;           ///< takes the rules of the ClusterRoles that have this label; "": has its own
  std::vector<PolicyRule> rules;
};

struct PolicyBinding {
  std::string ns;  ///< "": a ClusterRoleBinding
  std::string name;
  std::string role_kind;
  std::string role_name;
  struct Subject {
    std::string kind;
    std::string ns;
    std::string name;
    bool operator==(const Subject&) const = default;
  };
  std::vector<Subject> subjects;
};

struct BootstrapPolicy {
  std::vector<PolicyRole> roles;
  std::vector<PolicyBinding> bindings;
};

/// Both texts, parsed. CHECKs that they are well-formed: they are part of the program.
BootstrapPolicy ReadBootstrapPolicy();
/// The rules of one of the policy's ClusterRoles.
std::vector<PolicyRule> BootstrapRules(std::string_view cluster_role);

/// The objects as they are created.
doc::Document PolicyObject(const PolicyRole& role);
doc::Document PolicyObject(const PolicyBinding& binding);

/// What brings a cluster up to date, one task an object: creates what is missing, and adds to what is there the rules,
/// subjects, labels and annotations it lacks, unless it is annotated with
/// rbac.authorization.kubernetes.io/autoupdate=false. A binding of another role is made anew. The tasks use the client,
/// which must outlive them, and may run at once.
std::vector<std::function<Ok()>> ReconcileTasks(client::Client& client, const BootstrapPolicy& policy);

// How an object that exists is brought up to date (null: it is fine as it is).
doc::Document ReconciledRole(const doc::Value& existing, const doc::Value& expected);
doc::Document ReconciledBinding(const doc::Value& existing, const doc::Value& expected);

}  // namespace knarr::apiserver
