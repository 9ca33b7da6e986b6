#include "controller/pod_garbage.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "api/core_v1.h"
#include "base/log.h"
#include "controller/framework/pods.h"
#include "doc/json.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using api::core_v1::Node;
using api::core_v1::Pod;
using api::core_v1::Taint;
using client::ObjectName;
using doc::Value;

// Upstream's, as its --terminated-pod-gc-threshold.
constexpr size_t kFinishedMax = 12500;
constexpr Duration kQuarantine = 40s;
constexpr std::string_view kByNode = "node";
constexpr std::string_view kFinished = "finished";
constexpr std::string_view kOrphaned = "PodGC: node no longer exists";

std::string NodeOf(const api::Object& pod) { return std::string(Pod(pod.tree()).spec().node_name()); }
bool IsFinishedPod(const ObjectPtr& pod) { return pod != nullptr && IsFinished(Pod(pod->tree())); }

/// Somebody has said that the node does not come back, and it does not seem to.
bool IsOutOfService(const api::Object& object) {
  const Node node(object.tree());
  for (const auto condition : node.status().conditions()) {
    if (condition.type() == "Ready" && condition.status() == "True") return false;
  }
  for (const Taint taint : node.spec().taints()) {
    if (taint.key() == "node.kubernetes.io/out-of-service") return true;
  }
  return false;
}

/// What makes a status of a pod say that it failed.
std::string FailedPatch(const api::Object& pod, std::string_view why, WallTime now) {
  doc::Arena arena;
  Value status = Value::Object();
  status.AddMember(arena, "phase", Value::Borrow("Failed"));
  const Value& generation = pod.tree().Get("metadata", "generation");
  if (generation.is_int()) status.AddMember(arena, "observedGeneration", generation);
  if (!why.empty()) {
    Value condition = Value::Object();
    condition.AddMember(arena, "type", Value::Borrow("DisruptionTarget"));
    condition.AddMember(arena, "status", Value::Borrow("True"));
    condition.AddMember(arena, "reason", Value::Borrow("DeletionByPodGC"));
    condition.AddMember(arena, "message", Value::Borrow(why));
    if (generation.is_int()) condition.AddMember(arena, "observedGeneration", generation);
    // The time of a condition is that of its last change.
    const auto& conditions = pod.tree().Get("status", "conditions").items();
    const bool already = std::ranges::any_of(conditions, [](const Value& present) {
      return present.At("type").AsString() == "DisruptionTarget" && present.At("status").AsString() == "True";
    });
    if (!already) condition.AddMember(arena, "lastTransitionTime", Value::String(arena, FormatTime(now)));
    Value list = Value::Array();
    list.Append(arena, condition);
    status.AddMember(arena, "conditions", list);
  }
  return fmt::format(R"({{"metadata":{{"uid":"{}"}},"status":{}}})", pod.uid(), doc::ToJson(status));
}

