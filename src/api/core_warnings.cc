// Of the kinds of core but pods, in upstream's words.

#include <algorithm>
#include <iterator>

#include "api/validation/volume_warnings.h"
#include "api/warnings.h"
#include "base/check.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace knarr::api {
namespace {

using doc::Value;
using Texts = std::vector<std::string>;

std::string At(std::string_view list, size_t index) { return std::string(list) + "[" + std::to_string(index) + "]"; }

void Add(Texts more, Texts& texts) { std::ranges::move(more, std::back_inserter(texts)); }

// The texts of a list of addresses, or of CIDRs.
using Look = Texts (*)(const std::string& path, std::string_view value);
void AddEach(const Value& list, std::string_view path, Look look, Texts& texts) {
  for (size_t i = 0; i < list.size(); ++i) Add(look(At(path, i), list[i].AsString()), texts);
}

struct Replaced {
  std::string_view name;
  std::string_view what;
};
constexpr Replaced kVolumeAnnotations[] = {
    {"volume.beta.kubernetes.io/storage-class", "deprecated since v1.8; use \"storageClassName\" attribute instead"},
    {"volume.beta.kubernetes.io/mount-options", "deprecated since v1.31; use \"mountOptions\" attribute instead"},
};
constexpr std::string_view kVolumeSources[] = {"cephfs",    "photonPersistentDisk", "scaleIO",
                                               "storageos", "glusterfs",            "rbd"};

void AddAnnotation(const Value& object, const Replaced& annotation, Texts& texts) {
  if (object.Get("metadata", "annotations").Find(annotation.name) == nullptr) return;
  texts.push_back("metadata.annotations[" + std::string(annotation.name) + "]: " + std::string(annotation.what));
}

void AddHeadless(const Value& spec, Texts& texts) {
  if (!spec.At("loadBalancerIP").AsString().empty()) {
    texts.emplace_back("spec.loadBalancerIP is ignored for headless services");
  }
  if (!spec.At("externalIPs").empty()) texts.emplace_back("spec.externalIPs is ignored for headless services");
  if (spec.At("sessionAffinity").AsString() != "None") {
    texts.emplace_back("spec.SessionAffinity is ignored for headless services");
  }
}

}  // namespace

Texts WarningsOfClaim(const Value& claim) {
  Texts texts;
  AddAnnotation(claim, kVolumeAnnotations[0], texts);
  Add(WarningsOfClaimSpec("spec", claim.At("spec")), texts);
  return texts;
}

Texts WarningsOfVolume(const Value& volume) {
  Texts texts;
  for (const Replaced& annotation : kVolumeAnnotations) AddAnnotation(volume, annotation, texts);
  const Value& spec = volume.At("spec");
  if (spec.At("persistentVolumeReclaimPolicy").AsString() == "Recycle") {
    texts.emplace_back(
        "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended "
        "approach is to use dynamic provisioning.");
  }
  const Value& terms = spec.Get("nodeAffinity", "required", "nodeSelectorTerms");
  for (size_t i = 0; i < terms.size(); ++i) {
    // Its matchExpressions are those of a label selector; it has no matchLabels.
    Add(WarningsOfNodeSelector(At("spec.nodeAffinity.required.nodeSelectorTerms", i), meta_v1::LabelSelector(terms[i])),
        texts);
  }
  for (const std::string_view member : kVolumeSources) {
    if (spec.At(member).is_null()) continue;
    const validation::GoneSource* gone = validation::FindGoneSource(member);
    CHECK(gone != nullptr);
    texts.push_back("spec." + std::string(gone->shown) + ": " + std::string(gone->what));
  }
  return texts;
}

