// What makes pods: ReplicationController, ReplicaSet, Deployment, StatefulSet, DaemonSet.

#include <fmt/format.h>

#include <algorithm>

#include "api/apps_v1.h"
#include "api/core_v1.h"
#include "api/label_selector.h"
#include "base/strings.h"
#include "cli/kubectl/describe.h"

namespace knarr::cli {
namespace {

constexpr std::string_view kHashLabel = "pod-template-hash";

struct PodCounts {
  int running = 0;
  int waiting = 0;
  int succeeded = 0;
  int failed = 0;
  std::string ToString() const {
    return fmt::format("{} Running / {} Waiting / {} Succeeded / {} Failed", running, waiting, succeeded, failed);
  }
};

/// The pods that the object controls.
Result<PodCounts> CountPods(Description& out, const api::Object& object, const LabelSelector& selector) {
  PodCounts counts;
  if (selector.nothing()) return counts;
  client::ListOptions options{.label_selector = selector.ToString()};
  client::Client& client = out.client();
  client::ObjectList pods = TRY(client.List(api::core_v1::PodInfo(), object.ns(), options));
  for (const api::ObjectPtr& pod : pods.items) {
    const bool own =
        std::ranges::any_of(pod->tree().Get("metadata", "ownerReferences").items(), [&](const doc::Value& owner) {
          return owner.At("controller").AsBool() && owner.At("uid").AsString() == object.uid();
        });
    if (!own) continue;
    const std::string_view phase = pod->tree().Get("status", "phase").AsString();
    if (phase == "Running") counts.running++;
    if (phase == "Pending") counts.waiting++;
    if (phase == "Succeeded") counts.succeeded++;
    if (phase == "Failed") counts.failed++;
  }
  return counts;
}

LabelSelector SelectorOf(const doc::Value& spec) {
  Result<LabelSelector> selector = api::ToLabelSelector(api::meta_v1::LabelSelector(spec.At("selector")));
  // The server lets no malformed selector in.
  return selector.ok() ? *selector : LabelSelector::Nothing();
}

void AddConditions(Description& out, const doc::Value& conditions) {
  if (conditions.empty()) return;
  out.Add(0, "Conditions:\n  Type\tStatus\tReason\n");
  out.Add(1, "----\t------\t------\n");
  for (const doc::Value& condition : conditions.items()) {
    out.Add(1, fmt::format("{} \t{}\t{}\n", condition.At("type").AsString(), condition.At("status").AsString(),
                           condition.At("reason").AsString()));
  }
}

void AddHead(Description& out, const api::Object& object) {
  out.Labels("Labels", object.tree().Get("metadata", "labels"));
  out.Annotations(object.tree().Get("metadata", "annotations"));
}

std::string ReplicaSetText(const api::Object& set) {
  api::apps_v1::ReplicaSet view(set.tree());
  return fmt::format("{} ({}/{} replicas created)", set.name(), view.status().replicas(),
                     view.spec().replicas().value_or(1));
}

/// The templates make the same pods: all but the label with their hash is equal.
bool SameTemplate(const doc::Value& a, const doc::Value& b) {
  doc::Document left = doc::Document::Copy(a);
  doc::Document right = doc::Document::Copy(b);
  for (doc::Document* document : {&left, &right}) {
    doc::Value* metadata = document->root.Find("metadata");
    doc::Value* labels = metadata == nullptr ? nullptr : metadata->Find("labels");
    if (labels != nullptr) labels->Remove(kHashLabel);
  }
  return left.root.Equals(right.root);
}

/// The Deployment's ReplicaSets: of its present template, and of former ones.
struct ReplicaSets {
  api::ObjectPtr current;
  std::vector<api::ObjectPtr> old;
};

Result<ReplicaSets> FindReplicaSets(Description& out, const api::Object& deployment) {
  const doc::Value& spec = deployment.tree().At("spec");
  client::ListOptions options{.label_selector = SelectorOf(spec).ToString()};
  client::Client& client = out.client();
  client::ObjectList sets = TRY(client.List(api::apps_v1::ReplicaSetInfo(), deployment.ns(), options));
  std::erase_if(sets.items, [&](const api::ObjectPtr& set) {
    return std::ranges::none_of(set->tree().Get("metadata", "ownerReferences").items(), [&](const doc::Value& owner) {
      return owner.At("controller").AsBool() && owner.At("uid").AsString() == deployment.uid();
    });
  });
  std::ranges::stable_sort(sets.items, {}, [](const api::ObjectPtr& set) {
    return std::pair(set->tree().Get("metadata", "creationTimestamp").AsString(), set->name());
  });
  ReplicaSets found;
  for (api::ObjectPtr& set : sets.items) {
    if (found.current == nullptr && SameTemplate(set->tree().Get("spec", "template"), spec.At("template"))) {
      found.current = std::move(set);
    } else {
      found.old.push_back(std::move(set));
    }
  }
  return found;
}

void AddReplicaSets(Description& out, const api::Object& deployment) {
  const Result<ReplicaSets> sets = FindReplicaSets(out, deployment);
  // As upstream: sets that can't be read are passed over.
  if (!sets.ok() || (sets->old.empty() && sets->current == nullptr)) return;
  std::vector<std::string> old;
  for (const api::ObjectPtr& set : sets->old) old.push_back(ReplicaSetText(*set));
  out.Add(0, fmt::format("OldReplicaSets:\t{}\n", old.empty() ? "<none>" : Join(old, ", ")));
  out.Add(0, fmt::format("NewReplicaSet:\t{}\n", sets->current == nullptr ? "<none>" : ReplicaSetText(*sets->current)));
}

void AddClaimTemplates(Description& out, const doc::Value& templates) {
  out.Add(0, templates.empty() ? "Volume Claims:\t<none>\n" : "Volume Claims:\n");
  for (const doc::Value& claim : templates.items()) {
    const doc::Value& metadata = claim.At("metadata");
    const doc::Value& spec = claim.At("spec");
    const doc::Value& size = spec.Get("resources", "requests", "storage");
    out.Add(1, fmt::format("Name:\t{}\n", metadata.At("name").AsString()));
    out.Add(1, fmt::format("StorageClass:\t{}\n", spec.At("storageClassName").AsString()));
    out.Labels("  Labels", metadata.At("labels"));
    out.Labels("  Annotations", metadata.At("annotations"));
    out.Add(1, fmt::format("Capacity:\t{}\n", size.is_null() ? "<default>" : QuantityOf(size).ToString()));
    out.Add(1, fmt::format("Access Modes:\t{}\n", GoText(spec.At("accessModes"))));
  }
}

}  // namespace

void AddPodTemplate(Description& out, const doc::Value& pod_template) {
  out.Add(0, "Pod Template:\n");
  if (!pod_template.is_object()) {
    out.Add(1, "<unset>");
    return;
  }
  const doc::Value& metadata = pod_template.At("metadata");
  const doc::Value& spec = pod_template.At("spec");
  out.Labels("  Labels", metadata.At("labels"));
  if (!metadata.At("annotations").empty()) out.Annotations(metadata.At("annotations"), "  Annotations");
  if (const std::string account = TextOr(spec.At("serviceAccountName"), ""); !account.empty()) {
    out.Add(1, fmt::format("Service Account:\t{}\n", account));
  }
  const doc::Value none;
  if (!spec.At("initContainers").empty()) {
    AddContainers(out, "Init Containers", spec.At("initContainers"), none, nullptr, "  ");
  }
  AddContainers(out, "Containers", spec.At("containers"), none, nullptr, "  ");
  AddVolumes(out, spec.At("volumes"), "  ");
  AddTopologySpread(out, spec.At("topologySpreadConstraints"), "  ");
  if (const std::string priority = TextOr(spec.At("priorityClassName"), ""); !priority.empty()) {
    out.Add(1, fmt::format("Priority Class Name:\t{}\n", priority));
  }
  out.Labels("  Node-Selectors", spec.At("nodeSelector"));
  out.Tolerations("  Tolerations", spec.At("tolerations"));
}

Ok DescribeReplicationController(Description& out, const api::Object& object) {
  api::core_v1::ReplicationController controller(object.tree());
  const doc::Value& spec = object.tree().At("spec");
  const PodCounts counts = TRY(CountPods(out, object, api::ToLabelSelector(api::StringMap(spec.At("selector")))));
  out.NameAndNamespace(object);
  out.Add(0, fmt::format("Selector:\t{}\n", SelectorText(spec.At("selector"))));
  AddHead(out, object);
  out.Add(0, fmt::format("Replicas:\t{} current / {} desired\n", controller.status().replicas(),
                         controller.spec().replicas().value_or(1)));
  out.Add(0, fmt::format("Pods Status:\t{}\n", counts.ToString()));
  AddPodTemplate(out, spec.At("template"));
  AddConditions(out, object.tree().Get("status", "conditions"));
  out.Events(object);
  return {};
}

Ok DescribeReplicaSet(Description& out, const api::Object& object) {
  api::apps_v1::ReplicaSet set(object.tree());
  const doc::Value& spec = object.tree().At("spec");
  const Result<PodCounts> counts = CountPods(out, object, SelectorOf(spec));
  out.NameAndNamespace(object);
  out.Add(0, fmt::format("Selector:\t{}\n", LabelSelectorText(spec.At("selector"))));
  AddHead(out, object);
  const std::string owner = ControllerText(object.tree());
  if (!owner.empty()) out.Add(0, fmt::format("Controlled By:\t{}\n", owner));
  out.Add(0, fmt::format("Replicas:\t{} current / {} desired\n", set.status().replicas(),
                         set.spec().replicas().value_or(1)));
  out.Add(0, fmt::format("Pods Status:\t{}\n",
                         counts.ok() ? counts->ToString() : "error in fetching pods: " + counts.status().message()));
  AddPodTemplate(out, spec.At("template"));
  AddConditions(out, object.tree().Get("status", "conditions"));
  out.Events(object);
  return {};
}

Ok DescribeDeployment(Description& out, const api::Object& object) {
  api::apps_v1::Deployment deployment(object.tree());
  const doc::Value& spec = object.tree().At("spec");
  out.NameAndNamespace(object);
  out.Add(0, fmt::format("CreationTimestamp:\t{}\n", LongTime(object.tree().Get("metadata", "creationTimestamp"))));
  AddHead(out, object);
  out.Add(0, fmt::format("Selector:\t{}\n", SelectorOf(spec).ToString()));
  auto status = deployment.status();
  out.Add(0, fmt::format("Replicas:\t{} desired | {} updated | {} total | {} available | {} unavailable\n",
                         deployment.spec().replicas().value_or(1), status.updated_replicas(), status.replicas(),
                         status.available_replicas(), status.unavailable_replicas()));
  auto strategy = deployment.spec().strategy();
  out.Add(0, fmt::format("StrategyType:\t{}\n", strategy.type()));
  out.Add(0, fmt::format("MinReadySeconds:\t{}\n", deployment.spec().min_ready_seconds()));
  if (strategy.has_rolling_update()) {
    const doc::Value& rolling = strategy.rolling_update().tree();
    out.Add(0, fmt::format("RollingUpdateStrategy:\t{} max unavailable, {} max surge\n",
                           TextOr(rolling.At("maxUnavailable"), "0"), TextOr(rolling.At("maxSurge"), "0")));
  }
  AddPodTemplate(out, spec.At("template"));
  AddConditions(out, object.tree().Get("status", "conditions"));
  AddReplicaSets(out, object);
  out.Events(object);
  return {};
}

Ok DescribeStatefulSet(Description& out, const api::Object& object) {
  api::apps_v1::StatefulSet set(object.tree());
  const doc::Value& spec = object.tree().At("spec");
  const PodCounts counts = TRY(CountPods(out, object, SelectorOf(spec)));
  out.NameAndNamespace(object);
  out.Add(0, fmt::format("CreationTimestamp:\t{}\n", LongTime(object.tree().Get("metadata", "creationTimestamp"))));
  out.Add(0, fmt::format("Selector:\t{}\n", SelectorOf(spec).ToString()));
  AddHead(out, object);
  out.Add(
      0, fmt::format("Replicas:\t{} desired | {} total\n", set.spec().replicas().value_or(1), set.status().replicas()));
  auto strategy = set.spec().update_strategy();
  out.Add(0, fmt::format("Update Strategy:\t{}\n", strategy.type()));
  if (auto partition = strategy.rolling_update().partition()) {
    out.Add(1, fmt::format("Partition:\t{}\n", *partition));
    const doc::Value& most = strategy.rolling_update().tree().At("maxUnavailable");
    if (!most.is_null()) out.Add(1, fmt::format("MaxUnavailable:\t{}\n", GoText(most)));
  }
  out.Add(0, fmt::format("Pods Status:\t{}\n", counts.ToString()));
  AddPodTemplate(out, spec.At("template"));
  AddClaimTemplates(out, spec.At("volumeClaimTemplates"));
  out.Events(object);
  return {};
}

Ok DescribeDaemonSet(Description& out, const api::Object& object) {
  auto status = api::apps_v1::DaemonSet(object.tree()).status();
  const doc::Value& spec = object.tree().At("spec");
  const PodCounts counts = TRY(CountPods(out, object, SelectorOf(spec)));
  out.NameAndNamespace(object);
  out.Add(0, fmt::format("Selector:\t{}\n", SelectorOf(spec).ToString()));
  out.Add(0, fmt::format("Node-Selector:\t{}\n", SelectorText(spec.Get("template", "spec", "nodeSelector"))));
  AddHead(out, object);
  out.Add(0, fmt::format("Desired Number of Nodes Scheduled: {}\n", status.desired_number_scheduled()));
  out.Add(0, fmt::format("Current Number of Nodes Scheduled: {}\n", status.current_number_scheduled()));
  out.Add(0, fmt::format("Number of Nodes Scheduled with Up-to-date Pods: {}\n", status.updated_number_scheduled()));
  out.Add(0, fmt::format("Number of Nodes Scheduled with Available Pods: {}\n", status.number_available()));
  out.Add(0, fmt::format("Number of Nodes Misscheduled: {}\n", status.number_misscheduled()));
  out.Add(0, fmt::format("Pods Status:\t{}\n", counts.ToString()));
  AddPodTemplate(out, spec.At("template"));
  out.Events(object);
  return {};
}

}  // namespace knarr::cli