class PodGarbageCollector : public Controller {
 public:
  explicit PodGarbageCollector(Context context)
      : context_(context),
        nodes_(context.informers.For(api::core_v1::NodeInfo())),
        pods_(context.informers.For(api::core_v1::PodInfo())),
        worker_(context.runtime, "pod-garbage", [this](const ObjectName& key) { return Sync(key); }) {
    pods_.AddIndex(std::string(kByNode), [](const api::Object& pod) { return std::vector<std::string>{NodeOf(pod)}; });
    pods_.AddIndex(std::string(kFinished), [](const api::Object& pod) {
      return IsFinished(Pod(pod.tree())) ? std::vector<std::string>{""} : std::vector<std::string>();
    });
    nodes_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
      if (after == nullptr || IsOutOfService(*after)) worker_.Add(NameOf(after != nullptr ? *after : *before));
    });
    pods_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) { Changed(before, after); });
  }
  void Start() override { worker_.Start({&nodes_, &pods_}, 1); }
  void Stop() override { worker_.Stop(); }

 private:
  // Keys: a node's name; namespace and name of a pod without a node; nothing, for those that have finished.
  void Changed(const ObjectPtr& before, const ObjectPtr& after) {
    const bool finished = IsFinishedPod(after);
    if (finished) ++finished_;
    if (IsFinishedPod(before)) --finished_;
    if (after == nullptr) return;
    if (finished && finished_ > kFinishedMax) worker_.Add({"", ""});
    const std::string node = NodeOf(*after);
    if (node.empty()) {
      if (after->deleting()) worker_.Add(NameOf(*after));
      return;
    }
    const ObjectPtr present = nodes_.Get({"", node});
    if (present == nullptr || (after->deleting() && IsOutOfService(*present))) worker_.Add({"", node});
  }

  Result<Requeue> Sync(const ObjectName& key) {
    if (!key.ns.empty()) {
      const ObjectPtr pod = pods_.Get(key);
      if (pod != nullptr && pod->deleting() && NodeOf(*pod).empty()) TRY(Remove(*pod, ""));
      return Requeue();
    }
    if (key.name.empty()) return RemoveFinished();
    const ObjectPtr node = nodes_.Get(key);
    if (node == nullptr) return RemoveOrphans(key.name);
    missing_since_.erase(key.name);
    if (!IsOutOfService(*node)) return Requeue();
    for (const ObjectPtr& pod : pods_.ByIndex(kByNode, key.name)) {
      if (pod->deleting()) TRY(Remove(*pod, ""));
    }
    return Requeue();
  }

  Result<Requeue> RemoveOrphans(const std::string& node) {
    const std::vector<ObjectPtr> pods = pods_.ByIndex(kByNode, node);
    if (pods.empty()) {
      missing_since_.erase(node);
      return Requeue();
    }
    const MonoTime now = context_.runtime.Mono();
    const MonoTime since = missing_since_.try_emplace(node, now).first->second;
    if (now - since < kQuarantine) return Requeue(since + kQuarantine - now);
    const Result<ObjectPtr> live = context_.client.Get(api::core_v1::NodeInfo(), {"", node});
    if (!live.ok() && !live.Failed(Reason::kNotFound)) return live.status();
    missing_since_.erase(node);
    if (live.ok()) return Requeue();
    for (const ObjectPtr& pod : pods) TRY(Remove(*pod, kOrphaned));
    return Requeue();
  }

  Result<Requeue> RemoveFinished() {
    std::vector<ObjectPtr> pods = pods_.ByIndex(kFinished, "");
    if (pods.size() <= kFinishedMax) return Requeue();
    std::ranges::sort(pods, [](const ObjectPtr& a, const ObjectPtr& b) { return GoesFirst(*a, *b); });
    pods.resize(pods.size() - kFinishedMax);
    for (const ObjectPtr& pod : pods) TRY(Remove(*pod, ""));
    return Requeue();
  }

  /// `why` is what its condition says, if it has not finished; "": it gets none.
  Ok Remove(const api::Object& pod, std::string_view why) {
    LOG_INFO("a pod that nobody ends is removed", {"pod", NameOf(pod).ToString()}, {"node", NodeOf(pod)});
    if (!IsFinished(Pod(pod.tree()))) {
      const Result<ObjectPtr> marked =
          context_.client.Patch(api::core_v1::PodInfo(), NameOf(pod), client::PatchType::kStrategicMerge,
                                FailedPatch(pod, why, context_.runtime.Wall()), "status");
      if (marked.Failed(Reason::kNotFound) || marked.Failed(Reason::kConflict)) return {};
      if (!marked.ok()) return marked.status();
    }
    const client::DeleteOptions options{.grace_seconds = 0, .uid = std::string(pod.uid())};
    const Result<ObjectPtr> deleted = context_.client.Delete(api::core_v1::PodInfo(), NameOf(pod), options);
    if (deleted.ok() || deleted.Failed(Reason::kNotFound) || deleted.Failed(Reason::kConflict)) return {};
    return deleted.status();
  }

  Context context_;
  client::Informer& nodes_;
  client::Informer& pods_;
  std::map<std::string, MonoTime> missing_since_;  // nodes that pods are bound to and that were not there
  size_t finished_ = 0;
  Worker worker_;
};

}  // namespace

bool GoesFirst(const api::Object& a, const api::Object& b) {
  const auto evicted = [](const api::Object& pod) {
    const Value& status = pod.tree().At("status");
    return status.At("phase").AsString() == "Failed" && status.At("reason").AsString() == "Evicted";
  };
  if (evicted(a) != evicted(b)) return evicted(a);
  const std::string_view made_a = a.tree().Get("metadata", "creationTimestamp").AsString();
  const std::string_view made_b = b.tree().Get("metadata", "creationTimestamp").AsString();
  return made_a != made_b ? made_a < made_b : a.name() < b.name();
}

std::unique_ptr<Controller> MakePodGarbageCollector(Context context) {
  return std::make_unique<PodGarbageCollector>(context);
}

}  // namespace knarr::controller
