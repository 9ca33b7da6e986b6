#include "apiserver/authorization/rbac_index.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/authorization/rules.h"
#include "apiserver/object_io.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kPrefix = "/registry/rbac.authorization.k8s.io/";
// The user name of a service account subject, "" when it has none. In a ClusterRoleBinding it names its namespace.
std::string AccountName(const RbacSubject& subject, std::string_view ns) {
  const std::string_view space = subject.ns.empty() ? ns : std::string_view(subject.ns);
  if (space.empty()) return {};
  return fmt::format("{}{}:{}", kServiceAccountPrefix, space, subject.name);
}

bool IsSubject(const RbacSubject& subject, std::string_view ns, const UserInfo& user) {
  if (subject.kind == "User") return subject.name == user.name;
  if (subject.kind == "Group") return IsMember(user, subject.name);
  return subject.kind == "ServiceAccount" && AccountName(subject, ns) == user.name;
}

std::shared_ptr<const RbacBinding> ReadBinding(std::string_view ns, std::string_view name, const std::string& bytes) {
  const doc::Document object = DecodeStored(bytes);
  auto out = std::make_shared<RbacBinding>();
  out->ns = ns;
  out->name = name;
  out->role_kind = object.root.Get("roleRef", "kind").AsString();
  out->role_name = object.root.Get("roleRef", "name").AsString();
  for (const doc::Value& subject : object.root.At("subjects").items()) {
    out->subjects.push_back({std::string(subject.At("kind").AsString()), std::string(subject.At("name").AsString()),
                             std::string(subject.At("namespace").AsString())});
  }
  return out;
}

void IndexSubjects(RbacScope& scope) {
  scope.by_user.clear();
  scope.by_group.clear();
  const auto add = [](auto& map, std::string key, const RbacBinding* binding) {
    std::vector<const RbacBinding*>& list = map[std::move(key)];
    if (list.empty() || list.back() != binding) list.push_back(binding);
  };
  for (const auto& [name, binding] : scope.bindings) {
    for (const RbacSubject& subject : binding->subjects) {
      if (subject.kind == "User") add(scope.by_user, subject.name, binding.get());
      if (subject.kind == "Group") add(scope.by_group, subject.name, binding.get());
      if (subject.kind == "ServiceAccount") add(scope.by_user, AccountName(subject, binding->ns), binding.get());
    }
  }
}

}  // namespace

/// A state being made from the one before.
class RbacStateEdit {
 public:
  explicit RbacStateEdit(const RbacState& base) : next_(std::make_shared<RbacState>(base)) {}

  /// What stands under the key now; null: nothing.
  void Put(std::string_view key, const store::Bytes& value) {
    const std::vector<std::string_view> parts = Split(key.substr(kPrefix.size()), '/');
    const bool cluster = parts.size() == 2;
    if (!cluster && parts.size() != 3) return;
    const std::string_view ns = cluster ? std::string_view() : parts[1];
    const std::string name(parts.back());
    RbacScope& scope = Touch(ns);
    if (parts[0].ends_with("bindings")) {
      if (value == nullptr) {
        scope.bindings.erase(name);
      } else {
        scope.bindings.insert_or_assign(name, ReadBinding(ns, name, *value));
      }
    } else if (value == nullptr) {
      scope.roles.erase(name);
    } else {
      const doc::Document role = DecodeStored(*value);
      scope.roles.insert_or_assign(name, std::make_shared<RbacRole>(ReadRules(role.root.At("rules"))));
    }
  }

  std::shared_ptr<const RbacState> Finish() {
    std::map<size_t, std::shared_ptr<RbacState::Shard>> shards;
    for (auto& [ns, scope] : touched_) {
      IndexSubjects(*scope);
      const size_t at = TextHash()(ns) % RbacState::kShards;
      std::shared_ptr<RbacState::Shard>& shard = shards[at];
      if (shard == nullptr) {
        const auto& old = next_->shards_[at];
        shard = old == nullptr ? std::make_shared<RbacState::Shard>() : std::make_shared<RbacState::Shard>(*old);
      }
      if (scope->roles.empty() && scope->bindings.empty()) {
        shard->erase(ns);
      } else {
        (*shard)[ns] = std::move(scope);
      }
    }
    for (auto& [at, shard] : shards) next_->shards_[at] = std::move(shard);
    return std::move(next_);
  }

