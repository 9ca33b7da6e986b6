// Volumes and where their content comes from.

#include <algorithm>
#include <array>
#include <set>

#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "api/validation/storage.h"
#include "base/names.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using core_v1::Volume;
using doc::Value;

constexpr std::string_view kModeProblem = "must be a number between 0 and 0777 (octal), both inclusive";

void ValidateMode(const Value& source, std::string_view member, const Path& path, Errors& errors) {
  const Value& mode = source.At(member);
  if (mode.is_int() && (mode.AsInt() < 0 || mode.AsInt() > 0777)) {
    errors.Invalid(path / member, mode.AsInt(), kModeProblem);
  }
}

void RequireText(const Value& source, std::string_view member, const Path& path, Errors& errors) {
  if (source.At(member).AsString().empty()) errors.Required(path / member);
}

void ValidateItem(const Value& item, const Path& path, Errors& errors) {
  RequireText(item, "key", path, errors);
  RequireText(item, "path", path, errors);
  ValidateNonReservedPath(item.At("path").AsString(), path / "path", errors);
  ValidateMode(item, "mode", path, errors);
}

void ValidateKeyed(const Value& source, std::string_view name, const Path& path, Errors& errors) {
  RequireText(source, name, path, errors);
  ValidateMode(source, "defaultMode", path, errors);
  size_t index = 0;
  for (const Value& item : source.At("items").items()) ValidateItem(item, (path / "items")[index++], errors);
}

void ValidateHostPath(const Value& source, const Path& path, Errors& errors) {
  const std::string_view host_path = source.At("path").AsString();
  if (host_path.empty()) return errors.Required(path / "path");
  ValidateNoBacksteps(host_path, path / "path", errors);
  static constexpr std::array kTypes = {std::string_view(""),
                                        std::string_view("BlockDevice"),
                                        std::string_view("CharDevice"),
                                        std::string_view("Directory"),
                                        std::string_view("DirectoryOrCreate"),
                                        std::string_view("File"),
                                        std::string_view("FileOrCreate"),
                                        std::string_view("Socket")};
  const std::string_view type = source.At("type").AsString();
  if (std::ranges::find(kTypes, type) == kTypes.end()) errors.NotSupported(path / "type", type, kTypes);
}

void ValidateEmptyDir(const Value& source, const Path& path, Errors& errors) {
  const Value& limit = source.At("sizeLimit");
  if (!limit.is_string()) return;
  const Result<Quantity> size = Quantity::Parse(limit.AsString());
  if (size.ok() && size->Sign() < 0) {
    errors.Forbidden(path / "sizeLimit", "SizeLimit field must be a valid resource quantity");
  }
}

void ValidateDownwardFile(const core_v1::DownwardAPIVolumeFile& file, const Path& path, Errors& errors) {
  if (file.path().empty()) errors.Required(path / "path");
  ValidateNonReservedPath(file.path(), path / "path", errors);
  if (file.has_field_ref()) {
    ValidateFieldRef(file.field_ref(), true, path / "fieldRef", errors);
    if (file.has_resource_field_ref()) {
      errors.Invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
    }
  } else if (file.has_resource_field_ref()) {
    ValidateResourceFieldRef(file.resource_field_ref(), true, path / "resourceFieldRef", errors);
  } else {
    errors.Required(path, "one of fieldRef and resourceFieldRef is required");
  }
  ValidateMode(file.tree(), "mode", path, errors);
}

void ValidateDownward(const Value& source, const Path& path, Errors& errors) {
  ValidateMode(source, "defaultMode", path, errors);
  for (const Value& file : source.At("items").items()) {
    ValidateDownwardFile(core_v1::DownwardAPIVolumeFile(file), path, errors);
  }
}

void ValidateToken(const core_v1::ServiceAccountTokenProjection& token, const Path& volume, const Path& path,
                   Errors& errors) {
  const int64_t seconds = token.expiration_seconds().value_or(0);
  if (seconds < 600) {
    errors.Invalid(path / "expirationSeconds", seconds, "may not specify a duration less than 10 minutes");
  }
  if (seconds > int64_t{1} << 32) {
    errors.Invalid(path / "expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds");
  }
  if (token.path().empty()) {
    errors.Required(volume / "path");
  } else {
    ValidateNonReservedPath(token.path(), volume / "path", errors);
  }
}

// The files of one source; each path may be taken once in the whole volume.
void ProjectedItems(const Value& source, std::string_view owner, const Path& volume, const Path& path,
                    std::set<std::string_view>& taken, Errors& errors) {
  size_t index = 0;
  for (const Value& item : source.At("items").items()) {
    ValidateItem(item, (path / "items")[index++], errors);
    const std::string_view file = item.At("path").AsString();
    if (!file.empty() && !taken.insert(file).second) errors.Invalid(volume, owner, "conflicting duplicate paths");
  }
}

