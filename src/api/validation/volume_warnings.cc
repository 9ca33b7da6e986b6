#include "api/validation/volume_warnings.h"

#include <algorithm>
#include <iterator>

#include "api/warnings.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace knarr::api {
namespace validation {
namespace {

using core_v1::Volume;
using doc::Value;
using Texts = std::vector<std::string>;

constexpr GoneSource kGone[] = {
    {"photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"},
    {"gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"},
    {"scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"},
    {"flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"},
    {"storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"},
    {"quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"},
    {"glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"},
    {"ephemeral", "", ""},
    {"cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"},
    {"rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"},
};

// A file of a volume, and the source it comes from when there are several.
struct VirtualPath {
  std::string_view path;
  std::string source;
  std::string Shown() const { return GoQuote(path) + (source.empty() ? "" : " (" + source + ")"); }
};

bool Overlap(const VirtualPath& a, const VirtualPath& b) {
  if (a.path.empty() || b.path.empty()) return false;
  const std::string one = std::string(a.path) + "/";
  const std::string other = std::string(b.path) + "/";
  return one.starts_with(other) || other.starts_with(one);
}

// Adds paths of one volume, and says which of those before each gets in the way of.
class VirtualPaths {
 public:
  VirtualPaths(std::string_view volume, std::string_view what, ComparisonBudget& budget)
      : volume_(volume), what_(what), budget_(budget) {}
  void Add(VirtualPath path, Texts& texts) {
    path.path = TrimRight(path.path, "/");
    for (const VirtualPath& other : paths_) {
      if (!budget_.Take()) return;
      if (!Overlap(path, other)) continue;
      texts.push_back("volume " + GoQuote(volume_) + " (" + what_ + "): overlapping paths: " + path.Shown() + " with " +
                      other.Shown());
    }
    paths_.push_back(std::move(path));
  }
  void AddItems(const Value& items, const std::string& source, Texts& texts) {
    for (const Value& item : items.items()) Add({item.At("path").AsString(), source}, texts);
  }

 private:
  std::string_view volume_;
  std::string what_;
  ComparisonBudget& budget_;
  std::vector<VirtualPath> paths_;
};

std::string Named(std::string_view kind, const Value& name) {
  return std::string(kind) + " " + GoQuote(name.AsString());
}

void AddItemOverlaps(const Volume& volume, std::string_view kind, const Value& source, std::string_view name,
                     ComparisonBudget& budget, Texts& texts) {
  const Value& items = source.At("items");
  if (items.size() < 2) return;
  VirtualPaths paths(volume.name(), name.empty() ? std::string(kind) : Named(kind, source.At(name)), budget);
  paths.AddItems(items, "", texts);
}

void AddProjection(const Value& source, VirtualPaths& paths, Texts& texts) {
  const Value& map = source.At("configMap");
  const Value& secret = source.At("secret");
  const Value& downward = source.At("downwardAPI");
  if (!map.At("items").is_null()) {
    paths.AddItems(map.At("items"), Named("ConfigMap", map.At("name")), texts);
  } else if (!secret.At("items").is_null()) {
    paths.AddItems(secret.At("items"), Named("Secret", secret.At("name")), texts);
  } else if (!downward.At("items").is_null()) {
    paths.AddItems(downward.At("items"), "DownwardAPI", texts);
  } else if (const Value& token = source.At("serviceAccountToken"); !token.is_null()) {
    paths.Add({token.At("path").AsString(), "ServiceAccountToken"}, texts);
  } else if (const Value& bundle = source.At("clusterTrustBundle"); !bundle.is_null()) {
    const Value& name = bundle.At("name");
    paths.Add(
        {bundle.At("path").AsString(), Named("ClusterTrustBundle", name.is_null() ? bundle.At("signerName") : name)},
        texts);
  } else if (const Value& certificate = source.At("podCertificate"); !certificate.is_null()) {
    static constexpr struct {
      std::string_view member;
      std::string_view what;
    } kFiles[] = {{"certificateChainPath", "PodCertificate chain"},
                  {"keyPath", "PodCertificate key"},
                  {"credentialBundlePath", "PodCertificate credential bundle"}};
    for (const auto& [member, what] : kFiles) {
      const std::string_view path = certificate.At(member).AsString();
      if (!path.empty()) paths.Add({path, std::string(what)}, texts);
    }
  }
}

void AddOverlaps(const Volume& volume, ComparisonBudget& budget, Texts& texts) {
  const Value& tree = volume.tree();
  AddItemOverlaps(volume, "ConfigMap", tree.At("configMap"), "name", budget, texts);
  AddItemOverlaps(volume, "Secret", tree.At("secret"), "secretName", budget, texts);
  AddItemOverlaps(volume, "DownwardAPI", tree.At("downwardAPI"), "", budget, texts);
  VirtualPaths projected(volume.name(), "Projected", budget);
  for (const Value& source : tree.Get("projected", "sources").items()) {
    if (source.empty()) {
      texts.push_back("volume " + GoQuote(volume.name()) + " (Projected) has no sources provided");
    } else {
      AddProjection(source, projected, texts);
    }
  }
}

}  // namespace

const GoneSource* FindGoneSource(std::string_view member) {
  const auto* found = std::ranges::find(kGone, member, &GoneSource::member);
  return found == std::end(kGone) ? nullptr : found;
}

void AddVolumeWarnings(const core_v1::PodSpec& spec, const Path& path, Texts& texts) {
  size_t index = 0;
  for (const Volume volume : spec.volumes()) {
    const Path at = (path / "volumes")[index++];
    for (const auto& [member, shown, what] : kGone) {
      const Value& source = volume.tree().At(member);
      if (source.is_null()) continue;
      if (!what.empty()) {
        texts.push_back(std::string((at / shown).text()).append(": ").append(what));
        continue;
      }
      const Path claim = at / "ephemeral" / "volumeClaimTemplate" / "spec";
      std::ranges::move(WarningsOfClaimSpec(std::string(claim.text()), source.Get("volumeClaimTemplate", "spec")),
                        std::back_inserter(texts));
    }
  }
  ComparisonBudget budget;
  for (const Volume volume : spec.volumes()) AddOverlaps(volume, budget, texts);
}

}  // namespace validation

std::vector<std::string> WarningsOfClaimSpec(const std::string& path, const doc::Value& spec) {
  std::vector<std::string> texts;
  for (const std::string_view list : {"requests", "limits"}) {
    const std::string_view amount = spec.Get("resources", list, "storage").AsString();
    const Result<Quantity> quantity = Quantity::Parse(amount);
    if (!quantity.ok() || quantity->MilliValue() % 1000 == 0) continue;
    texts.push_back(path + ".resources." + std::string(list) + "[storage]: fractional byte value " + GoQuote(amount) +
                    " is invalid, must be an integer");
  }
  return texts;
}

}  // namespace knarr::api
