#include "controller/replica_set.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/apps_v1.h"
#include "api/core_v1.h"
#include "api/label_selector.h"
#include "base/log.h"
#include "controller/framework/expectations.h"
#include "controller/framework/pods.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using api::core_v1::Pod;
using api::core_v1::PodTemplateSpec;
using client::EventKind;
using client::ObjectName;

// At most this many pods are created or deleted in one go, as upstream, and so many of them at once.
constexpr int kBurst = 500;
constexpr int kAtOnce = 64;
// How often, and how often at most, the server is asked whether a write took effect whose answer was lost.
constexpr Duration kLookFirst = 100ms;
constexpr Duration kLookMost = 5s;
constexpr int kLooks = 10;
// Upstream's rule for generated names: a base cut to fit, and five characters that spell no words.
constexpr size_t kNameBaseMost = 58;
constexpr size_t kNameRandom = 5;
constexpr std::string_view kNameAlphabet = "bcdfghjklmnpqrstvwxz2456789";
constexpr std::string_view kByController = "controllerUid";

/// What the two kinds have in common, read from either.
struct Wanted {
  int32_t replicas = 1;
  Duration min_ready{};
  LabelSelector selector;
  PodTemplateSpec pod_template;
  int64_t generation = 0;
};

Result<Wanted> ReadWanted(const api::KindInfo& kind, const api::Object& object) {
  Wanted wanted;
  if (&kind == &api::core_v1::ReplicationControllerInfo()) {
    api::core_v1::ReplicationController rc(object.tree());
    wanted.replicas = rc.spec().replicas().value_or(1);
    wanted.min_ready = std::chrono::seconds(rc.spec().min_ready_seconds());
    wanted.selector = api::ToLabelSelector(rc.spec().selector());
    wanted.pod_template = rc.spec().template_();
    wanted.generation = rc.metadata().generation();
  } else {
    api::apps_v1::ReplicaSet rs(object.tree());
    wanted.replicas = rs.spec().replicas().value_or(1);
    wanted.min_ready = std::chrono::seconds(rs.spec().min_ready_seconds());
    wanted.selector = TRY(api::ToLabelSelector(rs.spec().selector()));
    wanted.pod_template = rs.spec().template_();
    wanted.generation = rs.metadata().generation();
  }
  return wanted;
}

/// The index values of a pod: its controller's uid, or its namespace among the orphans.
std::vector<std::string> IndexValues(const api::Object& pod) {
  if (auto owner = ControllerOf(pod)) return {std::string(owner->uid)};
  return {"orphan/" + std::string(pod.ns())};
}