void ValidateTrustBundle(const core_v1::ClusterTrustBundleProjection& bundle, const Path& volume, const Path& path,
                         std::set<std::string_view>& taken, Errors& errors) {
  if (bundle.name() && bundle.signer_name()) {
    errors.Invalid(path, bundle.tree(), "only one of name and signerName may be used");
  } else if (bundle.name()) {
    if (bundle.name()->empty()) errors.Required(path / "name", "must be a valid object name");
    if (bundle.has_label_selector()) {
      errors.Invalid(path / "labelSelector", bundle.label_selector().tree(),
                     "labelSelector must be unset if name is specified");
    }
  } else if (bundle.signer_name()) {
    if (bundle.signer_name()->empty()) errors.Required(path / "signerName", "must be a valid signer name");
    ValidateLabelSelector(bundle.label_selector(), true, path / "labelSelector", errors);
  } else {
    errors.Required(path, "either name or signerName must be specified");
  }
  if (bundle.path().empty()) errors.Required(path / "path");
  ValidateNonReservedPath(bundle.path(), path / "path", errors);
  if (!taken.insert(bundle.path()).second) errors.Invalid(volume, bundle.path(), "conflicting duplicate paths");
}

void ValidateProjected(const Value& source, const Path& path, Errors& errors) {
  ValidateMode(source, "defaultMode", path, errors);
  std::set<std::string_view> taken;
  size_t index = 0;
  for (const Value& item : source.At("sources").items()) {
    const Path at = (path / "sources")[index++];
    const core_v1::VolumeProjection projection(item);
    int sources = 0;
    for (const std::string_view kind : {"secret", "configMap"}) {
      const Value& keyed = item.At(kind);
      if (keyed.is_null()) continue;
      ++sources;
      RequireText(keyed, "name", at / kind, errors);
      ProjectedItems(keyed, keyed.At("name").AsString(), path, at / kind, taken, errors);
    }
    if (projection.has_downward_api()) {
      ++sources;
      for (const core_v1::DownwardAPIVolumeFile file : projection.downward_api().items()) {
        ValidateDownwardFile(file, at / "downwardAPI", errors);
        if (!file.path().empty() && !taken.insert(file.path()).second) {
          errors.Invalid(path, file.path(), "conflicting duplicate paths");
        }
      }
    }
    if (projection.has_service_account_token()) {
      ++sources;
      ValidateToken(projection.service_account_token(), path, at / "serviceAccountToken", errors);
    }
    if (projection.has_cluster_trust_bundle()) {
      ++sources;
      ValidateTrustBundle(projection.cluster_trust_bundle(), path, at / "clusterTrustBundle", taken, errors);
    }
    if (projection.has_pod_certificate()) ++sources;
    if (sources > 1) errors.Forbidden(at, "may not specify more than 1 volume type per source");
  }
}

void ValidateNfs(const Value& source, const Path& path, Errors& errors) {
  RequireText(source, "server", path, errors);
  RequireText(source, "path", path, errors);
  const std::string_view nfs_path = source.At("path").AsString();
  if (!nfs_path.starts_with('/')) errors.Invalid(path / "path", nfs_path, "must be an absolute path");
}

void ValidateClaimRef(const Value& source, const Path& path, Errors& errors) {
  RequireText(source, "claimName", path, errors);
}

void ValidateCsi(const Value& source, const Path& path, Errors& errors) {
  const std::string_view driver = source.At("driver").AsString();
  if (driver.empty()) {
    errors.Required(path / "driver");
  } else {
    if (driver.size() > 63) errors.TooLong(path / "driver", 63);
    errors.InvalidAll(path / "driver", driver, CheckDns1123Subdomain(ToLower(driver)));
  }
  const Value& secret = source.At("nodePublishSecretRef");
  if (secret.is_null()) return;
  const std::string_view name = secret.At("name").AsString();
  if (name.empty()) {
    errors.Required(path / "nodePublishSecretRef" / "name");
  } else {
    errors.InvalidAll(path / "name", name, CheckDns1123Subdomain(name));
  }
}

void ValidateImage(const Value& source, const Path& path, Errors& errors) {
  RequireText(source, "reference", path, errors);
  errors.OneOf(path / "pullPolicy", source.At("pullPolicy").AsString(), {"Always", "IfNotPresent", "Never"});
}

void ValidateEphemeral(const Value& source, const Path& path, Errors& errors) {
  const Value& claim = source.At("volumeClaimTemplate");
  if (claim.is_null()) return errors.Required(path / "volumeClaimTemplate");
  ValidateClaimTemplate(claim, path / "volumeClaimTemplate", errors);
}

