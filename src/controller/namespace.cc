#include "controller/namespace.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/core_v1.h"
#include "base/check.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using client::ObjectName;

constexpr Duration kLookAgain = 1s;

/// Kinds that live in namespaces and are stored, pods first: what runs ends before what it needs is taken away
/// (KEP-5080).
std::vector<const api::KindInfo*> DeletableKinds() {
  std::vector<const api::KindInfo*> kinds;
  for (const api::KindInfo& kind : api::AllKinds()) {
    const bool deletable = std::ranges::find(kind.verbs, "deletecollection") != kind.verbs.end();
    if (!kind.namespaced || kind.list_type == nullptr || !deletable) continue;
    if (kind.group.empty() && kind.kind == "Pod") {
      kinds.insert(kinds.begin(), &kind);
    } else {
      kinds.push_back(&kind);
    }
  }
  return kinds;
}

/// What is still in a namespace, for its conditions.
struct Remaining {
  std::vector<std::pair<std::string, size_t>> kinds;  // "pods." → how many
  std::map<std::string, size_t, std::less<>> finalizers;
  Ok deletion;  // the first failure to delete
};

class NamespaceController : public Controller {
 public:
  explicit NamespaceController(Context context)
      : context_(context),
        namespaces_(context.informers.For(api::core_v1::NamespaceInfo())),
        worker_(context.runtime, "namespaces", [this](const ObjectName& key) { return Sync(key); }) {
    namespaces_.AddHandler([this](const ObjectPtr&, const ObjectPtr& after) {
      if (after != nullptr && after->deleting()) worker_.Add(NameOf(*after));
    });
  }
  void Start() override { worker_.Start({&namespaces_}); }
  void Stop() override { worker_.Stop(); }

 private:
  Result<Requeue> Sync(const ObjectName& key) {
    ObjectPtr object = namespaces_.Get(key);
    if (object == nullptr || !object->deleting()) return Requeue();
    // The copy may be of one that is gone, and another have its name by now: what is in that one stays.
    const Result<ObjectPtr> live = context_.client.Get(api::core_v1::NamespaceInfo(), key);
    if (live.Failed(Reason::kNotFound)) return Requeue();
    if (!live.ok()) return live.status();
    if (!(*live)->deleting()) return Requeue();
    const std::string uid((*live)->uid());
    Remaining remaining = TRY(DeleteContents(key.name));
    if (!remaining.kinds.empty() || !remaining.deletion.ok()) {
      TRY(WriteConditions(key, uid, remaining));
      if (!remaining.deletion.ok()) return remaining.deletion.status();
      return Requeue(kLookAgain);
    }
    TRY(Finalize(key, uid));
    return Requeue();
  }

  Result<Remaining> DeleteContents(const std::string& ns) {
    Remaining out;
    for (const api::KindInfo* kind : DeletableKinds()) {
      Result<client::ObjectList> first = context_.client.List(*kind, ns);
      // A kind this build knows but this server does not serve (events.k8s.io: its objects are core Events).
      if (first.Failed(Reason::kNotFound)) continue;
      client::ObjectList list = TRY(std::move(first));
      if (list.items.empty()) continue;
      Ok deleted = context_.client.DeleteCollection(*kind, ns, {});
      if (!deleted.ok() && !deleted.Failed(Reason::kNotFound) && out.deletion.ok()) out.deletion = deleted;
      list = TRY(context_.client.List(*kind, ns));
      if (list.items.empty()) continue;
      out.kinds.emplace_back(fmt::format("{}.{}", kind->plural, kind->group), list.items.size());
      for (const ObjectPtr& object : list.items) {
        for (const doc::Value& name : object->tree().Get("metadata", "finalizers").items()) {
          out.finalizers[std::string(name.AsString())]++;
        }
      }
      // Pods first: the rest waits for them.
      if (kind->kind == "Pod") break;
    }
    std::ranges::sort(out.kinds);
    return out;
  }

