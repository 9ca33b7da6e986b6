#include "controller/garbage_collector.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/conversion/conversion.h"
#include "api/meta_v1.h"
#include "base/check.h"
#include "doc/json.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using api::meta_v1::ObjectMeta;
using api::meta_v1::OwnerReference;
using client::ObjectName;

constexpr std::string_view kOrphan = "orphan";
constexpr std::string_view kForeground = "foregroundDeletion";

/// Objects are told apart by kind and name here; their uids are checked wherever it matters.
std::string KeyText(const api::KindInfo& kind, const api::Object& object) {
  return fmt::format("{}|{}|{}|{}", kind.api_version, kind.kind, object.ns(), object.name());
}

bool HasFinalizer(const api::Object& object, std::string_view name) {
  for (std::string_view finalizer : ObjectMeta(object.tree().At("metadata")).finalizers()) {
    if (finalizer == name) return true;
  }
  return false;
}

/// As a JSON literal: an owner's uid is whatever its dependent's author wrote.
std::string Quoted(std::string_view text) {
  std::string out;
  doc::WriteJsonString(text, out);
  return out;
}

/// Most objects have no owner; telling so from the bytes saves decoding them only for this.
bool MayHaveOwners(const api::Object& object) { return api::Mentions(object.json(), "ownerReferences"); }
bool MayHaveFinalizers(const api::Object& object) { return api::Mentions(object.json(), "finalizers"); }

bool SameOwners(const api::Object& a, const api::Object& b) {
  if (!MayHaveOwners(a) && !MayHaveOwners(b)) return true;
  return a.tree().Get("metadata", "ownerReferences").Equals(b.tree().Get("metadata", "ownerReferences"));
}

class GarbageCollector : public Controller {
 public:
  explicit GarbageCollector(Context context)
      : context_(context),
        worker_(context.runtime, "garbage", [this](const ObjectName& key) { return Sync(key.ToString()); }) {
    for (const api::KindInfo& kind : api::AllKinds()) {
      // Events have no dependents and are too many to keep a copy of; leases likewise change all the time.
      if (kind.list_type == nullptr || kind.kind == "Event") continue;
      if (std::ranges::find(kind.verbs, "watch") == kind.verbs.end()) continue;
      // What is served in several versions is watched in one.
      if (&api::StorageKind(kind) != &kind) continue;
      client::Informer& informer = context.informers.For(kind);
      informers_.push_back(&informer);
      informer.AddHandler(
          [this, &kind](const ObjectPtr& before, const ObjectPtr& after) { Changed(kind, before, after); });
    }
  }

  void Start() override { worker_.Start(informers_); }
  void Stop() override { worker_.Stop(); }

 private:
  struct Dependent {
    const api::KindInfo* kind;
    ObjectName name;
    auto operator<=>(const Dependent& other) const { return std::tie(kind, name) <=> std::tie(other.kind, other.name); }
    bool operator==(const Dependent& other) const { return kind == other.kind && name == other.name; }
  };

  void Changed(const api::KindInfo& kind, const ObjectPtr& before, const ObjectPtr& after) {
    const Dependent self{&kind, NameOf(after != nullptr ? *after : *before)};
    const bool finalizing = after != nullptr && after->deleting() && MayHaveFinalizers(*after);
    if (before != nullptr && after != nullptr && !finalizing && SameOwners(*before, *after)) return;
    if (before != nullptr && MayHaveOwners(*before)) {
      for (OwnerReference owner : ObjectMeta(before->tree().At("metadata")).owner_references()) {
        const std::string uid(owner.uid());
        auto at = dependents_.find(uid);
        if (at != dependents_.end()) {
          at->second.erase(self);
          if (at->second.empty()) dependents_.erase(at);
        }
        // An owner that waits for its dependents may be free now.
        auto waiting = waiting_.find(uid);
        if (waiting != waiting_.end()) worker_.Add({"", waiting->second});
      }
    }
    if (after == nullptr) {
      // Its dependents lost an owner.
      auto at = dependents_.find(before->uid());
      if (at != dependents_.end()) {
        for (const Dependent& dependent : at->second) Enqueue(dependent);
      }
      waiting_.erase(std::string(before->uid()));
      return;
    }
    const bool owned = MayHaveOwners(*after);
    if (owned) {
      for (OwnerReference owner : ObjectMeta(after->tree().At("metadata")).owner_references()) {
        dependents_[std::string(owner.uid())].insert(self);
      }
    }
    // An owned object is looked at once when it appears, and when it or its owners change hands.
    if (owned || finalizing) Enqueue(self);
  }

  void Enqueue(const Dependent& object) {
    worker_.Add({"", fmt::format("{}|{}|{}|{}", object.kind->api_version, object.kind->kind, object.name.ns,
                                 object.name.name)});
  }