using SourceRule = void (*)(const Value& source, const Path& path, Errors& errors);
constexpr struct {
  std::string_view kind;
  SourceRule rule;
} kSources[] = {
    {"emptyDir", ValidateEmptyDir},
    {"hostPath", ValidateHostPath},
    {"gitRepo", nullptr},
    {"gcePersistentDisk", nullptr},
    {"awsElasticBlockStore", nullptr},
    {"secret", [](const Value& s, const Path& p, Errors& e) { ValidateKeyed(s, "secretName", p, e); }},
    {"nfs", ValidateNfs},
    {"iscsi", nullptr},
    {"glusterfs", nullptr},
    {"flocker", nullptr},
    {"persistentVolumeClaim", ValidateClaimRef},
    {"rbd", nullptr},
    {"cinder", nullptr},
    {"cephfs", nullptr},
    {"quobyte", nullptr},
    {"downwardAPI", ValidateDownward},
    {"fc", nullptr},
    {"flexVolume", nullptr},
    {"configMap", [](const Value& s, const Path& p, Errors& e) { ValidateKeyed(s, "name", p, e); }},
    {"azureFile", nullptr},
    {"vsphereVolume", nullptr},
    {"photonPersistentDisk", nullptr},
    {"portworxVolume", nullptr},
    {"azureDisk", nullptr},
    {"storageos", nullptr},
    {"projected", ValidateProjected},
    {"scaleIO", nullptr},
    {"csi", ValidateCsi},
    {"ephemeral", ValidateEphemeral},
    {"image", ValidateImage},
};

// As upstream's messages spell it where there is more than one source.
std::string_view SecondSource(std::string_view kind) {
  if (kind == "cephfs") return "cephFS";
  return kind == "downwardAPI" ? "downwarAPI" : kind;
}

void ValidateSource(const Volume& volume, std::string_view pod_name, const Path& path, Errors& errors) {
  int sources = 0;
  for (const auto& [kind, rule] : kSources) {
    const Value& source = volume.tree().At(kind);
    if (source.is_null()) continue;
    if (sources++ > 0) {
      errors.Forbidden(path / SecondSource(kind), "may not specify more than 1 volume type");
    } else {
      ValidateVolumeSource(kind, source, path / (kind == "gcePersistentDisk" ? "persistentDisk" : kind), errors);
    }
  }
  if (sources == 0) errors.Required(path, "must specify a volume type");
  if (!volume.has_ephemeral() || pod_name.empty() || volume.name().empty()) return;
  const std::string claim = std::string(pod_name) + "-" + std::string(volume.name());
  for (const std::string& problem : CheckDns1123Subdomain(claim)) {
    errors.Invalid(path / "name", volume.name(), "PVC name " + GoQuote(claim) + ": " + problem);
  }
}

}  // namespace

void ValidateVolumeSource(std::string_view kind, const Value& source, const Path& path, Errors& errors) {
  const auto* known = std::ranges::find(kSources, kind, [](const auto& each) { return each.kind; });
  if (known == std::end(kSources)) return;
  if (known->rule == nullptr) return ValidateLegacyVolume(kind, source, path, errors);
  known->rule(source, path, errors);
}

void ValidateNoBacksteps(std::string_view text, const Path& path, Errors& errors) {
  for (const std::string_view part : Split(text, '/')) {
    if (part == "..") return errors.Invalid(path, text, "must not contain '..'");
  }
}

void ValidateDescendingPath(std::string_view text, const Path& path, Errors& errors) {
  if (text.starts_with('/')) errors.Invalid(path, text, "must be a relative path");
  ValidateNoBacksteps(text, path, errors);
}

void ValidateNonReservedPath(std::string_view text, const Path& path, Errors& errors) {
  ValidateDescendingPath(text, path, errors);
  if (text.starts_with("..") && !text.starts_with("../")) errors.Invalid(path, text, "must not start with '..'");
}

void ValidateVolumes(const ListView<Volume>& volumes, PodContext& context, const Path& path, Errors& errors) {
  std::set<std::string> own_claims;
  for (const Volume volume : volumes) {
    if (volume.has_ephemeral() && !context.pod_name.empty()) {
      own_claims.insert(std::string(context.pod_name) + "-" + std::string(volume.name()));
    }
  }
  size_t index = 0;
  for (const Volume volume : volumes) {
    const Path at = path[index++];
    Errors own;
    ValidateSource(volume, context.pod_name, at, own);
    if (volume.name().empty()) {
      own.Required(at / "name");
    } else {
      ValidateDns1123Label(volume.name(), at / "name", own);
    }
    if (context.volumes.contains(volume.name())) own.Duplicate(at / "name", volume.name());
    if (own.empty()) context.volumes.emplace(volume.name(), volume);
    errors.Append(std::move(own));
    const std::string_view claim = volume.persistent_volume_claim().claim_name();
    if (volume.has_persistent_volume_claim() && own_claims.contains(std::string(claim))) {
      errors.Invalid(at / "persistentVolumeClaim" / "claimName", claim,
                     "must not reference a PVC that gets created for an ephemeral volume");
    }
  }
}

}  // namespace knarr::api::validation
