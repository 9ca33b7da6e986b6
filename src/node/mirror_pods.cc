#include "node/mirror_pods.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "api/core_v1.h"
#include "base/log.h"
#include "base/strings.h"
#include "doc/json.h"
#include "node/manifest.h"

namespace knarr::node {
namespace {

using api::core_v1::PodEdit;
using client::ObjectName;

constexpr Duration kRetryFirst = 1s;
constexpr Duration kRetryMost = 60s;

ObjectName NameOf(const std::string& key) {
  const size_t slash = key.find('/');
  return {key.substr(0, slash), key.substr(slash + 1)};
}

/// Whether the one shows the other.
bool Shows(const api::Object& mirror, const api::Object& pod) {
  return mirror.tree().Get("metadata", "annotations", kConfigMirror).AsString() ==
         pod.tree().Get("metadata", "annotations", kConfigHash).AsString();
}

bool IsPod(const api::KindInfo& kind) { return &kind == &api::core_v1::PodInfo(); }

api::ObjectPtr WithStatus(const api::Object& pod, const doc::Value& status) {
  doc::Document document = doc::Document::Copy(pod.tree());
  document.root.Set(document.arena, "status", status.Clone(document.arena));
  return api::Object::FromDocument(std::move(document));
}

}  // namespace

MirrorPods::MirrorPods(rt::Runtime& runtime, client::Client& client, std::string node_name)
    : runtime_(runtime),
      client_(client),
      node_name_(std::move(node_name)),
      wake_(runtime),
      tasks_(runtime, "mirror pods"),
      face_(*this) {}

MirrorPods::~MirrorPods() = default;

void MirrorPods::Start() {
  tasks_.Spawn("mirrors", [this] { Run(); });
}

void MirrorPods::Stop() { tasks_.StopAndJoin(); }

void MirrorPods::Want(const api::ObjectPtr& pod) {
  entries_[api::KeyOf(*pod)].wanted = pod;
  wake_.Set();
}

void MirrorPods::Forget(const api::Object& pod) {
  const auto at = entries_.find(api::KeyOf(pod));
  if (at == entries_.end() || at->second.wanted == nullptr || at->second.wanted->uid() != pod.uid()) return;
  at->second.wanted.reset();
  wake_.Set();
}

void MirrorPods::Changed(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  Entry& entry = entries_[api::KeyOf(after != nullptr ? *after : *before)];
  const bool same = after != nullptr && entry.mirror != nullptr && entry.mirror->uid() == after->uid();
  if (!same) entry.written.clear();
  // A write of ours is told by its answer before the watch brings it.
  const auto version = [](const api::Object& pod) { return ParseUint64(pod.resource_version()).value_or(0); };
  if (same && version(*entry.mirror) > version(*after)) return;
  entry.mirror = after;
  wake_.Set();
}

api::ObjectPtr MirrorPods::WithKnownStatus(const api::ObjectPtr& pod) const {
  const auto at = entries_.find(api::KeyOf(*pod));
  if (at == entries_.end() || at->second.mirror == nullptr || !Shows(*at->second.mirror, *pod)) return pod;
  return WithStatus(*pod, at->second.mirror->tree().At("status"));
}

void MirrorPods::Run() {
  Duration pause{};
  for (;;) {
    wake_.Reset();
    const Ok synced = SyncAll();
    if (synced.Failed(Reason::kCancelled)) return;
    MonoTime until = MonoTime::max();
    if (synced.ok()) {
      pause = {};
    } else {
      pause = std::min(std::max(pause * 2, kRetryFirst), kRetryMost);
      LOG_WARN("a mirror pod is not as it should be", {"error", synced.status()});
      until = runtime_.Mono() + pause;
    }
    const Ok woken = wake_.Wait(until);
    if (woken.Failed(Reason::kCancelled)) return;
    // Statuses change often while pods begin; while nobody answers, they are not to hurry us.
    if (!synced.ok() && woken.ok() && !runtime_.Sleep(kRetryFirst).ok()) return;
  }
}

/// Each, and the last error: one that can't be had must not keep the others.
Ok MirrorPods::SyncAll() {
  std::vector<std::string> keys;
  for (const auto& [key, entry] : entries_) keys.push_back(key);
  Ok out;
  for (const std::string& key : keys) {
    const Ok synced = Sync(key);
    if (synced.Failed(Reason::kCancelled)) return synced;
    if (!synced.ok()) out = synced.status().WithContext(key);
  }
  return out;
}

Ok MirrorPods::Sync(const std::string& key) {
  const auto stale = [&] {
    const Entry& entry = entries_[key];
    return entry.mirror != nullptr && (entry.wanted == nullptr || entry.mirror->deleting() ||
                                       !IsMirrorPod(*entry.mirror) || !Shows(*entry.mirror, *entry.wanted));
  };
  if (stale()) TRY(Remove(key));
  if (entries_[key].wanted == nullptr) {
    if (entries_[key].mirror == nullptr) entries_.erase(key);
    return {};
  }
  if (entries_[key].mirror == nullptr) TRY(Create(key));
  return stale() ? Ok() : WriteStatus(key);
}

/// The mirror, whose end is nobody's end.
Ok MirrorPods::Remove(const std::string& key) {
  const api::ObjectPtr mirror = entries_[key].mirror;
  // A pod of somebody else that happens to have the name is not ours to remove.
  if (!IsMirrorPod(*mirror)) return Conflict("there is a pod of that name that is no mirror");
  const client::DeleteOptions options{.grace_seconds = 0, .uid = std::string(mirror->uid())};
  const auto deleted = client_.Delete(api::core_v1::PodInfo(), NameOf(key), options);
  if (!deleted.ok() && !deleted.Failed(Reason::kNotFound) && !deleted.Failed(Reason::kConflict)) {
    return deleted.status();
  }
  Entry& entry = entries_[key];
  if (entry.mirror == nullptr || entry.mirror->uid() != mirror->uid()) return {};
  entry.mirror.reset();
  entry.written.clear();
  return {};
}

Ok MirrorPods::Create(const std::string& key) {
  const api::ObjectPtr wanted = entries_[key].wanted;
  const api::ObjectPtr node = TRY(client_.Get(api::core_v1::NodeInfo(), {"", node_name_}));
  doc::Document document = doc::Document::Copy(wanted->tree());
  document.root.Remove("status");
  PodEdit pod(document);
  const std::string hash(wanted->tree().Get("metadata", "annotations", kConfigHash).AsString());
  pod.metadata().clear_uid();
  pod.metadata().put_annotations(kConfigMirror, hash);
  pod.metadata().clear_owner_references();
  auto owner = pod.metadata().add_owner_references();
  owner.set_api_version("v1");
  owner.set_kind("Node");
  owner.set_name(node_name_);
  owner.set_uid(node->uid());
  owner.set_controller(true);
  auto made = client_.Create(api::core_v1::PodInfo(), std::string(wanted->ns()), document.root);
  // The watch may be behind.
  if (made.Failed(Reason::kAlreadyExists)) made = client_.Get(api::core_v1::PodInfo(), NameOf(key));
  if (!made.ok()) return made.status();
  entries_[key].mirror = std::move(*made);
  entries_[key].written.clear();
  return {};
}

Ok MirrorPods::WriteStatus(const std::string& key) {
  const Entry entry = entries_[key];
  const std::string status = doc::ToJson(entry.wanted->tree().At("status"));
  if (status == entry.written) return {};
  const api::ObjectPtr next = WithStatus(*entry.mirror, entry.wanted->tree().At("status"));
  auto written = client_.Update(api::core_v1::PodInfo(), NameOf(key), next->tree(), "status");
  // The watch may have told of its end before we heard that it was made.
  if (written.Failed(Reason::kNotFound)) return Lost(key, *entry.mirror);
  if (written.Failed(Reason::kConflict)) {
    auto fresh = client_.Get(api::core_v1::PodInfo(), NameOf(key));
    if (fresh.Failed(Reason::kNotFound)) return Lost(key, *entry.mirror);
    if (fresh.ok()) entries_[key].mirror = std::move(*fresh);
  }
  if (!written.ok()) return written.status();
  Entry& now = entries_[key];
  // While that was written, it may have gone, or another may have come.
  if (now.mirror == nullptr || now.mirror->uid() != (*written)->uid()) return {};
  now.mirror = std::move(*written);
  now.written = status;
  return {};
}

/// There is no such mirror any more: another is made at once.
Ok MirrorPods::Lost(const std::string& key, const api::Object& mirror) {
  Entry& entry = entries_[key];
  if (entry.mirror == nullptr || entry.mirror->uid() != mirror.uid()) return {};
  entry.mirror.reset();
  entry.written.clear();
  wake_.Set();
  return {};
}

// ---- What workers of static pods see ----

Result<api::ObjectPtr> MirrorPods::Face::Get(const api::KindInfo& kind, const ObjectName& name, std::string_view sub) {
  if (!IsPod(kind)) return to().Get(kind, name, sub);
  const auto at = mirrors_.entries_.find(name.ns + "/" + name.name);
  if (at == mirrors_.entries_.end() || at->second.wanted == nullptr) return NotFound("no such static pod");
  return at->second.wanted;
}

/// A static pod's status: it is taken at once, and told when it can be.
Result<api::ObjectPtr> MirrorPods::Face::Update(const api::KindInfo& kind, const ObjectName& name,
                                                const doc::Value& object, std::string_view sub,
                                                const client::WriteOptions& options) {
  if (!IsPod(kind) || sub != "status") return to().Update(kind, name, object, sub, options);
  api::ObjectPtr next = api::Object::FromDocument(doc::Document::Copy(object));
  const auto at = mirrors_.entries_.find(name.ns + "/" + name.name);
  // One whose place another has taken is on its way out.
  if (at == mirrors_.entries_.end() || at->second.wanted == nullptr || at->second.wanted->uid() != next->uid()) {
    return next;
  }
  mirrors_.Want(next);
  return next;
}

Result<api::ObjectPtr> MirrorPods::Face::Delete(const api::KindInfo& kind, const ObjectName& name,
                                                const client::DeleteOptions& options) {
  if (!IsPod(kind)) return to().Delete(kind, name, options);
  return NotFound("a static pod goes with its file");
}

Result<client::ObjectList> MirrorPods::Face::List(const api::KindInfo& kind, std::string_view ns,
                                                  const client::ListOptions& options) {
  return to().List(kind, ns, options);
}

Result<std::unique_ptr<client::WatchStream>> MirrorPods::Face::Watch(const api::KindInfo& kind, std::string_view ns,
                                                                     const client::WatchOptions& options) {
  return to().Watch(kind, ns, options);
}

Result<api::ObjectPtr> MirrorPods::Face::Create(const api::KindInfo& kind, std::string_view ns,
                                                const doc::Value& object, const client::WriteOptions& options) {
  return to().Create(kind, ns, object, options);
}

Result<api::ObjectPtr> MirrorPods::Face::CreateSub(const api::KindInfo& kind, const ObjectName& name,
                                                   std::string_view sub, const doc::Value& object,
                                                   const client::WriteOptions& options) {
  return to().CreateSub(kind, name, sub, object, options);
}

Result<api::ObjectPtr> MirrorPods::Face::Patch(const api::KindInfo& kind, const ObjectName& name,
                                               client::PatchType type, std::string_view body, std::string_view sub,
                                               const client::WriteOptions& options) {
  return to().Patch(kind, name, type, body, sub, options);
}

Ok MirrorPods::Face::DeleteCollection(const api::KindInfo& kind, std::string_view ns, const client::ListOptions& list,
                                      const client::DeleteOptions& options) {
  return to().DeleteCollection(kind, ns, list, options);
}

}  // namespace knarr::node