  Ok WriteConditions(const ObjectName& key, const std::string& uid, const Remaining& remaining) {
    std::string kinds;
    for (const auto& [name, count] : remaining.kinds) {
      if (!kinds.empty()) kinds += ", ";
      kinds += fmt::format("{} has {} resource instances", name, count);
    }
    std::string finalizers;
    for (const auto& [name, count] : remaining.finalizers) {
      if (!finalizers.empty()) finalizers += ", ";
      finalizers += fmt::format("{} in {} resource instances", name, count);
    }
    struct Text {
      std::string_view type, status, reason;
      std::string message;
    };
    const bool failed = !remaining.deletion.ok();
    const Text texts[] = {
        {"NamespaceDeletionDiscoveryFailure", "False", "ResourcesDiscovered", "All resources successfully discovered"},
        {"NamespaceDeletionGroupVersionParsingFailure", "False", "ParsedGroupVersions",
         "All legacy kube types successfully parsed"},
        {"NamespaceDeletionContentFailure", failed ? "True" : "False",
         failed ? "ContentDeletionFailed" : "ContentDeleted",
         failed ? remaining.deletion.status().message()
                : "All content successfully deleted, may be waiting on finalization"},
        {"NamespaceContentRemaining", kinds.empty() ? "False" : "True",
         kinds.empty() ? "ContentRemoved" : "SomeResourcesRemain",
         kinds.empty() ? "All content successfully removed" : "Some resources are remaining: " + kinds},
        {"NamespaceFinalizersRemaining", finalizers.empty() ? "False" : "True",
         finalizers.empty() ? "ContentHasNoFinalizers" : "SomeFinalizersRemain",
         finalizers.empty() ? "All content-preserving finalizers finished"
                            : "Some content in the namespace has finalizers remaining: " + finalizers}};
    const WallTime now = context_.runtime.Wall();
    Result<ObjectPtr> written = client::UpdateWithRetry(
        context_.runtime, context_.client, api::core_v1::NamespaceInfo(), key, "status", [&](doc::Document& document) {
          const doc::Document before = doc::Document::Copy(document.root);
          api::core_v1::NamespaceEdit edit(document);
          if (edit.metadata().uid() != uid) return false;
          for (const Text& text : texts) {
            auto conditions = edit.status().conditions();
            size_t at = 0;
            while (at < conditions.size() && conditions[at].type() != text.type) ++at;
            const bool same = at < conditions.size() && conditions[at].status() == text.status;
            auto condition = at < conditions.size() ? conditions[at] : conditions.Add();
            condition.set_type(text.type).set_status(text.status).set_reason(text.reason).set_message(text.message);
            if (!same) condition.set_last_transition_time(now);
          }
          return !document.root.Equals(before.root);
        });
    return written.ok() || written.Failed(Reason::kNotFound) ? Ok() : Ok(written.status());
  }

  /// Takes our finalizer away; the API server removes the namespace once none is left.
  Ok Finalize(const ObjectName& key, const std::string& uid) {
    Result<ObjectPtr> written = client::UpdateWithRetry(
        context_.runtime, context_.client, api::core_v1::NamespaceInfo(), key, "finalize",
        [&uid](doc::Document& document) {
          if (document.root.Get("metadata", "uid").AsString() != uid) return false;
          doc::Value* finalizers = document.root.Ensure(document.arena, "spec").Find("finalizers");
          if (finalizers == nullptr) return false;
          bool changed = false;
          for (size_t i = finalizers->size(); i > 0; --i) {
            if ((*finalizers)[i - 1].AsString() != "kubernetes") continue;
            finalizers->Erase(i - 1);
            changed = true;
          }
          return changed;
        });
    return written.ok() || written.Failed(Reason::kNotFound) ? Ok() : Ok(written.status());
  }

  Context context_;
  client::Informer& namespaces_;
  Worker worker_;
};

}  // namespace

std::unique_ptr<Controller> MakeNamespaceController(Context context) {
  return std::make_unique<NamespaceController>(context);
}

}  // namespace knarr::controller
