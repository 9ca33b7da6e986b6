#include "api/managed/field_update.h"

#include <algorithm>

#include "api/conversion/conversion.h"
#include "doc/json.h"

namespace knarr::api::managed {
namespace {

using doc::Value;

constexpr size_t kUpdatersMax = 10;

std::string_view ApiVersionOf(const Value& object) { return object.At("apiVersion").AsString(); }

}  // namespace

const Value& NeverManaged() {
  static const doc::Document kSet = MUST(doc::ParseJson(
      R"({"f:apiVersion":{},"f:kind":{},"f:metadata":{".":{},"f:clusterName":{},"f:creationTimestamp":{},)"
      R"("f:generation":{},"f:managedFields":{},"f:name":{},"f:namespace":{},"f:resourceVersion":{},"f:selfLink":{},)"
      R"("f:uid":{}}})"));
  return kSet.root;
}

Value WithoutManagedFields(const Value& object, doc::Arena& arena) {
  const Value& metadata = object.At("metadata");
  if (metadata.Find("managedFields") == nullptr) return object;
  Value own = Value::ObjectOf(arena, metadata.members());
  own.Remove("managedFields");
  Value out = Value::ObjectOf(arena, object.members());
  *out.Find("metadata") = own;
  return out;
}

FieldUpdate::FieldUpdate(const FieldManager& owner, WallTime now, doc::Arena& arena)
    : owner_(owner), time_(FormatTime(now)), arena_(arena) {}

Manager FieldUpdate::Self(std::string_view name, bool applies) const {
  Manager self;
  self.name = name.empty() ? "unknown" : name;
  self.applies = applies;
  self.api_version = owner_.kind_.api_version;
  self.subresource = owner_.subresource_;
  return self;
}

Result<std::optional<Versioned>> FieldUpdate::Convert(const Value& object, std::string_view api_version) {
  const KindInfo& own = owner_.kind_;
  const KindInfo* to = api_version == own.api_version ? &own : FindKind(api_version, own.kind);
  if (to == nullptr || &StorageKind(*to) != &StorageKind(own)) return std::optional<Versioned>();
  const std::string_view version = ApiVersionOf(object);
  if (version == api_version) return std::optional(Versioned{to->type, object});
  const KindInfo* from = version == own.api_version ? &own : FindKind(version, own.kind);
  if (from == nullptr) return std::optional<Versioned>();
  converted_.push_back(TRY(ConvertKind(object, *from, *to)));
  return std::optional(Versioned{to->type, converted_.back().root});
}

Value FieldUpdate::WithoutResets(const Value& set) const {
  if (owner_.kept_.has_value()) return Filtered(set, owner_.kept_->root, arena_);
  return RecursiveDifference(set, owner_.excluded_.root, arena_);
}

Result<Managers> FieldUpdate::Reconciled(const Value& live, const Managers& managers) {
  Managers out;
  out.all().reserve(managers.all().size() + 1);
  for (const Manager& manager : managers.all()) {
    const std::optional<Versioned> object = TRY(Convert(live, manager.api_version));
    if (!object.has_value()) continue;
    out.all().push_back(manager);
    out.all().back().fields = FollowSchema(manager.fields, *object->type, arena_);
  }
  return out;
}

Result<const Comparison*> FieldUpdate::CompareIn(std::string_view api_version, const Value& before,
                                                 const Value& after) {
  const auto known = comparisons_.find(api_version);
  if (known != comparisons_.end()) return &known->second;
  const std::optional<Versioned> left = TRY(Convert(before, api_version).Context("failed to convert old object"));
  const std::optional<Versioned> right = TRY(Convert(after, api_version).Context("failed to convert new object"));
  if (!left.has_value() || !right.has_value()) return static_cast<const Comparison*>(nullptr);
  Comparison comparison =
      TRY(managed::Compare(*left->type, left->object, right->object, arena_).Context("failed to compare objects"));
  comparison.changed = WithoutResets(comparison.changed);
  comparison.removed = WithoutResets(comparison.removed);
  return &comparisons_.emplace(api_version, comparison).first->second;
}

Result<std::vector<Manager>> FieldUpdate::TakeOver(const Value& before, const Value& after, Managers& managers,
                                                   const Manager* self, bool force) {
  comparisons_.clear();
  TRY(CompareIn(owner_.kind_.api_version, before, after));
  std::vector<Manager> conflicts;
  std::vector<Manager> left;
  for (const Manager& manager : managers.all()) {
    Manager kept = manager;
    if (self == nullptr || !manager.SameAs(*self)) {
      const Comparison* comparison = TRY(CompareIn(manager.api_version, before, after));
      if (comparison == nullptr) continue;
      Manager conflict = manager;
      conflict.fields = Intersection(manager.fields, comparison->changed, arena_);
      kept.fields = Difference(kept.fields, conflict.fields, arena_);
      kept.fields = Difference(kept.fields, comparison->removed, arena_);
      if (!conflict.fields.empty()) conflicts.push_back(conflict);
    }
    if (!kept.fields.empty()) left.push_back(kept);
  }
  if (!force && !conflicts.empty()) return conflicts;
  managers.all() = std::move(left);
  return std::vector<Manager>();
}

Result<Managers> FieldUpdate::Update(const Value& before, const Value& after, const Managers& managers,
                                     std::string_view name) {
  Managers out = TRY(Reconciled(before, managers));
  TRY(TakeOver(before, after, out, nullptr, true));
  const Comparison& own = *TRY(CompareIn(owner_.kind_.api_version, before, after));
  const Value mine = Difference(own.changed, NeverManaged(), arena_);
  if (!mine.empty()) {
    Manager self = Self(name, false);
    if (const Manager* present = out.Find(self)) self.fields = present->fields;
    self.fields = Union(mine, self.fields, arena_);
    self.time = arena_.Copy(time_);
    out.Put(self);
  }
  out.LimitUpdaters(kUpdatersMax, arena_);
  return out;
}

Result<FieldUpdate::Applied> FieldUpdate::Apply(const Value& live, const Value& configuration, Managers managers,
                                                const FieldManager::ApplyRequest& request) {
  const Type& type = *owner_.kind_.type;
  Applied out;
  out.managers = TRY(Reconciled(live, managers));
  Value merged = TRY(MergeConfiguration(type, live, configuration, arena_).Context("failed to merge config"));
  Manager self = Self(request.manager, true);
  std::optional<Manager> last;
  if (const Manager* present = out.managers.Find(self)) last = *present;
  if (last.has_value()) self.time = last->time;
  self.fields = WithoutResets(ToFieldSet(type, configuration, arena_));
  out.managers.Put(self);
  if (last.has_value() && !last->fields.empty()) merged = TRY(Prune(merged, out.managers, *last));
  out.conflicts = TRY(TakeOver(live, merged, out.managers, &self, request.force));
  if (!out.conflicts.empty()) return out;
  const bool same = merged.Equals(live);
  if (Manager* present = out.managers.Find(self)) {
    present->fields = Difference(present->fields, NeverManaged(), arena_);
    if (!same) present->time = arena_.Copy(time_);
    if (present->fields.empty()) out.managers.Remove(self);
  }
  if (!same) out.object = merged;
  return out;
}

Result<Value> FieldUpdate::Prune(const Value& merged, const Managers& managers, const Manager& last) {
  const std::optional<Versioned> start = TRY(Convert(merged, last.api_version));
  if (!start.has_value()) return merged;
  const Type& type = *start->type;
  const Value last_set = WithNamedFields(last.fields, type, arena_);
  Versioned pruned{&type, RemoveItems(type, start->object, last_set, arena_)};
  // What others want stays, in whatever version they want it; the version that was pruned comes first.
  std::map<std::string_view, Value> owned;
  for (const Manager& manager : managers.all()) {
    const auto [place, fresh] = owned.try_emplace(manager.api_version, manager.fields);
    if (!fresh) place->second = Union(place->second, manager.fields, arena_);
  }
  Versioned whole = *start;
  if (const auto own = owned.find(last.api_version); own != owned.end()) {
    TRY(AddBackOwned(whole, pruned, own->first, own->second));
    owned.erase(own);
  }
  for (const auto& [version, set] : owned) TRY(AddBackOwned(whole, pruned, version, set));
  // Of what is gone only that goes which this manager had applied.
  const std::optional<Versioned> back = TRY(Convert(pruned.object, last.api_version));
  if (!back.has_value()) return merged;
  const Value before = WithNamedFields(ToFieldSet(type, start->object, arena_), type, arena_);
  const Value after = WithNamedFields(ToFieldSet(type, back->object, arena_), type, arena_);
  const Value gone = Intersection(Difference(before, after, arena_), last_set, arena_);
  const Value left = RemoveItems(type, start->object, gone, arena_);
  const std::optional<Versioned> result = TRY(Convert(left, owner_.kind_.api_version));
  return result.has_value() ? result->object : left;
}

Ok FieldUpdate::AddBackOwned(Versioned& merged, Versioned& pruned, std::string_view api_version, const Value& owned) {
  const std::optional<Versioned> whole = TRY(Convert(merged.object, api_version));
  const std::optional<Versioned> part = TRY(Convert(pruned.object, api_version));
  if (!whole.has_value() || !part.has_value()) return {};
  const Type& type = *whole->type;
  const auto named = [&](const Value& set) { return WithNamedFields(set, type, arena_); };
  const Value all = named(ToFieldSet(type, whole->object, arena_));
  const Value wanted = Union(named(ToFieldSet(type, part->object, arena_)), named(owned), arena_);
  merged = *whole;
  pruned = {&type, RemoveItems(type, whole->object, Difference(all, wanted, arena_), arena_)};
  return {};
}

}  // namespace knarr::api::managed
