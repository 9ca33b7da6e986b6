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

// At most this many pods are created or deleted in one go, as upstream.
constexpr int kBurst = 500;
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
      if (after == nullptr) expectations_.Forget(NameOf(*before).ToString());
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
      if (auto owner = OwnerOf(*before)) {
        if (after == nullptr || after->deleting()) expectations_.DeletionObserved(owner->ToString(), before->uid());
        worker_.Add(*owner);
      }
    }
    if (after == nullptr) return;
    if (auto owner = OwnerOf(*after)) {
      if (before == nullptr) expectations_.CreationObserved(owner->ToString());
      worker_.Add(*owner);
    } else if (!ControllerOf(*after)) {
      // An orphan: any set of the namespace whose selector fits may adopt it.
      for (const ObjectPtr& set : sets_.List(after->ns())) {
        Result<Wanted> wanted = ReadWanted(kind_, *set);
        if (wanted.ok() && api::Matches(wanted->selector, Pod(after->tree()).metadata().labels())) {
          worker_.Add(NameOf(*set));
        }
      }
    }
  }

  Result<Requeue> Sync(const ObjectName& key) {
    ObjectPtr set = sets_.Get(key);
    if (set == nullptr) return Requeue();
    Wanted wanted = TRY(ReadWanted(kind_, *set));
    const bool may_manage = expectations_.Satisfied(key.ToString(), context_.runtime.Mono());
    std::vector<ObjectPtr> pods = TRY(ClaimPods(*set, wanted));
    std::erase_if(pods, [](const ObjectPtr& pod) { return IsFinished(Pod(pod->tree())); });
    std::vector<ObjectPtr> active;
    for (const ObjectPtr& pod : pods) {
      if (!pod->deleting()) active.push_back(pod);
    }
    Ok managed;
    if (may_manage && !set->deleting()) managed = Manage(set, wanted, active);
    Requeue requeue = TRY(WriteStatus(set, wanted, pods, managed));
    if (!managed.ok()) return managed.status();
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
    const int difference = wanted.replicas - static_cast<int>(active.size());
    if (difference > 0) return CreatePods(set, wanted, std::min(difference, kBurst));
    if (difference < 0) return DeletePods(set, active, std::min(-difference, kBurst));
    return {};
  }

  /// In doubling batches, so that what fails for all of them (a quota) fails once, not five hundred times.
  Ok CreatePods(const ObjectPtr& set, const Wanted& wanted, int count) {
    const std::string key = NameOf(*set).ToString();
    expectations_.ExpectCreations(key, count, context_.runtime.Mono());
    int batch = 1;
    Ok failure;
    while (count > 0 && failure.ok()) {
      const int now = std::min(batch, count);
      for (int i = 0; i < now; ++i) {
        Ok created = CreatePod(set, wanted);
        if (!created.ok()) {
          expectations_.CreationObserved(key);
          failure = created;
        }
      }
      count -= now;
      batch *= 2;
    }
    // What was not tried will not be seen either.
    for (int i = 0; i < count; ++i) expectations_.CreationObserved(key);
    return failure;
  }

  Ok CreatePod(const ObjectPtr& set, const Wanted& wanted) {
    doc::Document document;
    api::core_v1::PodEdit pod(document);
    auto metadata = pod.metadata();
    metadata.set_generate_name(std::string(set->name()) + "-");
    metadata.set_ns(set->ns());
    auto from = wanted.pod_template.metadata();
    for (auto [label, value] : from.labels()) metadata.put_labels(label, value);
    for (auto [name, value] : from.annotations()) metadata.put_annotations(name, value);
    for (std::string_view finalizer : from.finalizers()) metadata.add_finalizers(finalizer);
    metadata.add_owner_references()
        .set_api_version(kind_.api_version)
        .set_kind(kind_.kind)
        .set_name(set->name())
        .set_uid(set->uid())
        .set_controller(true)
        .set_block_owner_deletion(true);
    pod.spec().CopyFrom(wanted.pod_template.spec().value());
    Result<ObjectPtr> created = context_.client.Create(api::core_v1::PodInfo(), set->ns(), document.root);
    auto target = client::EventTarget::Of(kind_, *set);
    if (created.ok()) {
      context_.events.Record(std::move(target), EventKind::kNormal, "SuccessfulCreate",
                             fmt::format("Created pod: {}", (*created)->name()));
      return {};
    }
    if (!created.Failed(Reason::kCancelled) && !IsTerminatingNamespace(created.status())) {
      context_.events.Record(std::move(target), EventKind::kWarning, "FailedCreate",
                             fmt::format("Error creating: {}", created.status().message()));
    }
    return created.status();
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
    const std::string key = NameOf(*set).ToString();
    for (int i = 0; i < count; ++i) {
      expectations_.ExpectDeletion(key, std::string(ranked[i].pod.metadata().uid()), context_.runtime.Mono());
    }
    Ok failure;
    for (int i = 0; i < count; ++i) {
      auto metadata = ranked[i].pod.metadata();
      const std::string name(metadata.name());
      client::DeleteOptions options{.uid = std::string(metadata.uid())};
      Result<ObjectPtr> deleted =
          context_.client.Delete(api::core_v1::PodInfo(), {std::string(set->ns()), name}, options);
      auto target = client::EventTarget::Of(kind_, *set);
      if (deleted.ok()) {
        context_.events.Record(std::move(target), EventKind::kNormal, "SuccessfulDelete", "Deleted pod: " + name);
        continue;
      }
      expectations_.DeletionObserved(key, metadata.uid());
      if (deleted.Failed(Reason::kNotFound)) continue;
      context_.events.Record(std::move(target), EventKind::kWarning, "FailedDelete",
                             "Error deleting: " + deleted.status().message());
      failure = deleted.status();
    }
    return failure;
  }

  Result<Requeue> WriteStatus(const ObjectPtr& set, const Wanted& wanted, const std::vector<ObjectPtr>& pods,
                              const Ok& managed) {
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
      if (IsReady(pod)) ready++;
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
    WriteFailureCondition(status, managed, now);
    if (document.root.At("status").Equals(set->tree().At("status"))) return requeue;
    Result<ObjectPtr> written = context_.client.Update(kind_, NameOf(*set), document.root, "status");
    if (!written.ok() && !written.Failed(Reason::kNotFound)) return written.status();
    return requeue;
  }

  static void WriteFailureCondition(api::apps_v1::ReplicaSetStatusEdit status, const Ok& managed, WallTime now) {
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
        .set_reason("FailedCreate")
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
