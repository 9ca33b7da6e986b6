// Kinds of storage that Kubernetes has handed over to drivers: mostly what must be there.

#include <algorithm>
#include <array>

#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "base/names.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

constexpr std::string_view kAlphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

constexpr struct {
  std::string_view kind;
  std::array<std::string_view, 3> members;
} kRequired[] = {
    {"gcePersistentDisk", {"pdName"}},
    {"awsElasticBlockStore", {"volumeID"}},
    {"iscsi", {"targetPortal", "iqn"}},
    {"glusterfs", {"endpoints", "path"}},
    {"rbd", {"monitors", "image"}},
    {"cinder", {"volumeID"}},
    {"cephfs", {"monitors"}},
    {"flexVolume", {"driver"}},
    {"azureFile", {"secretName", "shareName"}},
    {"vsphereVolume", {"volumePath"}},
    {"photonPersistentDisk", {"pdID"}},
    {"portworxVolume", {"volumeID"}},
    {"azureDisk", {"diskName", "diskURI"}},
    {"scaleIO", {"gateway", "system", "volumeName"}},
    {"gitRepo", {"repository"}},
    {"storageos", {"volumeName"}},
};

void ValidateRequired(std::string_view kind, const Value& source, const Path& path, Errors& errors) {
  for (const auto& [name, members] : kRequired) {
    if (name != kind) continue;
    for (const std::string_view member : members) {
      if (member.empty()) continue;
      const Value& value = source.At(member);
      if (value.AsString().empty() && value.empty()) errors.Required(path / member);
    }
  }
}

bool IsAlphanumeric(std::string_view text) { return text.find_first_not_of(kAlphanumeric) == std::string_view::npos; }

// "iqn.2001-04.com.example:storage"
bool IsIqn(std::string_view name) {
  const size_t begin = name.find("iqn.");
  if (begin == std::string_view::npos) return false;
  constexpr std::string_view kDate = "dddd-dd.";
  std::string_view rest = name.substr(begin + 4);
  if (rest.size() < kDate.size()) return false;
  for (size_t i = 0; i < kDate.size(); ++i) {
    const bool digit = rest[i] >= '0' && rest[i] <= '9';
    if (kDate[i] == 'd' ? !digit : rest[i] != kDate[i]) return false;
  }
  const auto parts = Cut(rest.substr(kDate.size()), ":");
  if (!parts || parts->first.empty() || parts->second.empty()) return false;
  const std::string authority = std::string(kAlphanumeric) + "-.";
  return parts->first.find_first_not_of(authority) == std::string_view::npos &&
         parts->second.find_first_of(",;*&$| \t\n\f\r") == std::string_view::npos;
}

void ValidateIscsiName(std::string_view name, bool initiator, const Path& path, Errors& errors) {
  const bool iqn = name.starts_with("iqn");
  const bool eui = name.starts_with("eui");
  const bool naa = name.starts_with("naa");
  if (!iqn && !eui && !naa) {
    errors.Invalid(path, name, "must be valid format starting with iqn, eui, or naa");
    if (!initiator) return;
  }
  // Any character may stand behind the first three.
  const bool bad = (iqn && !IsIqn(name)) || (eui && (name.size() != 20 || !IsAlphanumeric(name.substr(4)))) ||
                   (naa && (name.size() != 36 || !IsAlphanumeric(name.substr(4))));
  if (bad) errors.Invalid(path, name, "must be valid format");
}

void ValidateLun(const Value& lun, const Path& path, Errors& errors) {
  if (lun.AsInt() < 0 || lun.AsInt() > 255) errors.Invalid(path / "lun", lun, RangeProblem(0, 255));
}

void ValidateIscsi(const Value& source, const Path& path, Errors& errors) {
  const std::string_view iqn = source.At("iqn").AsString();
  if (!iqn.empty()) ValidateIscsiName(iqn, false, path / "iqn", errors);
  ValidateLun(source.At("lun"), path, errors);
  const bool chap = source.At("chapAuthDiscovery").AsBool() || source.At("chapAuthSession").AsBool();
  if (chap && source.At("secretRef").is_null()) errors.Required(path / "secretRef");
  const Value& initiator = source.At("initiatorName");
  if (!initiator.is_null()) ValidateIscsiName(initiator.AsString(), true, path / "initiatorname", errors);
}