 private:
  RbacScope& Touch(std::string_view ns) {
    std::shared_ptr<RbacScope>& scope = touched_[std::string(ns)];
    if (scope == nullptr) {
      const RbacScope* old = next_->Scope(ns);
      scope = old == nullptr ? std::make_shared<RbacScope>() : std::make_shared<RbacScope>(*old);
    }
    return *scope;
  }

  std::shared_ptr<RbacState> next_;
  std::map<std::string, std::shared_ptr<RbacScope>> touched_;
};

std::string RbacBinding::Describe(const UserInfo& user) const {
  std::string out = fmt::format("{} {} of {} {} to ", ns.empty() ? "ClusterRoleBinding" : "RoleBinding",
                                GoQuote(ns.empty() ? name : name + "/" + ns), role_kind, GoQuote(role_name));
  for (const RbacSubject& subject : subjects) {
    if (!IsSubject(subject, ns, user)) continue;
    const bool account = subject.kind == "ServiceAccount";
    const std::string space = account ? "/" + (subject.ns.empty() ? ns : subject.ns) : "";
    return out + subject.kind + " " + GoQuote(subject.name + space);
  }
  return out;
}

const RbacScope* RbacState::Scope(std::string_view ns) const {
  const std::shared_ptr<const Shard>& shard = shards_[TextHash()(ns) % kShards];
  if (shard == nullptr) return nullptr;
  const auto found = shard->find(ns);
  return found == shard->end() ? nullptr : found->second.get();
}

std::shared_ptr<const RbacRole> RbacState::RoleOf(std::string_view role_kind, std::string_view role_name,
                                                  std::string_view ns) const {
  const RbacScope* scope = role_kind == "ClusterRole" ? Scope("") : ns.empty() ? nullptr : Scope(ns);
  if (scope == nullptr) return nullptr;
  const auto found = scope->roles.find(role_name);
  return found == scope->roles.end() ? nullptr : found->second;
}

bool RbacState::VisitScope(const RbacScope& scope, const UserInfo& user, const Visit& visit) const {
  std::vector<const RbacBinding*> bindings;
  const auto add = [&](const auto& map, std::string_view key) {
    const auto found = map.find(key);
    if (found != map.end()) bindings.insert(bindings.end(), found->second.begin(), found->second.end());
  };
  add(scope.by_user, user.name);
  for (const std::string& group : user.groups) add(scope.by_group, group);
  std::ranges::sort(bindings, {}, &RbacBinding::name);
  const auto repeated = std::ranges::unique(bindings);
  bindings.erase(repeated.begin(), repeated.end());
  for (const RbacBinding* binding : bindings) {
    const std::shared_ptr<const RbacRole> role = RoleOf(binding->role_kind, binding->role_name, binding->ns);
    if (role == nullptr) {
      const std::string_view kind = binding->role_kind == "Role" ? "role" : "clusterrole";
      if (!visit(*binding, nullptr,
                 fmt::format("{}.rbac.authorization.k8s.io {} not found", kind, GoQuote(binding->role_name)))) {
        return false;
      }
      continue;
    }
    for (const PolicyRule& rule : role->rules) {
      if (!visit(*binding, &rule, {})) return false;
    }
  }
  return true;
}

void RbacState::VisitRules(const UserInfo& user, std::string_view ns, const Visit& visit) const {
  const RbacScope* cluster = Scope("");
  if (cluster != nullptr && !VisitScope(*cluster, user, visit)) return;
  const RbacScope* space = ns.empty() ? nullptr : Scope(ns);
  if (space != nullptr) VisitScope(*space, user, visit);
}

RbacIndex::RbacIndex(rt::Runtime& world, store::Store& store)
    : state_(std::make_shared<const RbacState>()),
      follower_(world, store,
                {"rbac-index", std::string(kPrefix),
                 [this](const store::Snapshot& snapshot) {
                   RbacStateEdit edit{RbacState()};
                   snapshot.Visit(kPrefix, "", [&](std::string_view key, const store::Bytes& value, store::Revision) {
                     edit.Put(key, value);
                     return true;
                   });
                   state_.store(edit.Finish(), std::memory_order_release);
                 },
                 [this](const std::vector<store::EventPtr>& events) {
                   RbacStateEdit edit(*state());
                   for (const store::EventPtr& event : events) edit.Put(event->key, event->value);
                   state_.store(edit.Finish(), std::memory_order_release);
                 }}) {}

}  // namespace knarr::apiserver
