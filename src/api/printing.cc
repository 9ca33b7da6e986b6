#include "api/printing.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "api/printing_columns.h"
#include "api/printing_rows.h"

namespace knarr::api {
namespace printing {
namespace {

using doc::Value;

constexpr Column kPod[] = {kName,
                           Text("Ready", "Containers that are ready, of all that should be."),
                           Text("Status", "What the pod is doing."),
                           Text("Restarts", "How often containers were started again, and when last."),
                           kAge,
                           Wide("IP", "The address of the pod."),
                           Wide("Node", "The node the pod is bound to."),
                           Wide("Nominated Node", "The node room is being made on for the pod."),
                           Wide("Readiness Gates", "Readiness gates that are True, of all.")};
constexpr Column kPodTemplate[] = {kName, Text("Containers", "The names of the template's containers."),
                                   Text("Images", "The images of the template's containers."),
                                   Text("Pod Labels", "The labels of the template.")};
constexpr Column kReplicas[] = {kName,
                                Number("Desired", "How many pods there shall be."),
                                Number("Current", "How many pods there are."),
                                Number("Ready", "How many pods are ready."),
                                kAge,
                                kContainers,
                                kImages,
                                kSelector};
constexpr Column kDeployment[] = {kName,
                                  Text("Ready", "Pods that are ready, of all that there shall be."),
                                  Text("Up-to-date", "Pods of the present template."),
                                  Text("Available", "Pods that have been ready for long enough."),
                                  kAge,
                                  kContainers,
                                  kImages,
                                  kSelector};
constexpr Column kStatefulSet[] = {kName, Text("Ready", "Pods that are ready, of all that there shall be."), kAge,
                                   kContainers, kImages};
constexpr Column kDaemonSet[] = {kName,
                                 Number("Desired", "Nodes that should run the pod."),
                                 Number("Current", "Nodes that run the pod."),
                                 Number("Ready", "Nodes whose pod is ready."),
                                 Number("Up-to-date", "Nodes whose pod is of the present template."),
                                 Number("Available", "Nodes whose pod has been ready for long enough."),
                                 Text("Node Selector", "Labels of the nodes that run the pod."),
                                 kAge,
                                 kContainers,
                                 kImages,
                                 kSelector};
constexpr Column kControllerRevision[] = {kName, Text("Controller", "The controller the revision belongs to."),
                                          Text("Revision", "The number of the revision."), kAge};
constexpr Column kService[] = {kName,
                               Text("Type", "How the service is reached."),
                               Text("Cluster-IP", "The address inside the cluster."),
                               Text("External-IP", "The addresses outside the cluster."),
                               Text("Port(s)", "The ports of the service, and the node ports that lead to them."),
                               kAge,
                               kSelector};
constexpr Column kEndpoints[] = {kName, Text("Endpoints", "The first addresses and ports behind the service."), kAge};
constexpr Column kEndpointSlice[] = {kName, Text("AddressType", "The family of the addresses."),
                                     Text("Ports", "The first ports."), Text("Endpoints", "The first addresses."),
                                     kAge};
constexpr Column kNode[] = {kName,
                            Text("Status", "Whether the node is ready and takes pods."),
                            Text("Roles", "What the node is for, by its labels."),
                            kAge,
                            Text("Version", "The version of the node agent."),
                            Wide("Internal-IP", "The address inside the cluster."),
                            Wide("External-IP", "The address outside the cluster."),
                            Wide("OS-Image", "The operating system."),
                            Wide("Kernel-Version", "The kernel and its architecture."),
                            Wide("Container-Runtime", "What runs the containers.")};
constexpr Column kNamespace[] = {kName, Text("Status", "Active or Terminating."), kAge};
constexpr Column kSecret[] = {kName, Text("Type", "What the data means."), Text("Data", "How many keys there are."),
                              kAge};
constexpr Column kConfigMap[] = {kName, Text("Data", "How many keys there are."), kAge};
constexpr Column kNameAndAge[] = {kName, kAge};
constexpr Column kPersistentVolume[] = {kName,
                                        Text("Capacity", "The size of the storage."),
                                        Text("Access Modes", "How it may be mounted."),
                                        Text("Reclaim Policy", "What happens to it when its claim is gone."),
                                        Text("Status", "Whether it is free, bound or failed."),
                                        Text("Claim", "The claim it is bound to."),
                                        Text("StorageClass", "The class of the storage."),
                                        Text("VolumeAttributesClass", "The class of the volume's attributes."),
                                        Text("Reason", "Why it is as it is."),
                                        kAge,
                                        Wide("VolumeMode", "A file system or a block device.")};
constexpr Column kPersistentVolumeClaim[] = {kName,
                                             Text("Status", "Whether the claim is bound."),
                                             Text("Volume", "The volume it is bound to."),
                                             Text("Capacity", "The size of the volume."),
                                             Text("Access Modes", "How it may be mounted."),
                                             Text("StorageClass", "The class of the storage."),
                                             Text("VolumeAttributesClass", "The class of the volume's attributes."),
                                             kAge,
                                             Wide("VolumeMode", "A file system or a block device.")};
constexpr Column kEvent[] = {
    Text("Last Seen", "When it happened last."),   Text("Type", "Normal or Warning."),
    Text("Reason", "What happened, as one word."), Text("Object", "The object it happened to."),
    Wide("Subobject", "The part of the object."),  Wide("Source", "Who reported it."),
    Text("Message", "What happened, for people."), Wide("First Seen", "When it happened first."),
    Wide("Count", "How often it happened."),       {"Name", "string", "name", 1, "The name of the event."}};
constexpr Column kResourceQuota[] = {kName, Text("Request", "What is requested, of what may be."),
                                     Text("Limit", "What is limited to, of what may be."), kAge};
constexpr Column kComponentStatus[] = {kName, Text("Status", "Whether the part is healthy."),
                                       Text("Message", "What it says of itself."),
                                       Text("Error", "What is wrong with it.")};
constexpr Column kLease[] = {kName, Text("Holder", "Who holds the lease."), kAge};
constexpr Column kDefault[] = {kName, {"Created At", "date", "", 0, "When the object was made."}};

constexpr Entry kEntries[] = {
    {"core/v1", "Pod", kPod, PrintPod},
    {"core/v1", "PodTemplate", kPodTemplate, PrintPodTemplate},
    {"core/v1", "ReplicationController", kReplicas, PrintReplicationController},
    {"apps/v1", "ReplicaSet", kReplicas, PrintReplicaSet},
    {"apps/v1", "Deployment", kDeployment, PrintDeployment},
    {"apps/v1", "StatefulSet", kStatefulSet, PrintStatefulSet},
    {"apps/v1", "DaemonSet", kDaemonSet, PrintDaemonSet},
    {"apps/v1", "ControllerRevision", kControllerRevision, PrintControllerRevision},
    {"core/v1", "Service", kService, PrintService},
    {"core/v1", "Endpoints", kEndpoints, PrintEndpoints},
    {"discovery/v1", "EndpointSlice", kEndpointSlice, PrintEndpointSlice},
    {"core/v1", "Node", kNode, PrintNode},
    {"core/v1", "Namespace", kNamespace, PrintNamespace},
    {"core/v1", "Secret", kSecret, PrintSecret},
    {"core/v1", "ConfigMap", kConfigMap, PrintConfigMap},
    {"core/v1", "ServiceAccount", kNameAndAge, PrintNameAndAge},
    {"core/v1", "PersistentVolume", kPersistentVolume, PrintPersistentVolume},
    {"core/v1", "PersistentVolumeClaim", kPersistentVolumeClaim, PrintPersistentVolumeClaim},
    {"core/v1", "Event", kEvent, PrintCoreEvent},
    {"events/v1", "Event", kEvent, PrintEventsEvent},
    {"core/v1", "ResourceQuota", kResourceQuota, PrintResourceQuota},
    {"core/v1", "ComponentStatus", kComponentStatus, PrintComponentStatus},
    {"coordination/v1", "Lease", kLease, PrintLease},
};
constexpr Entry kFallback = {"", "", kDefault, PrintDefault};

const Entry& Find(const KindInfo& kind) {
  if (kind.type == nullptr) return kFallback;
  for (const std::span<const Entry> entries : {std::span<const Entry>(kEntries), WorkloadEntries(), NetworkingEntries(),
                                               StorageEntries(), ExtensionEntries()}) {
    const auto found = std::ranges::find_if(entries, [&kind](const Entry& entry) {
      return entry.kind == kind.kind && entry.package == kind.type->package;
    });
    if (found != entries.end()) return *found;
  }
  return kFallback;
}

Value ColumnValue(const Column& column, doc::Arena& arena) {
  Value value = Value::Object();
  value.Set(arena, "name", Value::Borrow(column.name));
  value.Set(arena, "type", Value::Borrow(column.type));
  value.Set(arena, "format", Value::Borrow(column.format));
  value.Set(arena, "description", Value::Borrow(column.doc));
  value.Set(arena, "priority", Value::Int(column.priority));
  return value;
}

Value PartialObject(const Value& object, doc::Arena& arena) {
  Value partial = Value::Object();
  partial.Set(arena, "kind", Value::Borrow("PartialObjectMetadata"));
  partial.Set(arena, "apiVersion", Value::Borrow("meta.k8s.io/v1"));
  partial.Set(arena, "metadata", object.At("metadata"));
  return partial;
}

// Flow schemas stand in the order in which they are tried; all others as they come.
std::vector<const Value*> InTableOrder(const KindInfo& kind, std::span<const Value* const> objects) {
  std::vector<const Value*> ordered(objects.begin(), objects.end());
  if (kind.kind != "FlowSchema") return ordered;
  std::ranges::stable_sort(ordered, {}, [](const Value* schema) {
    return std::pair(schema->Get("spec", "matchingPrecedence").AsInt(), schema->Get("metadata", "name").AsString());
  });
  return ordered;
}

}  // namespace

void Row::Age(const Value& timestamp) { Text(AgeText(timestamp, now_)); }

}  // namespace printing

using doc::Value;

std::span<const Column> ColumnsOf(const KindInfo& kind) { return printing::Find(kind).columns; }

Value RowOf(const KindInfo& kind, const Value& object, WallTime now, doc::Arena& arena) {
  printing::Row row(now, arena);
  printing::Find(kind).print(object, row);
  return row.cells();
}

Value RowConditionsOf(const KindInfo& kind, const Value& object, doc::Arena& arena) {
  if (kind.kind != "Pod" || !kind.group.empty()) return Value::Null();
  const std::string_view phase = object.Get("status", "phase").AsString();
  if (phase != "Succeeded" && phase != "Failed") return Value::Null();
  Value condition = Value::Object();
  condition.Set(arena, "type", Value::Borrow("Completed"));
  condition.Set(arena, "status", Value::Borrow("True"));
  condition.Set(arena, "reason", Value::Borrow(phase == "Failed" ? "Failed" : "Succeeded"));
  condition.Set(arena, "message",
                Value::Borrow(phase == "Failed" ? "The pod failed." : "The pod has completed successfully."));
  Value conditions = Value::Array();
  conditions.Append(arena, condition);
  return conditions;
}

Value MakeTable(const KindInfo& kind, std::span<const Value* const> objects, const Value& metadata,
                IncludeObject include, WallTime now, doc::Arena& arena) {
  Value table = Value::Object();
  table.Set(arena, "kind", Value::Borrow("Table"));
  table.Set(arena, "apiVersion", Value::Borrow("meta.k8s.io/v1"));
  Value list_meta = Value::Object();
  for (const std::string_view name : {"resourceVersion", "continue", "remainingItemCount"}) {
    const Value& value = metadata.At(name);
    if (!value.is_null()) list_meta.Set(arena, name, value);
  }
  table.Set(arena, "metadata", list_meta);
  Value columns = Value::Array();
  for (const Column& column : ColumnsOf(kind)) columns.Append(arena, printing::ColumnValue(column, arena));
  table.Set(arena, "columnDefinitions", columns);
  Value rows = Value::Array();
  rows.Reserve(arena, objects.size());
  for (const Value* object : printing::InTableOrder(kind, objects)) {
    Value row = Value::Object();
    row.Set(arena, "cells", RowOf(kind, *object, now, arena));
    const Value conditions = RowConditionsOf(kind, *object, arena);
    if (!conditions.is_null()) row.Set(arena, "conditions", conditions);
    Value carried;
    if (include == IncludeObject::kObject) carried = *object;
    if (include == IncludeObject::kMetadata) carried = printing::PartialObject(*object, arena);
    row.Set(arena, "object", carried);
    rows.Append(arena, row);
  }
  table.Set(arena, "rows", rows);
  return table;
}

std::string AgeText(const Value& timestamp, WallTime now) {
  if (!timestamp.is_string()) return "<unknown>";
  const Result<WallTime> time = ParseTime(timestamp.AsString());
  return time.ok() ? FormatAge(now - *time) : "<unknown>";
}

}  // namespace knarr::api
