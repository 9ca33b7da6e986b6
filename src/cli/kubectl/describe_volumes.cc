// Volumes of pods, PersistentVolumes and claims.

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "api/core_v1.h"
#include "cli/kubectl/describe.h"

namespace knarr::cli {
namespace {

enum class Show : uint8_t {
  kText,       ///< the value, "" when it is absent
  kNone,       ///< the value, "<none>" when it is absent
  kUnset,      ///< the value, "<unset>" when it is absent
  kBool,       ///< true or false
  kNumber,     ///< the number, 0 when it is absent
  kList,       ///< as Go prints a list
  kJoined,     ///< with commas
  kReference,  ///< to a secret: as Go prints a pointer to the struct
  kMap,        ///< as Go prints a map
  kMember,     ///< "secretRef.name"
};

struct Line {
  std::string_view title;
  std::string_view member;
  Show show = Show::kText;
};

struct Source {
  std::string_view member;
  std::string_view text;
  Line lines[8];  ///< those without a title are not there
};

std::string ReferenceText(const doc::Value& reference, bool persistent) {
  if (!reference.is_object()) return "nil";
  const std::string_view name = reference.At("name").AsString();
  if (!persistent) return fmt::format("&LocalObjectReference{{Name:{},}}", name);
  return fmt::format("&SecretReference{{Name:{},Namespace:{},}}", name, reference.At("namespace").AsString());
}

std::string LineText(const Line& line, const doc::Value& source, bool persistent) {
  const doc::Value& value = source.At(line.member);
  switch (line.show) {
    case Show::kText:
      return TextOr(value, "");
    case Show::kNone:
      return TextOr(value, "<none>");
    case Show::kUnset:
      return TextOr(value, "<unset>");
    case Show::kBool:
      return value.AsBool() ? "true" : "false";
    case Show::kNumber:
      return TextOr(value, "0");
    case Show::kList:
      return value.is_null() ? "[]" : GoText(value);
    case Show::kJoined:
      return fmt::format("{}", fmt::join(Strings(value), ", "));
    case Show::kReference:
      return ReferenceText(value, persistent);
    case Show::kMap:
      return value.is_null() ? "map[]" : GoText(value);
    case Show::kMember:
      return TextOr(source.Get("secretRef", line.member), "");
  }
  return "";
}

constexpr Source kPlainSources[] = {
    {"hostPath", "HostPath (bare host directory volume)", {{"Path", "path"}, {"HostPathType", "type", Show::kNone}}},
    {"gcePersistentDisk",
     "GCEPersistentDisk (a Persistent Disk resource in Google Compute Engine)",
     {{"PDName", "pdName"},
      {"FSType", "fsType"},
      {"Partition", "partition", Show::kNumber},
      {"ReadOnly", "readOnly", Show::kBool}}},
    {"awsElasticBlockStore",
     "AWSElasticBlockStore (a Persistent Disk resource in AWS)",
     {{"VolumeID", "volumeID"},
      {"FSType", "fsType"},
      {"Partition", "partition", Show::kNumber},
      {"ReadOnly", "readOnly", Show::kBool}}},
    {"gitRepo",
     "GitRepo (a volume that is pulled from git when the pod is created)",
     {{"Repository", "repository"}, {"Revision", "revision"}}},
    {"secret",
     "Secret (a volume populated by a Secret)",
     {{"SecretName", "secretName"}, {"Optional", "optional", Show::kBool}}},
    {"configMap",
     "ConfigMap (a volume populated by a ConfigMap)",
     {{"Name", "name"}, {"Optional", "optional", Show::kBool}}},
    {"nfs",
     "NFS (an NFS mount that lasts the lifetime of a pod)",
     {{"Server", "server"}, {"Path", "path"}, {"ReadOnly", "readOnly", Show::kBool}}},
    {"persistentVolumeClaim",
     "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
     {{"ClaimName", "claimName"}, {"ReadOnly", "readOnly", Show::kBool}}},
    {"rbd",
     "RBD (a Rados Block Device mount on the host that shares a pod's lifetime)",
     {{"CephMonitors", "monitors", Show::kList},
      {"RBDImage", "image"},
      {"FSType", "fsType"},
      {"RBDPool", "pool"},
      {"RadosUser", "user"},
      {"Keyring", "keyring"},
      {"SecretRef", "secretRef", Show::kReference},
      {"ReadOnly", "readOnly", Show::kBool}}},
    {"quobyte",
     "Quobyte (a Quobyte mount on the host that shares a pod's lifetime)",
     {{"Registry", "registry"}, {"Volume", "volume"}, {"ReadOnly", "readOnly", Show::kBool}}},
    {"azureDisk",
     "AzureDisk (an Azure Data Disk mount on the host and bind mount to the pod)",
     {{"DiskName", "diskName"},
      {"DiskURI", "diskURI"},
      {"Kind", "kind"},
      {"FSType", "fsType"},
      {"CachingMode", "cachingMode"},
      {"ReadOnly", "readOnly", Show::kBool}}},
    {"vsphereVolume",
     "vSphereVolume (a Persistent Disk resource in vSphere)",
     {{"VolumePath", "volumePath"}, {"FSType", "fsType"}, {"StoragePolicyName", "storagePolicyName"}}},
    {"cinder",
     "Cinder (a Persistent Disk resource in OpenStack)",
     {{"VolumeID", "volumeID"},
      {"FSType", "fsType"},
      {"ReadOnly", "readOnly", Show::kBool},
      {"SecretRef", "secretRef", Show::kReference}}},
    {"photonPersistentDisk",
     "PhotonPersistentDisk (a Persistent Disk resource in photon platform)",
     {{"PdID", "pdID"}, {"FSType", "fsType"}}},
    {"portworxVolume", "PortworxVolume (a Portworx Volume resource)", {{"VolumeID", "volumeID"}}},
    {"cephfs",
     "CephFS (a CephFS mount on the host that shares a pod's lifetime)",
     {{"Monitors", "monitors", Show::kList},
      {"Path", "path"},
      {"User", "user"},
      {"SecretFile", "secretFile"},
      {"SecretRef", "secretRef", Show::kReference},
      {"ReadOnly", "readOnly", Show::kBool}}},
    {"storageos",
     "StorageOS (a StorageOS Persistent Disk resource)",
     {{"VolumeName", "volumeName"},
      {"VolumeNamespace", "volumeNamespace"},
      {"FSType", "fsType"},
      {"ReadOnly", "readOnly", Show::kBool}}},
    {"fc",
     "FC (a Fibre Channel disk)",
     {{"TargetWWNs", "targetWWNs", Show::kJoined},
      {"LUN", "lun", Show::kNone},
      {"FSType", "fsType"},
      {"ReadOnly", "readOnly", Show::kBool}}},
    {"flexVolume",
     "FlexVolume (a generic volume resource that is provisioned/attached using an exec based plugin)",
     {{"Driver", "driver"},
      {"FSType", "fsType"},
      {"SecretRef", "secretRef", Show::kReference},
      {"ReadOnly", "readOnly", Show::kBool},
      {"Options", "options", Show::kMap}}},
    {"flocker",
     "Flocker (a Flocker volume mounted by the Flocker agent)",
     {{"DatasetName", "datasetName"}, {"DatasetUUID", "datasetUUID"}}},
    {"local", "LocalVolume (a persistent volume backed by local storage on a node)", {{"Path", "path"}}},
    {"image", "Image (a container image or OCI artifact)", {{"Reference", "reference"}, {"PullPolicy", "pullPolicy"}}},
};

/// Sources whose settings differ between pods and PersistentVolumes.
const Source* DifferingSource(std::string_view member, bool persistent) {
  static constexpr Source kPod[] = {
      {"glusterfs",
       "Glusterfs (a Glusterfs mount on the host that shares a pod's lifetime)",
       {{"EndpointsName", "endpoints"}, {"Path", "path"}, {"ReadOnly", "readOnly", Show::kBool}}},
      {"azureFile",
       "AzureFile (an Azure File Service mount on the host and bind mount to the pod)",
       {{"SecretName", "secretName"}, {"ShareName", "shareName"}, {"ReadOnly", "readOnly", Show::kBool}}},
      {"csi",
       "CSI (a Container Storage Interface (CSI) volume source)",
       {{"Driver", "driver"}, {"FSType", "fsType"}, {"ReadOnly", "readOnly", Show::kBool}}},
  };
  static constexpr Source kVolume[] = {
      {"glusterfs",
       "Glusterfs (a Glusterfs mount on the host that shares a pod's lifetime)",
       {{"EndpointsName", "endpoints"},
        {"EndpointsNamespace", "endpointsNamespace", Show::kUnset},
        {"Path", "path"},
        {"ReadOnly", "readOnly", Show::kBool}}},
      {"azureFile",
       "AzureFile (an Azure File Service mount on the host and bind mount to the pod)",
       {{"SecretName", "secretName"},
        {"SecretNamespace", "secretNamespace"},
        {"ShareName", "shareName"},
        {"ReadOnly", "readOnly", Show::kBool}}},
      {"csi",
       "CSI (a Container Storage Interface (CSI) volume source)",
       {{"Driver", "driver"},
        {"FSType", "fsType"},
        {"VolumeHandle", "volumeHandle"},
        {"ReadOnly", "readOnly", Show::kBool}}},
  };
  const std::span<const Source> sources = persistent ? std::span(kVolume) : std::span(kPod);
  auto found = std::ranges::find(sources, member, &Source::member);
  return found == sources.end() ? nullptr : &*found;
}

void AddScaleIo(Description& out, const doc::Value& source, bool persistent) {
  static constexpr Line kLines[] = {{"Gateway", "gateway"},
                                    {"System", "system"},
                                    {"Protection Domain", "protectionDomain"},
                                    {"Storage Pool", "storagePool"},
                                    {"Storage Mode", "storageMode"},
                                    {"VolumeName", "volumeName"},
                                    {"SecretName", "name", Show::kMember},
                                    {"SecretNamespace", "namespace", Show::kMember},
                                    {"FSType", "fsType"},
                                    {"ReadOnly", "readOnly", Show::kBool}};
  out.Add(2, "Type:\tScaleIO (a persistent volume backed by a block device in ScaleIO)\n");
  for (const Line& line : kLines) {
    if (line.show == Show::kMember && !persistent) continue;
    out.Add(2, fmt::format("{}:\t{}\n", line.title, LineText(line, source, persistent)));
  }
}

void AddIscsi(Description& out, const doc::Value& source, bool persistent) {
  static constexpr Line kLines[] = {{"TargetPortal:", "targetPortal"},
                                    {"IQN:", "iqn"},
                                    {"Lun:", "lun", Show::kNumber},
                                    {"ISCSIInterface", "iscsiInterface"},  // upstream forgot the colon
                                    {"FSType:", "fsType"},
                                    {"ReadOnly:", "readOnly", Show::kBool},
                                    {"Portals:", "portals", Show::kList},
                                    {"DiscoveryCHAPAuth:", "chapAuthDiscovery", Show::kBool},
                                    {"SessionCHAPAuth:", "chapAuthSession", Show::kBool},
                                    {"SecretRef:", "secretRef", Show::kReference},
                                    {"InitiatorName:", "initiatorName", Show::kNone}};
  out.Add(2,
          "Type:\tISCSI (an ISCSI Disk resource that is attached to a kubelet's host machine and then exposed to the "
          "pod)\n");
  for (const Line& line : kLines) {
    out.Add(2, fmt::format("{}\t{}\n", line.title, LineText(line, source, persistent)));
  }
}

void AddProjected(Description& out, const doc::Value& projected) {
  out.Add(2, "Type:\tProjected (a volume that contains injected data from multiple sources)\n");
  for (const doc::Value& source : projected.At("sources").items()) {
    const doc::Value& secret = source.At("secret");
    const doc::Value& map = source.At("configMap");
    if (secret.is_object()) {
      out.Add(2, fmt::format("SecretName:\t{}\n    Optional:\t{}\n", secret.At("name").AsString(),
                             secret.At("optional").AsBool()));
    } else if (source.At("downwardAPI").is_object()) {
      out.Add(2, "DownwardAPI:\ttrue\n");
    } else if (map.is_object()) {
      out.Add(2, fmt::format("ConfigMapName:\t{}\n    Optional:\t{}\n", map.At("name").AsString(),
                             map.At("optional").AsBool()));
    } else if (source.At("serviceAccountToken").is_object()) {
      out.Add(2, fmt::format("TokenExpirationSeconds:\t{}\n",
                             source.Get("serviceAccountToken", "expirationSeconds").AsInt(3600)));
    }
  }
}

void AddDownwardApi(Description& out, const doc::Value& source) {
  out.Add(2, "Type:\tDownwardAPI (a volume populated by information about the pod)\n    Items:\n");
  for (const doc::Value& item : source.At("items").items()) {
    const std::string_view path = item.At("path").AsString();
    const std::string_view field = item.Get("fieldRef", "fieldPath").AsString();
    const std::string_view resource = item.Get("resourceFieldRef", "resource").AsString();
    if (!field.empty()) out.Add(3, fmt::format("{} -> {}\n", field, path));
    if (!resource.empty()) out.Add(3, fmt::format("{} -> {}\n", resource, path));
  }
}

void AddEmptyDir(Description& out, const doc::Value& source) {
  const Quantity limit = QuantityOf(source.At("sizeLimit"));
  out.Add(2, fmt::format("Type:\tEmptyDir (a temporary directory that shares a pod's lifetime)\n"
                         "    Medium:\t{}\n    SizeLimit:\t{}\n",
                         source.At("medium").AsString(), limit.Sign() > 0 ? limit.ToString() : "<unset>"));
}

void AddCsiAttributes(Description& out, const doc::Value& attributes) {
  std::string text = "VolumeAttributes:\t";
  if (attributes.empty()) text += "<none>\n";
  out.Add(2, text);
  constexpr size_t kMost = 140;
  bool first = true;
  for (const std::string& key : SortedKeys(attributes)) {
    std::string line = fmt::format("{}={}", key, attributes.At(key).AsString());
    if (line.size() > kMost) line = line.substr(0, kMost) + "...";
    // Upstream indents each part of such a line.
    if (!first) out.Add(2, "    \t");
    out.Add(2, line + "\n");
    first = false;
  }
}

void AddSourceLines(Description& out, const Source& kind, const doc::Value& source, bool persistent) {
  out.Add(2, fmt::format("Type:\t{}\n", kind.text));
  for (const Line& line : kind.lines) {
    if (line.title.empty()) break;
    // Upstream's one stray space.
    const std::string_view space = kind.member == "azureDisk" && line.title == "Kind" ? " " : "";
    out.Add(2, fmt::format("{}:{}\t{}\n", line.title, space, LineText(line, source, persistent)));
  }
}

}  // namespace

bool AddVolumeSource(Description& out, const doc::Value& source, bool persistent) {
  for (const doc::Member& member : source.members()) {
    if (!member.value.is_object()) continue;
    const doc::Value& value = member.value;
    if (const Source* kind = DifferingSource(member.key, persistent)) {
      AddSourceLines(out, *kind, value, persistent);
      if (member.key == "csi") AddCsiAttributes(out, value.At("volumeAttributes"));
      return true;
    }
    if (auto kind = std::ranges::find(kPlainSources, member.key, &Source::member); kind != std::end(kPlainSources)) {
      AddSourceLines(out, *kind, value, persistent);
    } else if (member.key == "emptyDir") {
      AddEmptyDir(out, value);
    } else if (member.key == "projected") {
      AddProjected(out, value);
    } else if (member.key == "downwardAPI") {
      AddDownwardApi(out, value);
    } else if (member.key == "iscsi") {
      AddIscsi(out, value, persistent);
    } else if (member.key == "scaleIO") {
      AddScaleIo(out, value, persistent);
    } else if (member.key == "ephemeral") {
      out.Add(2,
              "Type:\tEphemeralVolume (an inline specification for a volume that gets created and deleted with the "
              "pod)\n");
      out.set_nesting(2);
      if (value.At("volumeClaimTemplate").is_object()) AddClaim(out, value.At("volumeClaimTemplate"), false);
      out.set_nesting(0);
    } else {
      continue;
    }
    return true;
  }
  return false;
}

void AddVolumes(Description& out, const doc::Value& volumes, std::string_view space) {
  out.Add(0, fmt::format("{}Volumes:{}\n", space, volumes.empty() ? "\t<none>" : ""));
  for (const doc::Value& volume : volumes.items()) {
    out.Add(1, fmt::format("{}{}:\n", space.empty() ? "" : " ", volume.At("name").AsString()));
    if (!AddVolumeSource(out, volume, false)) out.Add(1, "<unknown>\n");
  }
}

}  // namespace knarr::cli