Texts WarningsOfService(const Value& service) {
  Texts texts;
  constexpr std::string_view kHints = "service.kubernetes.io/topology-aware-hints";
  if (service.Get("metadata", "annotations").Find(kHints) != nullptr) {
    texts.push_back("annotation " + std::string(kHints) +
                    " is deprecated, please use service.kubernetes.io/topology-mode instead");
  }
  const Value& spec = service.At("spec");
  const std::string_view type = spec.At("type").AsString();
  const std::string_view cluster_ip = spec.At("clusterIP").AsString();
  const Value& external = spec.At("externalIPs");
  const bool by_name = type == "ExternalName";
  const bool headless = type == "ClusterIP" && cluster_ip == "None";
  if (!cluster_ip.empty() && cluster_ip != "None") {
    AddEach(spec.At("clusterIPs"), "spec.clusterIPs", WarningsOfIp, texts);
  }
  if (headless) AddHeadless(spec, texts);
  AddEach(external, "spec.externalIPs", WarningsOfIp, texts);
  if (!external.empty() && !headless && !by_name) {
    texts.emplace_back("spec.externalIPs is deprecated and may no longer be implemented in some clusters");
  }
  const std::string_view balancer = spec.At("loadBalancerIP").AsString();
  if (!balancer.empty()) Add(WarningsOfIp("spec.loadBalancerIP", balancer), texts);
  AddEach(spec.At("loadBalancerSourceRanges"), "spec.loadBalancerSourceRanges", WarningsOfCidr, texts);
  if (by_name && !external.empty()) {
    texts.emplace_back("spec.externalIPs is ignored when spec.type is \"ExternalName\"");
  }
  if (!by_name && !spec.At("externalName").AsString().empty()) {
    texts.emplace_back("spec.externalName is ignored when spec.type is not \"ExternalName\"");
  }
  if (spec.At("trafficDistribution").AsString() == "PreferClose") {
    texts.emplace_back("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"");
  }
  return texts;
}

Texts WarningsOfLoadBalancer(const Value& object) {
  Texts texts;
  const Value& points = object.Get("status", "loadBalancer", "ingress");
  for (size_t i = 0; i < points.size(); ++i) {
    const std::string_view ip = points[i].At("ip").AsString();
    if (!ip.empty()) Add(WarningsOfIp(At("status.loadBalancer.ingress", i), ip), texts);
  }
  return texts;
}

Texts WarningsOfNode(const Value& node) {
  Texts texts;
  const Value& spec = node.At("spec");
  if (!spec.At("configSource").is_null()) texts.emplace_back("spec.configSource: the feature is removed");
  if (!spec.At("externalID").AsString().empty()) {
    texts.emplace_back("spec.externalID: this field is deprecated, and is unused by Kubernetes");
  }
  AddEach(spec.At("podCIDRs"), "spec.podCIDRs", WarningsOfCidr, texts);
  return texts;
}

Texts WarningsOfEndpoints(const Value& endpoints) {
  Texts texts;
  // What the controller writes is fine, and there is much of it.
  if (endpoints.Get("metadata", "labels", "endpoints.kubernetes.io/managed-by").AsString() == "endpoint-controller") {
    return texts;
  }
  const Value& subsets = endpoints.At("subsets");
  for (size_t i = 0; i < subsets.size(); ++i) {
    for (const std::string_view list : {"addresses", "notReadyAddresses"}) {
      const Value& addresses = subsets[i].At(list);
      for (size_t j = 0; j < addresses.size(); ++j) {
        const std::string path = At(At("subsets", i) + "." + std::string(list), j) + ".ip";
        Add(WarningsOfIp(path, addresses[j].At("ip").AsString()), texts);
      }
    }
  }
  return texts;
}

Texts WarningsOfQuota(const Value& quota) {
  Texts texts;
  const Value& hard = quota.Get("spec", "hard");
  for (const std::string_view resource : {"cpu", "memory", "storage", "ephemeral-storage"}) {
    std::string name = "requests." + std::string(resource);
    if (hard.At(name).is_null() && (resource == "cpu" || resource == "memory")) name = resource;
    const std::string limit_name = "limits." + std::string(resource);
    const Result<Quantity> request = Quantity::Parse(hard.At(name).AsString());
    const Result<Quantity> limit = Quantity::Parse(hard.At(limit_name).AsString());
    if (!request.ok() || !limit.ok() || *request <= *limit) continue;
    texts.push_back("ResourceQuota " + name + " (" + request->ToString() + ") should be less than " + limit_name +
                    " (" + limit->ToString() + ")");
  }
  return texts;
}

}  // namespace knarr::api