  Result<Requeue> Sync(const std::string& text) {
    const size_t first = text.find('|');
    const size_t second = text.find('|', first + 1);
    const size_t third = text.find('|', second + 1);
    const api::KindInfo* kind =
        api::FindKind(text.substr(0, first), std::string_view(text).substr(first + 1, second - first - 1));
    if (BUG_IF(kind == nullptr)) return Internal("garbage collector: no such kind: " + text);
    const ObjectName name{text.substr(second + 1, third - second - 1), text.substr(third + 1)};
    ObjectPtr object = context_.informers.For(*kind).Get(name);
    if (object == nullptr) return Requeue();
    if (object->deleting()) {
      if (HasFinalizer(*object, kOrphan)) return OrphanDependents(*kind, *object);
      if (HasFinalizer(*object, kForeground)) return DeleteDependentsFirst(*kind, *object);
      return Requeue();
    }
    return CollectIfUnowned(*kind, *object);
  }

  enum class OwnerState : uint8_t { kPresent, kForegroundDeleting, kAbsent };

  Result<OwnerState> Look(const api::Object& dependent, OwnerReference owner) {
    const api::KindInfo* kind = api::FindKind(owner.api_version(), owner.kind());
    // An owner of a kind this server does not know can't be proven absent: upstream keeps the dependent, too.
    if (kind == nullptr) return OwnerState::kPresent;
    // Neither can one that this object has no way to name, or that can't be asked for.
    if (kind->namespaced && dependent.ns().empty()) return OwnerState::kPresent;
    if (std::ranges::find(kind->verbs, "get") == kind->verbs.end()) return OwnerState::kPresent;
    const ObjectName name{kind->namespaced ? std::string(dependent.ns()) : "", std::string(owner.name())};
    // Only of kinds that are watched anyway: an owner reference must not make this server watch more.
    auto watched = std::ranges::find(informers_, &api::StorageKind(*kind),
                                     [](client::Informer* informer) { return &informer->kind(); });
    ObjectPtr cached = watched != informers_.end() ? (*watched)->Get(name) : nullptr;
    if (cached == nullptr || cached->uid() != owner.uid()) {
      // The copy may lag: only the server's own word counts for deleting something.
      Result<ObjectPtr> live = context_.client.Get(*kind, name);
      if (live.Failed(Reason::kNotFound)) return OwnerState::kAbsent;
      if (!live.ok()) return live.status();
      if ((*live)->uid() != owner.uid()) return OwnerState::kAbsent;
      cached = *live;
    }
    if (cached->deleting() && HasFinalizer(*cached, kForeground)) return OwnerState::kForegroundDeleting;
    return OwnerState::kPresent;
  }

  Result<Requeue> CollectIfUnowned(const api::KindInfo& kind, const api::Object& object) {
    auto owners = ObjectMeta(object.tree().At("metadata")).owner_references();
    if (owners.empty()) return Requeue();
    int present = 0;
    std::vector<std::string> gone;
    bool foreground = false;
    for (OwnerReference owner : owners) {
      switch (TRY(Look(object, owner))) {
        case OwnerState::kPresent:
          present++;
          break;
        case OwnerState::kForegroundDeleting:
          foreground = true;
          gone.emplace_back(owner.uid());
          break;
        case OwnerState::kAbsent:
          gone.emplace_back(owner.uid());
          break;
      }
    }
    if (gone.empty()) return Requeue();
    if (present > 0) return DropOwners(kind, object, gone);
    // What its finalizers ask for stays; a deletion without a word of that would take an orphan's mark away.
    client::Propagation propagation = HasFinalizer(object, kOrphan)       ? client::Propagation::kOrphan
                                      : HasFinalizer(object, kForeground) ? client::Propagation::kForeground
                                                                          : client::Propagation::kBackground;
    client::DeleteOptions options{.uid = std::string(object.uid()),
                                  .resource_version = std::string(object.resource_version())};
    if (foreground && HasDependents(object)) {
      propagation = client::Propagation::kForeground;
      if (WaitsForItself(object)) {
        options.resource_version = TRY(Unblock(kind, object));
        if (options.resource_version.empty()) return Requeue();
      }
    }
    options.propagation = propagation;
    Result<ObjectPtr> deleted = context_.client.Delete(kind, NameOf(object), options);
    if (deleted.ok() || deleted.Failed(Reason::kNotFound)) return Requeue();
    return deleted.status();
  }

  bool HasDependents(const api::Object& owner) {
    auto at = dependents_.find(owner.uid());
    return at != dependents_.end() && !at->second.empty();
  }

  /// Whether one of its dependents waits for its own dependents to go: it may be a circle, which nothing would leave.
  bool WaitsForItself(const api::Object& owner) {
    return std::ranges::any_of(dependents_.find(owner.uid())->second, [this](const Dependent& dependent) {
      const ObjectPtr object = context_.informers.For(*dependent.kind).Get(dependent.name);
      return object != nullptr && object->deleting() && HasFinalizer(*object, kForeground);
    });
  }