class ReplicaController : public Controller {
 public:
  ReplicaController(Context context, const api::KindInfo& kind)
      : context_(context),
        kind_(kind),
        sets_(context.informers.For(kind)),
        pods_(context.informers.For(api::core_v1::PodInfo())),
        worker_(context.runtime, std::string(kind.plural), [this](const ObjectName& key) { return Sync(key); }) {
    pods_.AddIndex(std::string(kByController), IndexValues);
    sets_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
      if (after == nullptr) expectations_.Forget(before->uid());
      worker_.Add(NameOf(after != nullptr ? *after : *before));
    });
    pods_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) { PodChanged(before, after); });
  }

  void Start() override { worker_.Start({&sets_, &pods_}); }
  void Stop() override { worker_.Stop(); }

 private:
  /// The set that controls a pod, if it is of our kind and there.
  std::optional<ObjectName> OwnerOf(const api::Object& pod) const {
    auto owner = ControllerOf(pod);
    if (!owner || owner->kind != kind_.kind || owner->api_version != kind_.api_version) return std::nullopt;
    ObjectName name{std::string(pod.ns()), std::string(owner->name)};
    ObjectPtr set = sets_.Get(name);
    if (set == nullptr || set->uid() != owner->uid) return std::nullopt;
    return name;
  }

  void PodChanged(const ObjectPtr& before, const ObjectPtr& after) {
    if (before != nullptr) {
      auto owner = ControllerOf(*before);
      if (owner && (after == nullptr || after->deleting())) expectations_.DeletionObserved(owner->uid, before->uid());
      if (auto name = OwnerOf(*before)) worker_.Add(*name);
    }
    if (after == nullptr) {
      // It may have been adopted and deleted at once, and never have been seen with its owner.
      if (ControllerOf(*before)) return;
      for (const ObjectPtr& set : sets_.List(before->ns())) {
        expectations_.DeletionObserved(set->uid(), before->uid());
      }
      AddMatching(*before);
      return;
    }
    if (auto owner = ControllerOf(*after); owner && before == nullptr) expectations_.CreationObserved(owner->uid);
    if (auto name = OwnerOf(*after)) {
      worker_.Add(*name);
    } else if (!ControllerOf(*after)) {
      // An orphan: any set of the namespace whose selector fits may adopt it.
      AddMatching(*after);
    }
  }

  void AddMatching(const api::Object& pod) {
    for (const ObjectPtr& set : sets_.List(pod.ns())) {
      Result<Wanted> wanted = ReadWanted(kind_, *set);
      if (wanted.ok() && api::Matches(wanted->selector, Pod(pod.tree()).metadata().labels())) {
        worker_.Add(NameOf(*set));
      }
    }
  }

  Result<Requeue> Sync(const ObjectName& key) {
    ObjectPtr set = sets_.Get(key);
    if (set == nullptr) return Requeue();
    Wanted wanted = TRY(ReadWanted(kind_, *set));
    const bool may_manage = expectations_.Satisfied(set->uid(), context_.runtime.Mono());
    std::vector<ObjectPtr> pods = TRY(ClaimPods(*set, wanted));
    std::erase_if(pods, [](const ObjectPtr& pod) { return IsFinished(Pod(pod->tree())); });
    std::vector<ObjectPtr> active;
    for (const ObjectPtr& pod : pods) {
      if (!pod->deleting()) active.push_back(pod);
    }
    Ok managed;
    if (may_manage && !set->deleting()) managed = Manage(set, wanted, active);
    const Failure failure{managed, static_cast<int>(active.size()) > wanted.replicas ? "FailedDelete" : "FailedCreate"};
    Requeue requeue = TRY(WriteStatus(set, wanted, pods, failure));
    if (!managed.ok()) return managed.status();
    if (!may_manage) {
      const Duration left = expectations_.UntilGivenUp(set->uid(), context_.runtime.Mono());
      requeue = std::min(requeue.value_or(left), left);
    }
    return requeue;
  }

  /// The pods this set controls, after adopting orphans that its selector fits and releasing pods it no longer fits.
  Result<std::vector<ObjectPtr>> ClaimPods(const api::Object& set, const Wanted& wanted) {
    std::vector<ObjectPtr> out;
    for (const ObjectPtr& pod : pods_.ByIndex(kByController, set.uid())) {
      if (api::Matches(wanted.selector, Pod(pod->tree()).metadata().labels())) {
        out.push_back(pod);
      } else if (!set.deleting()) {
        TRY(Release(set, *pod));
      }
    }
    if (set.deleting()) return out;
    for (const ObjectPtr& pod : pods_.ByIndex(kByController, "orphan/" + std::string(set.ns()))) {
      Pod view(pod->tree());
      if (!api::Matches(wanted.selector, view.metadata().labels()) || !IsActive(view)) continue;
      Result<ObjectPtr> adopted = Adopt(set, *pod);
      if (adopted.ok()) {
        out.push_back(*adopted);
      } else if (!adopted.Failed(Reason::kNotFound) && !adopted.Failed(Reason::kInvalid)) {
        return adopted.status();
      }
    }
    return out;
  }

  Ok Release(const api::Object& set, const api::Object& pod) {
    std::string patch = fmt::format(
        R"({{"metadata":{{"uid":"{}","ownerReferences":[{{"$patch":"delete","uid":"{}"}}]}}}})", pod.uid(), set.uid());
    Result<ObjectPtr> patched =
        context_.client.Patch(api::core_v1::PodInfo(), NameOf(pod), client::PatchType::kStrategicMerge, patch);
    if (patched.ok() || patched.Failed(Reason::kNotFound) || patched.Failed(Reason::kInvalid)) return {};
    return patched.status();
  }

  Result<ObjectPtr> Adopt(const api::Object& set, const api::Object& pod) {
    // The copy may be stale: a set that was deleted and made again must not adopt in its predecessor's name.
    ObjectPtr fresh = TRY(context_.client.Get(kind_, NameOf(set)));
    if (fresh->uid() != set.uid() || fresh->deleting()) return NotFound("the owner is going away");
    std::string patch = fmt::format(
        R"({{"metadata":{{"uid":"{}","ownerReferences":[{{"apiVersion":"{}","kind":"{}","name":"{}","uid":"{}",)"
        R"("controller":true,"blockOwnerDeletion":true}}]}}}})",
        pod.uid(), kind_.api_version, kind_.kind, set.name(), set.uid());
    return context_.client.Patch(api::core_v1::PodInfo(), NameOf(pod), client::PatchType::kStrategicMerge, patch);
  }

  Ok Manage(const ObjectPtr& set, const Wanted& wanted, const std::vector<ObjectPtr>& active) {
    expectations_.Forget(set->uid());
    const int difference = wanted.replicas - static_cast<int>(active.size());
    if (difference > 0) return CreatePods(set, wanted, std::min(difference, kBurst));
    if (difference < 0) return DeletePods(set, active, std::min(-difference, kBurst));
    return {};
  }

  /// Runs `task` for 0 … count-1, all at once, and waits for them.
  void InParallel(std::string_view name, int count, const std::function<void(int index)>& task) {
    rt::TaskGroup group(context_.runtime, std::string(name));
    for (int i = 0; i < count; ++i) {
      group.Spawn(name, [&task, i] { task(i); });
    }
    group.Join();
  }

  /// In doubling batches, so that what fails for all of them (a quota) fails once, not five hundred times.
  Ok CreatePods(const ObjectPtr& set, const Wanted& wanted, int count) {
    const std::string uid(set->uid());
    expectations_.ExpectCreations(uid, count, context_.runtime.Mono());
    int batch = 1;
    Ok failure;
    bool closed = false;
    while (count > 0 && failure.ok() && !closed) {
      const int now = std::min({batch, count, kAtOnce});
      InParallel("create pod", now, [&](int) {
        Write created = CreatePod(set, wanted);
        if (created.done.ok()) return;
        if (created.certain) expectations_.CreationObserved(uid);
        // Whatever else is in a namespace that is going away goes, too: the set will not be asked again.
        if (IsTerminatingNamespace(created.done.status())) {
          closed = true;
        } else {
          failure = created.done;
        }
      });
      count -= now;
      batch *= 2;
    }
    // What was not tried will not be seen either.
    for (int i = 0; i < count; ++i) expectations_.CreationObserved(uid);
    return failure;
  }

  /// How a write ended. Not certain: it may have taken effect all the same, and nobody could be asked.
  struct Write {
    Ok done;
    bool certain = true;
  };

  /// The name is chosen here and not by the server, so that after a lost answer the pod can be looked for.
  std::string PodName(const api::Object& set) {
    std::string name = std::string(set.name()) + "-";
    if (name.size() > kNameBaseMost) name.resize(kNameBaseMost);
    for (size_t i = 0; i < kNameRandom; ++i) name += kNameAlphabet[context_.runtime.Random() % kNameAlphabet.size()];
    return name;
  }

  doc::Document NewPod(const api::Object& set, const Wanted& wanted, std::string_view name) {
    doc::Document document;
    api::core_v1::PodEdit pod(document);
    auto metadata = pod.metadata();
    metadata.set_name(name);
    metadata.set_generate_name(std::string(set.name()) + "-");
    metadata.set_ns(set.ns());
    auto from = wanted.pod_template.metadata();
    for (auto [label, value] : from.labels()) metadata.put_labels(label, value);
    for (auto [annotation, value] : from.annotations()) metadata.put_annotations(annotation, value);
    for (std::string_view finalizer : from.finalizers()) metadata.add_finalizers(finalizer);
    metadata.add_owner_references()
        .set_api_version(kind_.api_version)
        .set_kind(kind_.kind)
        .set_name(set.name())
        .set_uid(set.uid())
        .set_controller(true)
        .set_block_owner_deletion(true);
    pod.spec().CopyFrom(wanted.pod_template.spec().value());
    return document;
  }

  Write CreatePod(const ObjectPtr& set, const Wanted& wanted) {
    const ObjectName name{std::string(set->ns()), PodName(*set)};
    const doc::Document document = NewPod(*set, wanted, name.name);
    Result<ObjectPtr> created = context_.client.Create(api::core_v1::PodInfo(), set->ns(), document.root);
    bool certain = true;
    if (!created.ok() && client::OutcomeUnknown(created.status())) {
      Result<bool> there = LookFor(name, [&](const api::Object& pod) {
        auto owner = ControllerOf(pod);
        return owner && owner->uid == set->uid();
      });
      certain = there.ok();
      if (there.ok() && *there) {
        RecordCreated(*set, name.name);
        return {};
      }
    }
    if (created.ok()) {
      RecordCreated(*set, name.name);
      return {};
    }
    if (!created.Failed(Reason::kCancelled) && !IsTerminatingNamespace(created.status())) {
      context_.events.Record(client::EventTarget::Of(kind_, *set), EventKind::kWarning, "FailedCreate",
                             fmt::format("Error creating: {}", created.status().message()));
    }
    return {.done = created.status(), .certain = certain};
  }

  void RecordCreated(const api::Object& set, const std::string& pod) {
    context_.events.Record(client::EventTarget::Of(kind_, set), EventKind::kNormal, "SuccessfulCreate",
                           fmt::format("Created pod: {}", pod));
  }

  /// Asks the server, some times, whether a pod is there and `fits`. An error: it does not answer.
  Result<bool> LookFor(const ObjectName& name, const std::function<bool(const api::Object& pod)>& fits) {
    Duration pause = kLookFirst;
    for (int look = 1;; ++look) {
      // A list of one: the account may list pods, not get them.
      Result<client::ObjectList> live =
          context_.client.List(api::core_v1::PodInfo(), name.ns, {.field_selector = "metadata.name=" + name.name});
      if (live.ok()) return !live->items.empty() && fits(*live->items.front());
      if (live.Failed(Reason::kCancelled) || look == kLooks) return live.status();
      TRY(context_.runtime.Sleep(pause));
      pause = std::min(pause * 2, kLookMost);
    }
  }

  static bool IsTerminatingNamespace(const Status& status) {
    return std::ranges::any_of(status.details().causes,
                               [](const StatusCause& cause) { return cause.type == "NamespaceTerminating"; });
  }

  Ok DeletePods(const ObjectPtr& set, const std::vector<ObjectPtr>& active, int count) {
    std::map<std::string, int, std::less<>> on_node;
    for (const ObjectPtr& pod : active) on_node[std::string(Pod(pod->tree()).spec().node_name())]++;
    std::vector<DeletionRank> ranked;
    for (const ObjectPtr& pod : active) {
      Pod view(pod->tree());
      ranked.push_back({view, on_node.find(view.spec().node_name())->second});
    }
    std::ranges::sort(ranked, DeleteFirst);
    const std::string uid(set->uid());
    for (int i = 0; i < count; ++i) {
      expectations_.ExpectDeletion(uid, std::string(ranked[i].pod.metadata().uid()), context_.runtime.Mono());
    }
    Ok failure;
    for (int from = 0; from < count; from += kAtOnce) {
      InParallel("delete pod", std::min(kAtOnce, count - from), [&](int index) {
        Pod pod = ranked[from + index].pod;
        Write deleted = DeletePod(*set, pod);
        if (deleted.done.ok()) return;
        if (deleted.certain) expectations_.DeletionObserved(uid, pod.metadata().uid());
        if (!deleted.done.Failed(Reason::kNotFound)) failure = deleted.done;
      });
    }
    return failure;
  }

  Write DeletePod(const api::Object& set, Pod pod) {
    const ObjectName name{std::string(set.ns()), std::string(pod.metadata().name())};
    const std::string uid(pod.metadata().uid());
    Result<ObjectPtr> deleted =
        context_.client.Delete(api::core_v1::PodInfo(), name, client::DeleteOptions{.uid = uid});
    bool certain = true;
    bool gone = deleted.ok();
    if (!deleted.ok() && client::OutcomeUnknown(deleted.status())) {
      Result<bool> left = LookFor(name, [&](const api::Object& now) { return now.uid() == uid && !now.deleting(); });
      certain = left.ok();
      gone = left.ok() && !*left;
    }
    auto target = client::EventTarget::Of(kind_, set);
    if (gone) {
      context_.events.Record(std::move(target), EventKind::kNormal, "SuccessfulDelete", "Deleted pod: " + name.name);
      return {};
    }
    if (!deleted.Failed(Reason::kNotFound) && !deleted.Failed(Reason::kCancelled)) {
      context_.events.Record(std::move(target), EventKind::kWarning, "FailedDelete",
                             "Error deleting: " + deleted.status().message());
    }
    return {.done = deleted.status(), .certain = certain};
  }

  /// How creating or deleting pods ended, and what a failure of it is called.
  struct Failure {
    const Ok& managed;
    std::string_view reason;
  };

  Result<Requeue> WriteStatus(const ObjectPtr& set, const Wanted& wanted, const std::vector<ObjectPtr>& pods,
                              const Failure& failure) {
    // Both kinds' statuses have the same fields; the ReplicaSet's view serves for both.
    int replicas = 0;
    int labelled = 0;
    int ready = 0;
    int available = 0;
    int terminating = 0;
    Requeue requeue;
    const WallTime now = context_.runtime.Wall();
    LabelSelector of_template = api::ToLabelSelector(wanted.pod_template.metadata().labels());
    for (const ObjectPtr& object : pods) {
      Pod pod(object->tree());
      if (object->deleting()) {
        terminating++;
        continue;
      }
      replicas++;
      if (api::Matches(of_template, pod.metadata().labels())) labelled++;
      if (!IsReady(pod)) continue;
      ready++;
      Duration left{};
      if (IsAvailable(pod, wanted.min_ready, now, &left)) {
        available++;
      } else if (left > Duration::zero()) {
        requeue = std::min(requeue.value_or(left), left);
      }
    }
    doc::Document document = doc::Document::Copy(set->tree());
    api::apps_v1::ReplicaSetEdit edit(document);
    auto status = edit.status();
    status.set_replicas(replicas);
    status.set_observed_generation(wanted.generation);
    auto set_or_clear = [&](int value, auto set_value, auto clear) { value > 0 ? set_value() : clear(); };
    set_or_clear(
        labelled, [&] { status.set_fully_labeled_replicas(labelled); }, [&] { status.clear_fully_labeled_replicas(); });
    set_or_clear(ready, [&] { status.set_ready_replicas(ready); }, [&] { status.clear_ready_replicas(); });
    set_or_clear(
        available, [&] { status.set_available_replicas(available); }, [&] { status.clear_available_replicas(); });
    if (&kind_ == &api::apps_v1::ReplicaSetInfo()) status.set_terminating_replicas(terminating);
    WriteFailureCondition(status, failure, now);
    if (document.root.At("status").Equals(set->tree().At("status"))) return requeue;
    Result<ObjectPtr> written = context_.client.Update(kind_, NameOf(*set), document.root, "status");
    if (!written.ok() && !written.Failed(Reason::kNotFound)) return written.status();
    return requeue;
  }

  static void WriteFailureCondition(api::apps_v1::ReplicaSetStatusEdit status, const Failure& failure, WallTime now) {
    const Ok& managed = failure.managed;
    auto conditions = status.view().conditions();
    size_t at = 0;
    while (at < conditions.size() && conditions[at].type() != "ReplicaFailure") ++at;
    const bool present = at < conditions.size();
    if (managed.ok() || managed.Failed(Reason::kCancelled) || managed.Failed(Reason::kConflict)) {
      if (present && managed.ok()) {
        status.conditions().Erase(at);
        if (status.view().conditions().empty()) status.clear_conditions();
      }
      return;
    }
    if (present) return;
    status.add_conditions()
        .set_type("ReplicaFailure")
        .set_status("True")
        .set_reason(failure.reason)
        .set_message(managed.status().message())
        .set_last_transition_time(now);
  }

  Context context_;
  const api::KindInfo& kind_;
  client::Informer& sets_;
  client::Informer& pods_;
  Expectations expectations_;
  Worker worker_;
};

}  // namespace

std::unique_ptr<Controller> MakeReplicaSetController(Context context) {
  return std::make_unique<ReplicaController>(context, api::apps_v1::ReplicaSetInfo());
}

std::unique_ptr<Controller> MakeReplicationController(Context context) {
  return std::make_unique<ReplicaController>(context, api::core_v1::ReplicationControllerInfo());
}

}  // namespace knarr::controller
