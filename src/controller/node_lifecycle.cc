#include "controller/node_lifecycle.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "api/coordination_v1.h"
#include "api/core_v1.h"
#include "base/log.h"
#include "controller/framework/pods.h"
#include "controller/node_taints.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using api::core_v1::Node;
using api::core_v1::Pod;
using api::core_v1::Taint;
using client::EventKind;
using client::ObjectName;

// Upstream's node-monitor-grace-period.
constexpr Duration kGrace = 50s;
constexpr std::string_view kByNode = "node";

class NodeLifecycleController : public Controller {
 public:
  explicit NodeLifecycleController(Context context)
      : context_(context),
        nodes_(context.informers.For(api::core_v1::NodeInfo())),
        leases_(context.informers.For(api::coordination_v1::LeaseInfo(), {.ns = "kube-node-lease"})),
        pods_(context.informers.For(api::core_v1::PodInfo())),
        worker_(context.runtime, "nodes", [this](const ObjectName& key) { return Sync(key); }) {
    pods_.AddIndex(std::string(kByNode), [](const api::Object& pod) {
      return std::vector<std::string>{std::string(Pod(pod.tree()).spec().node_name())};
    });
    nodes_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
      worker_.Add(NameOf(after != nullptr ? *after : *before));
    });
    leases_.AddHandler([this](const ObjectPtr&, const ObjectPtr& after) {
      if (after == nullptr) return;
      seen_[std::string(after->name())] = context_.runtime.Mono();
      // A renewed lease of a healthy node asks for nothing; of an unhealthy one, for a look.
      if (unhealthy_.contains(after->name())) worker_.Add({"", std::string(after->name())});
    });
    pods_.AddHandler([this](const ObjectPtr&, const ObjectPtr& after) {
      if (after == nullptr) return;
      const std::string node(Pod(after->tree()).spec().node_name());
      if (node.empty()) return;
      const ObjectPtr present = nodes_.Get({"", node});
      if (present != nullptr && (unhealthy_.contains(node) || Expels(*present))) worker_.Add({"", node});
    });
  }
  void Start() override { worker_.Start({&nodes_, &leases_, &pods_}, 1); }
  void Stop() override { worker_.Stop(); }

 private:
  Result<Requeue> Sync(const ObjectName& key) {
    ObjectPtr node = nodes_.Get(key);
    if (node == nullptr) {
      seen_.erase(key.name);
      unhealthy_.erase(key.name);
      undated_.erase(key.name);
      return Requeue();
    }
    // The lease is timed by this server's own clock, from when a renewal was seen: clocks may differ.
    const MonoTime now = context_.runtime.Mono();
    const MonoTime seen = seen_.try_emplace(key.name, now).first->second;
    if (now - seen < kGrace) {
      unhealthy_.erase(key.name);
      TRY(SetTaints(*node, true));
      const Requeue evict = TRY(EvictPods(key));
      const Duration until_lost = seen + kGrace - now + 1ms;
      return Requeue(std::min(evict.value_or(until_lost), until_lost));
    }
    if (unhealthy_.try_emplace(key.name).second) {
      LOG_WARN("node is not heard of any more", {"node", key.name});
      context_.events.Record(client::EventTarget::Of(api::core_v1::NodeInfo(), *node), EventKind::kNormal,
                             "NodeNotReady", fmt::format("Node {} status is now: NodeNotReady", key.name));
    }
    TRY(SetUnknown(key));
    TRY(SetTaints(*node, false));
    TRY(MarkPodsNotReady(key));
    return EvictPods(key);
  }

  /// Nobody knows how they are: Services send nothing there any more. Each is marked once: an agent that lost no more
  /// than its lease says the truth about its pods, and the two would contradict each other for ever.
  Ok MarkPodsNotReady(const ObjectName& key) {
    std::set<std::string, std::less<>>& marked = unhealthy_.at(key.name);
    for (const ObjectPtr& pod : pods_.ByIndex(kByNode, key.name)) {
      if (!IsReady(Pod(pod->tree())) || marked.contains(pod->uid())) continue;
      const WallTime now = context_.runtime.Wall();
      bool changed = false;
      Result<ObjectPtr> written =
          client::UpdateWithRetry(context_.runtime, context_.client, api::core_v1::PodInfo(), NameOf(*pod), "status",
                                  [&](doc::Document& document) {
                                    api::core_v1::PodEdit edit(document);
                                    changed = false;
                                    if (edit.metadata().uid() != pod->uid()) return false;
                                    for (auto condition : edit.status().conditions()) {
                                      if (condition.type() != "Ready" || condition.status() != "True") continue;
                                      condition.set_status("False").set_last_transition_time(now);
                                      changed = true;
                                    }
                                    return changed;
                                  });
      if (!written.ok() && !written.Failed(Reason::kNotFound)) return written.status();
      marked.emplace(pod->uid());
      if (written.ok() && changed) {
        context_.events.Record(client::EventTarget::Of(api::core_v1::PodInfo(), *pod), EventKind::kWarning,
                               "NodeNotReady", "Node is not ready");
      }
    }
    return {};
  }

  /// Whether pods have to leave it.
  static bool Expels(const api::Object& node) {
    for (Taint taint : Node(node.tree()).spec().taints()) {
      if (taint.effect() == "NoExecute") return true;
    }
    return false;
  }

  Ok SetUnknown(const ObjectName& key) {
    const WallTime now = context_.runtime.Wall();
    Result<ObjectPtr> written = client::UpdateWithRetry(
        context_.runtime, context_.client, api::core_v1::NodeInfo(), key, "status",
        [now](doc::Document& document) { return MarkUnknown(api::core_v1::NodeEdit(document), now); });
    return written.ok() || written.Failed(Reason::kNotFound) ? Ok() : Ok(written.status());
  }

  Ok SetTaints(const api::Object& node, bool heard) {
    doc::Document scratch = doc::Document::Copy(node.tree());
    const WallTime now = context_.runtime.Wall();
    if (!FitTaints(api::core_v1::NodeEdit(scratch), TaintsFor(Node(node.tree()), heard), now)) return {};
    Result<ObjectPtr> written = client::UpdateWithRetry(context_.runtime, context_.client, api::core_v1::NodeInfo(),
                                                        NameOf(node), "", [&](doc::Document& document) {
                                                          api::core_v1::NodeEdit edit(document);
                                                          return FitTaints(edit, TaintsFor(edit.view(), heard), now);
                                                        });
    return written.ok() || written.Failed(Reason::kNotFound) ? Ok() : Ok(written.status());
  }

  Result<Requeue> EvictPods(const ObjectName& key) {
    Requeue again;
    ObjectPtr node = nodes_.Get(key);
    if (node == nullptr) return again;
    const WallTime now = context_.runtime.Wall();
    NoteUndated(*node, now);
    for (Taint taint : Node(node->tree()).spec().taints()) {
      if (taint.effect() != "NoExecute") continue;
      // Whatever somebody wrote there: it was added between the first of all times and now.
      const WallTime since = std::clamp(SinceWhen(key.name, taint), WallTime{}, now);
      for (const ObjectPtr& pod : pods_.ByIndex(kByNode, key.name)) {
        if (pod->deleting()) continue;
        std::optional<Duration> stays = StaysFor(Pod(pod->tree()), taint);
        if (!stays) continue;
        const Duration left = since + *stays - now;
        if (left > Duration::zero()) {
          again = std::min(again.value_or(left), left);
          continue;
        }
        context_.events.Record(client::EventTarget::Of(api::core_v1::PodInfo(), *pod), EventKind::kNormal,
                               "TaintManagerEviction", fmt::format("Marking for deletion Pod {}", KeyOf(*pod)));
        TRY(Delete(*pod));
      }
    }
    return again;
  }

  static std::string TextOf(Taint taint) { return fmt::format("{}={}", taint.key(), taint.value()); }

  /// Who taints a node by hand does not say when: it counts from when it was first seen.
  void NoteUndated(const api::Object& node, WallTime now) {
    std::map<std::string, WallTime> present;
    auto& known = undated_[std::string(node.name())];
    for (Taint taint : Node(node.tree()).spec().taints()) {
      if (taint.effect() != "NoExecute" || taint.time_added()) continue;
      const auto before = known.find(TextOf(taint));
      present[TextOf(taint)] = before == known.end() ? now : before->second;
    }
    known = std::move(present);
  }

  WallTime SinceWhen(const std::string& node, Taint taint) const {
    if (taint.time_added()) return *taint.time_added();
    return undated_.at(node).at(TextOf(taint));  // noted just before
  }

  Ok Delete(const api::Object& pod) {
    client::DeleteOptions options{.uid = std::string(pod.uid())};
    Result<ObjectPtr> deleted = context_.client.Delete(api::core_v1::PodInfo(), NameOf(pod), options);
    if (deleted.ok() || deleted.Failed(Reason::kNotFound) || deleted.Failed(Reason::kConflict)) return {};
    return deleted.status();
  }

  Context context_;
  client::Informer& nodes_;
  client::Informer& leases_;
  client::Informer& pods_;
  std::map<std::string, MonoTime, std::less<>> seen_;  // when each lease was last seen renewed
  /// Nodes that are not heard of, and the uids of their pods that were marked because of it.
  std::map<std::string, std::set<std::string, std::less<>>, std::less<>> unhealthy_;
  /// Taints that do not say since when they are there, and since when that is, by node.
  std::map<std::string, std::map<std::string, WallTime>, std::less<>> undated_;
  Worker worker_;
};

}  // namespace

std::unique_ptr<Controller> MakeNodeLifecycleController(Context context) {
  return std::make_unique<NodeLifecycleController>(context);
}

}  // namespace knarr::controller
