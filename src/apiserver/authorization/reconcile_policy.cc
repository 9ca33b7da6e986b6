#include <fmt/format.h>

#include <algorithm>

#include "apiserver/authorization/bootstrap_policy.h"
#include "apiserver/authorization/rules.h"
#include "base/check.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

// How often an object is looked at again that others change meanwhile.
constexpr int kTries = 4;

bool IsProtected(const Value& object) {
  return object.Get("metadata", "annotations", "rbac.authorization.kubernetes.io/autoupdate").AsString() == "false";
}

// Adds what a map of metadata lacks; what it has stays.
bool AddMissing(doc::Document& object, const Value& expected, std::string_view member) {
  bool changed = false;
  for (const doc::Member& wanted : expected.Get("metadata", member).members()) {
    Value& map = object.root.Ensure(object.arena, "metadata").Ensure(object.arena, member);
    if (map.Find(wanted.key) != nullptr) continue;
    map.SetCopy(object.arena, wanted.key, wanted.value.Clone(object.arena));
    changed = true;
  }
  return changed;
}

bool AddMissingItems(doc::Document& object, Value& list, const Value& expected) {
  bool changed = false;
  for (const Value& wanted : expected.items()) {
    const bool has = std::ranges::any_of(list.items(), [&](const Value& item) { return item.Equals(wanted); });
    if (has) continue;
    list.Append(object.arena, wanted.Clone(object.arena));
    changed = true;
  }
  return changed;
}

bool AddMissingRules(doc::Document& object, const Value& expected) {
  const std::vector<PolicyRule> existing = ReadRules(object.root.At("rules"));
  std::vector<const PolicyRule*> owned;
  for (const PolicyRule& rule : existing) owned.push_back(&rule);
  const std::vector<PolicyRule> missing = Uncovered(owned, ReadRules(expected.At("rules")));
  if (missing.empty()) return false;
  Value& rules = object.root.Ensure(object.arena, "rules");
  for (const PolicyRule& rule : missing) rules.Append(object.arena, WriteRule(rule, object.arena));
  return true;
}

bool MatchAggregation(doc::Document& object, const Value& expected) {
  const Value& wanted = expected.At("aggregationRule");
  if (wanted.is_null()) return object.root.Remove("aggregationRule");
  Value& rule = object.root.Ensure(object.arena, "aggregationRule");
  Value& selectors = rule.Ensure(object.arena, "clusterRoleSelectors");
  return AddMissingItems(object, selectors, wanted.At("clusterRoleSelectors"));
}

using Reconciled = doc::Document (*)(const Value& existing, const Value& expected);

Ok EnsureOnce(client::Client& client, const api::KindInfo& kind, const client::ObjectName& name, const Value& expected,
              Reconciled reconciled) {
  const auto existing = client.Get(kind, name);
  if (existing.Failed(Reason::kNotFound)) {
    TRY(client.Create(kind, name.ns, expected));
    return {};
  }
  if (!existing.ok()) return existing.status();
  const Value& tree = (*existing)->tree();
  if (!tree.At("roleRef").Equals(expected.At("roleRef"))) {
    if (IsProtected(tree)) return {};
    const auto deleted = client.Delete(kind, name, {.uid = std::string((*existing)->uid())});
    if (!deleted.ok() && !deleted.Failed(Reason::kNotFound)) return deleted.status();
    TRY(client.Create(kind, name.ns, expected));
    return {};
  }
  const doc::Document changed = reconciled(tree, expected);
  if (changed.root.is_null()) return {};
  TRY(client.Update(kind, name, changed.root));
  return {};
}

Ok EnsurePolicyObject(client::Client& client, const Value& expected, Reconciled reconciled) {
  const api::KindInfo* kind = api::FindKind("rbac.authorization.k8s.io/v1", expected.At("kind").AsString());
  CHECK(kind != nullptr);
  const Value& metadata = expected.At("metadata");
  const client::ObjectName name{std::string(metadata.At("namespace").AsString()),
                                std::string(metadata.At("name").AsString())};
  for (int attempt = 1;; ++attempt) {
    Ok done = EnsureOnce(client, *kind, name, expected, reconciled);
    // Somebody else made, changed or deleted it meanwhile.
    const bool again =
        done.Failed(Reason::kConflict) || done.Failed(Reason::kAlreadyExists) || done.Failed(Reason::kNotFound);
    if (!again || attempt == kTries) {
      return std::move(done).Context(fmt::format("reconciling {} {}", kind->plural, name.name));
    }
  }
}

}  // namespace

doc::Document ReconciledRole(const Value& existing, const Value& expected) {
  if (IsProtected(existing)) return {};
  doc::Document object = doc::Document::Copy(existing);
  bool changed = AddMissing(object, expected, "annotations");
  changed = AddMissing(object, expected, "labels") || changed;
  changed = AddMissingRules(object, expected) || changed;
  changed = MatchAggregation(object, expected) || changed;
  if (!changed) return {};
  return object;
}

doc::Document ReconciledBinding(const Value& existing, const Value& expected) {
  if (IsProtected(existing)) return {};
  doc::Document object = doc::Document::Copy(existing);
  bool changed = AddMissing(object, expected, "annotations");
  changed = AddMissing(object, expected, "labels") || changed;
  const Value& subjects = expected.At("subjects");
  if (!subjects.empty()) {
    Value& list = object.root.Ensure(object.arena, "subjects");
    changed = AddMissingItems(object, list, subjects) || changed;
  }
  if (!changed) return {};
  return object;
}

std::vector<std::function<Ok()>> ReconcileTasks(client::Client& client, const BootstrapPolicy& policy) {
  std::vector<std::function<Ok()>> tasks;
  for (const PolicyRole& role : policy.roles) {
    tasks.emplace_back(
        [&client, &role] { return EnsurePolicyObject(client, PolicyObject(role).root, ReconciledRole); });
  }
  for (const PolicyBinding& binding : policy.bindings) {
    tasks.emplace_back(
        [&client, &binding] { return EnsurePolicyObject(client, PolicyObject(binding).root, ReconciledBinding); });
  }
  return tasks;
}

}  // namespace knarr::apiserver