  /// None of its owners waits for it any more. Its new version; "" when it is gone.
  Result<std::string> Unblock(const api::KindInfo& kind, const api::Object& object) {
    std::string entries;
    for (OwnerReference owner : ObjectMeta(object.tree().At("metadata")).owner_references()) {
      if (!entries.empty()) entries += ",";
      entries += fmt::format(R"({{"uid":{},"blockOwnerDeletion":false}})", Quoted(owner.uid()));
    }
    const Result<ObjectPtr> patched = PatchOwners(kind, object, entries);
    if (patched.Failed(Reason::kNotFound)) return std::string();
    if (!patched.ok()) return patched.status();
    return std::string((*patched)->resource_version());
  }

  Result<ObjectPtr> PatchOwners(const api::KindInfo& kind, const api::Object& object, const std::string& entries) {
    const std::string patch =
        fmt::format(R"({{"metadata":{{"uid":"{}","resourceVersion":"{}","ownerReferences":[{}]}}}})", object.uid(),
                    object.resource_version(), entries);
    return context_.client.Patch(kind, NameOf(object), client::PatchType::kStrategicMerge, patch);
  }

  /// Other owners keep it: only the references to those that are gone go.
  Result<Requeue> DropOwners(const api::KindInfo& kind, const api::Object& object,
                             const std::vector<std::string>& uids) {
    std::string entries;
    for (const std::string& uid : uids) {
      if (!entries.empty()) entries += ",";
      entries += fmt::format(R"({{"$patch":"delete","uid":{}}})", Quoted(uid));
    }
    const Result<ObjectPtr> patched = PatchOwners(kind, object, entries);
    if (patched.ok() || patched.Failed(Reason::kNotFound)) return Requeue();
    return patched.status();
  }

  Result<Requeue> OrphanDependents(const api::KindInfo& kind, const api::Object& owner) {
    auto at = dependents_.find(owner.uid());
    const std::set<Dependent> dependents = at == dependents_.end() ? std::set<Dependent>() : at->second;
    for (const Dependent& dependent : dependents) {
      ObjectPtr object = context_.informers.For(*dependent.kind).Get(dependent.name);
      if (object != nullptr) TRY(DropOwners(*dependent.kind, *object, {std::string(owner.uid())}));
    }
    return RemoveFinalizer(kind, owner, kOrphan);
  }

  Result<Requeue> DeleteDependentsFirst(const api::KindInfo& kind, const api::Object& owner) {
    auto at = dependents_.find(owner.uid());
    bool blocked = false;
    if (at != dependents_.end()) {
      for (const Dependent& dependent : std::set<Dependent>(at->second)) {
        ObjectPtr object = context_.informers.For(*dependent.kind).Get(dependent.name);
        if (object == nullptr) continue;
        for (OwnerReference reference : ObjectMeta(object->tree().At("metadata")).owner_references()) {
          if (reference.uid() == owner.uid()) blocked |= reference.block_owner_deletion().value_or(false);
        }
        if (!object->deleting()) Enqueue(dependent);
      }
    }
    if (blocked) {
      waiting_[std::string(owner.uid())] = KeyText(kind, owner);
      return Requeue();
    }
    return RemoveFinalizer(kind, owner, kForeground);
  }

  Result<Requeue> RemoveFinalizer(const api::KindInfo& kind, const api::Object& object, std::string_view finalizer) {
    Result<ObjectPtr> written = client::UpdateWithRetry(
        context_.runtime, context_.client, kind, NameOf(object), "", [&](doc::Document& document) {
          doc::Value* metadata = document.root.Find("metadata");
          doc::Value* finalizers = metadata == nullptr ? nullptr : metadata->Find("finalizers");
          if (finalizers == nullptr || metadata->At("uid").AsString() != object.uid()) return false;
          bool changed = false;
          for (size_t i = finalizers->size(); i > 0; --i) {
            if ((*finalizers)[i - 1].AsString() != finalizer) continue;
            finalizers->Erase(i - 1);
            changed = true;
          }
          return changed;
        });
    if (written.ok() || written.Failed(Reason::kNotFound)) return Requeue();
    return written.status();
  }

  Context context_;
  std::vector<client::Informer*> informers_;
  std::map<std::string, std::set<Dependent>, std::less<>> dependents_;  // by owner's uid
  std::map<std::string, std::string> waiting_;                          // owner's uid → its key
  Worker worker_;
};

}  // namespace

std::unique_ptr<Controller> MakeGarbageCollector(Context context) {
  return std::make_unique<GarbageCollector>(context);
}

}  // namespace knarr::controller
