// The kinds of storage.k8s.io. CSIStorageCapacities print as kinds without columns do: upstream has some, but uses
// them nowhere.

#include <vector>

#include "api/printing_columns.h"
#include "api/printing_rows.h"
#include "api/storage_v1.h"
#include "base/strings.h"

namespace knarr::api::printing {
namespace {

using doc::Value;

constexpr Column kStorageClass[] = {
    kName,
    Text("Provisioner", "What makes volumes of the class."),
    Text("ReclaimPolicy", "What happens to volumes of the class when their claims are gone."),
    Text("VolumeBindingMode", "Whether volumes are made at once, or when a pod wants them."),
    Text("AllowVolumeExpansion", "Whether volumes may be made larger."),
    kAge};
constexpr Column kVolumeAttributesClass[] = {kName, Text("DriverName", "The driver of the volumes."), kAge};
constexpr Column kVolumeAttachment[] = {kName,
                                        {"Attacher", "string", "name", 0, "The driver that attaches the volume."},
                                        Text("PV", "The volume."),
                                        Text("Node", "The node the volume is attached to."),
                                        Flag("Attached", "Whether it is attached."),
                                        kAge};
constexpr Column kCsiDriver[] = {kName,
                                 Flag("AttachRequired", "Whether volumes have to be attached before they are mounted."),
                                 Flag("PodInfoOnMount", "Whether the driver is told about the pod when it mounts."),
                                 Flag("StorageCapacity", "Whether the scheduler looks at the driver's free space."),
                                 Text("TokenRequests", "The audiences of the pods' tokens that the driver gets."),
                                 Flag("RequiresRepublish", "Whether mounting is repeated from time to time."),
                                 Text("Modes", "Whether volumes outlive pods, or belong to one."),
                                 kAge};
constexpr Column kCsiNode[] = {kName, Number("Drivers", "How many drivers run on the node."), kAge};

void PrintStorageClass(const Value& object, Row& row) {
  const storage_v1::StorageClass storage(object);
  std::string name(storage.metadata().name());
  for (const std::string_view annotation :
       {"storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"}) {
    if (storage.metadata().annotations().Find(annotation) != "true") continue;
    name += " (default)";
    break;
  }
  row.Text(name);
  row.Text(storage.provisioner());
  row.Text(storage.reclaim_policy().value_or("Delete"));
  row.Text(storage.volume_binding_mode().value_or("Immediate"));
  row.Flag(storage.allow_volume_expansion().value_or(false));
  Age(object, row);
}

void PrintVolumeAttributesClass(const Value& object, Row& row) {
  Name(object, row);
  row.Text(object.At("driverName").AsString());
  Age(object, row);
}

void PrintVolumeAttachment(const Value& object, Row& row) {
  const storage_v1::VolumeAttachment attachment(object);
  Name(object, row);
  row.Text(attachment.spec().attacher());
  row.Text(attachment.spec().source().persistent_volume_name().value_or(""));
  row.Text(attachment.spec().node_name());
  row.Flag(attachment.status().attached());
  Age(object, row);
}

void PrintCsiDriver(const Value& object, Row& row) {
  const storage_v1::CSIDriverSpec spec = storage_v1::CSIDriver(object).spec();
  Name(object, row);
  row.Flag(spec.attach_required().value_or(true));
  row.Flag(spec.pod_info_on_mount().value_or(false));
  row.Flag(spec.storage_capacity().value_or(false));
  row.Text(spec.token_requests().empty() ? "<unset>" : JoinMembers(spec.tree().At("tokenRequests"), "audience"));
  row.Flag(spec.requires_republish().value_or(false));
  std::vector<std::string_view> modes;
  for (const std::string_view mode : spec.volume_lifecycle_modes()) modes.push_back(mode);
  row.TextOr(Join(modes, ","), "<none>");
  Age(object, row);
}

void PrintCsiNode(const Value& object, Row& row) {
  Name(object, row);
  row.Number(static_cast<int64_t>(object.Get("spec", "drivers").size()));
  Age(object, row);
}

constexpr Entry kEntries[] = {
    {"storage/v1", "StorageClass", kStorageClass, PrintStorageClass},
    {"storage/v1", "VolumeAttributesClass", kVolumeAttributesClass, PrintVolumeAttributesClass},
    {"storage/v1", "VolumeAttachment", kVolumeAttachment, PrintVolumeAttachment},
    {"storage/v1", "CSIDriver", kCsiDriver, PrintCsiDriver},
    {"storage/v1", "CSINode", kCsiNode, PrintCsiNode},
};

}  // namespace

std::span<const Entry> StorageEntries() { return kEntries; }

}  // namespace knarr::api::printing