void ValidateFibreChannel(const Value& source, const Path& path, Errors& errors) {
  const Value& names = source.At("targetWWNs");
  const Path at = path / "targetWWNs";
  if (names.empty() && source.At("wwids").empty()) {
    errors.Required(at, "must specify either targetWWNs or wwids, but not both");
  }
  if (names.empty()) return;
  if (!source.At("wwids").empty()) {
    errors.Invalid(at, names, "targetWWNs and wwids can not be specified simultaneously");
  }
  if (source.At("lun").is_null()) return errors.Required(path / "lun", "lun is required if targetWWNs is specified");
  ValidateLun(source.At("lun"), path, errors);
}

void ValidateFlocker(const Value& source, const Path& path, Errors& errors) {
  const std::string_view name = source.At("datasetName").AsString();
  const std::string_view id = source.At("datasetUUID").AsString();
  if (name.empty() && id.empty()) errors.Required(path, "one of datasetName and datasetUUID is required");
  if (!name.empty() && !id.empty()) {
    errors.Invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously");
  }
  if (name.find('/') != std::string_view::npos) errors.Invalid(path / "datasetName", name, "must not contain '/'");
}

void ValidateQuobyte(const Value& source, const Path& path, Errors& errors) {
  constexpr std::string_view kPairs = "must be a host:port pair or multiple pairs separated by commas";
  const std::string_view registry = source.At("registry").AsString();
  if (registry.empty()) {
    errors.Required(path / "registry", kPairs);
  } else if (source.At("tenant").AsString().size() >= 65) {
    errors.Required(path / "tenant", "must be a UUID and may not exceed a length of 64 characters");
  } else {
    for (const std::string_view pair : Split(registry, ',')) {
      const size_t colon = pair.find(':');
      const bool one = colon != std::string_view::npos && pair.find(':', colon + 1) == std::string_view::npos;
      if (!one) errors.Invalid(path / "registry", registry, kPairs);
    }
  }
  if (source.At("volume").AsString().empty()) errors.Required(path / "volume");
}

void ValidateStorageOs(const Value& source, const Path& path, Errors& errors) {
  for (const std::string_view member : {"volumeName", "volumeNamespace"}) {
    const std::string_view name = source.At(member).AsString();
    if (!name.empty()) ValidateDns1123Label(name, path / member, errors);
  }
  const Value& secret = source.At("secretRef");
  if (!secret.is_null() && secret.At("name").AsString().empty()) errors.Required(path / "secretRef" / "name");
}

void ValidateAzureDisk(const Value& source, const Path& path, Errors& errors) {
  const auto one_of = [&](std::string_view name, std::initializer_list<std::string_view> supported) {
    const Value& value = source.At(name);
    if (value.is_null() || std::ranges::find(supported, value.AsString()) != supported.end()) return;
    errors.NotSupported(path / name, value.AsString(), supported);
  };
  one_of("cachingMode", {"None", "ReadOnly", "ReadWrite"});
  one_of("kind", {"Dedicated", "Managed", "Shared"});
  const Value& kind = source.At("kind");
  const std::string_view uri = source.At("diskURI").AsString();
  if (kind.is_null()) return;
  if (kind.AsString() == "Managed" && !uri.starts_with("/subscriptions/")) {
    errors.NotSupported(
        path / "diskURI", uri,
        {"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"});
  } else if (kind.AsString() != "Managed" && !uri.starts_with("https://")) {
    errors.NotSupported(path / "diskURI", uri,
                        {"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"});
  }
}

}  // namespace

void ValidateLegacyVolume(std::string_view kind, const Value& source, const Path& path, Errors& errors) {
  ValidateRequired(kind, source, path, errors);
  if (kind == "iscsi") return ValidateIscsi(source, path, errors);
  if (kind == "fc") return ValidateFibreChannel(source, path, errors);
  if (kind == "flocker") return ValidateFlocker(source, path, errors);
  if (kind == "quobyte") return ValidateQuobyte(source, path, errors);
  if (kind == "storageos") return ValidateStorageOs(source, path, errors);
  if (kind == "azureDisk") return ValidateAzureDisk(source, path, errors);
  if (kind != "gcePersistentDisk" && kind != "awsElasticBlockStore") return;
  const int64_t partition = source.At("partition").AsInt();
  if (partition < 0 || partition > 255) errors.Invalid(path / "partition", partition, RangeProblem(1, 255));
}

}  // namespace knarr::api::validation
