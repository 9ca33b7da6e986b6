#pragma once

// The roles and bindings of the store, decoded once and indexed by subject, so that a request is decided by a few
// lookups. A fiber of the world follows the store and publishes immutable states; any thread reads the newest.
//
// A state is cut by namespace ("" is the cluster's own), and the namespaces by hash into shards: a change copies its
// namespace and its shard, and shares all the rest with the state before.

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "apiserver/authorization/authorizer.h"
#include "apiserver/follower.h"
#include "rt/runtime.h"
#include "store/store.h"

namespace knarr::apiserver {

/// Maps by text that are searched with a view.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <typename T>
using TextMap = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

struct RbacSubject {
  std::string kind;
  std::string name;
  std::string ns;
};

/// A RoleBinding, or with ns "" a ClusterRoleBinding.
struct RbacBinding {
  std::string ns;
  std::string name;
  std::string role_kind;
  std::string role_name;
  std::vector<RbacSubject> subjects;

  /// `ClusterRoleBinding "a" of ClusterRole "b" to Group "c"`, with the first subject that is the user.
  std::string Describe(const UserInfo& user) const;
};

struct RbacRole {
  std::vector<PolicyRule> rules;
};

/// What one namespace has.
struct RbacScope {
  std::map<std::string, std::shared_ptr<const RbacRole>, std::less<>> roles;
  std::map<std::string, std::shared_ptr<const RbacBinding>, std::less<>> bindings;
  /// The bindings whose subjects name a user (service accounts by their user name) or a group.
  TextMap<std::vector<const RbacBinding*>> by_user;
  TextMap<std::vector<const RbacBinding*>> by_group;
};

class RbacState {
 public:
  /// Each rule that applies to the user in the namespace, and each error on the way (then `rule` is null and `binding`
  /// is not needed), in the order of the bindings' names, the cluster's first. Stops when `visit` returns false.
  using Visit = std::function<bool(const RbacBinding& binding, const PolicyRule* rule, const std::string& error)>;
  void VisitRules(const UserInfo& user, std::string_view ns, const Visit& visit) const;
  /// The role a binding of the namespace means; null when there is none.
  std::shared_ptr<const RbacRole> RoleOf(std::string_view role_kind, std::string_view role_name,
                                         std::string_view ns) const;

 private:
  friend class RbacStateEdit;
  static constexpr size_t kShards = 64;
  using Shard = TextMap<std::shared_ptr<const RbacScope>>;

  const RbacScope* Scope(std::string_view ns) const;
  bool VisitScope(const RbacScope& scope, const UserInfo& user, const Visit& visit) const;

  std::array<std::shared_ptr<const Shard>, kShards> shards_;
};

/// The newest state, kept up to date from the store.
class RbacIndex {
 public:
  RbacIndex(rt::Runtime& world, store::Store& store);
  /// Reads what there is, then follows. World fiber.
  void Start() { follower_.Start(); }
  void Stop() { follower_.Stop(); }
  /// Any thread.
  std::shared_ptr<const RbacState> state() const { return state_.load(std::memory_order_acquire); }
  /// Suspends until every change up to this durable revision counts, so that who granted something finds it granted.
  /// World fiber.
  void WaitFor(store::Revision revision) { follower_.WaitFor(revision); }

 private:
  std::atomic<std::shared_ptr<const RbacState>> state_;
  Follower follower_;
};

}  // namespace knarr::apiserver
