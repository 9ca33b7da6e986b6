#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "apiserver/admission/node_tokens.h"
#include "apiserver/admission/plugins.h"
#include "apiserver/admission/pod_references.h"
#include "apiserver/errors.h"
#include "base/strings.h"
#include "net/certificate_request.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::array<std::string_view, 11> kNodeLabels = {
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
};

bool InDomain(std::string_view name, std::string_view domain) {
  return name == domain || (name.ends_with(domain) && name[name.size() - domain.size() - 1] == '.');
}

// Whether a node may not say this of itself: what would draw others' pods to it.
bool IsForbiddenLabel(std::string_view label) {
  const size_t slash = label.find('/');
  const std::string_view prefix = slash == std::string_view::npos ? std::string_view() : label.substr(0, slash);
  if (InDomain(prefix, "node-restriction.kubernetes.io")) return true;
  if (!InDomain(prefix, "kubernetes.io") && !InDomain(prefix, "k8s.io")) return false;
  if (InDomain(prefix, "kubelet.kubernetes.io") || InDomain(prefix, "node.kubernetes.io")) return false;
  return std::ranges::find(kNodeLabels, label) == kNodeLabels.end();
}

std::set<std::string_view> ForbiddenChanges(const Value& labels, const Value& before) {
  std::set<std::string_view> out;
  const auto compare = [&](const Value& a, const Value& b) {
    for (const doc::Member& each : a.members()) {
      const Value* other = b.Find(each.key);
      if ((other == nullptr || !other->Equals(each.value)) && IsForbiddenLabel(each.key)) out.insert(each.key);
    }
  };
  compare(labels, before);
  compare(before, labels);
  return out;
}

// What of the API a pod's spec names; "" for nothing.
std::string_view ReferenceOf(const Value& spec) {
  if (!spec.At("serviceAccountName").AsString().empty()) return "serviceaccounts";
  if (UsesSecrets(spec)) return "secrets";
  if (UsesConfigMaps(spec)) return "configmaps";
  if (!spec.At("resourceClaims").empty()) return "resourceclaims";
  constexpr std::pair<std::string_view, std::string_view> kVolumes[] = {
      {"csi", "csidrivers (via CSI volumes)"},
      {"glusterfs", "endpoints (via glusterFS volumes)"},
      {"persistentVolumeClaim", "persistentvolumeclaims"},
      {"ephemeral", "persistentvolumeclaims (via ephemeral volumes)"},
      {"azureFile", "secrets (via azureFile volumes)"},
  };
  constexpr std::pair<std::string_view, std::string_view> kSources[] = {
      {"serviceAccountToken", "serviceaccounts (via projected volumes)"},
      {"clusterTrustBundle", "clustertrustbundles"},
      {"podCertificate", "podcertificates"},
  };
  for (const Value& volume : spec.At("volumes").items()) {
    for (const auto& [member, text] : kVolumes) {
      if (!volume.At(member).is_null()) return text;
    }
    for (const Value& source : volume.Get("projected", "sources").items()) {
      for (const auto& [member, text] : kSources) {
        if (!source.At(member).is_null()) return text;
      }
    }
  }
  return {};
}

// The claim without what a node tells of it.
doc::Document WithoutNodesPart(const Value& claim) {
  doc::Document out = doc::Document::Copy(claim);
  Value& metadata = out.root.Ensure(out.arena, "metadata");
  metadata.Remove("resourceVersion");
  metadata.Remove("managedFields");
  Value& status = out.root.Ensure(out.arena, "status");
  for (const std::string_view member : {"capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"}) {
    status.Remove(member);
  }
  return out;
}

/// A node writes what is its own: itself, its lease, the status of the pods that are bound to it.
class NodeRestriction : public AdmissionPlugin {
 public:
  Ok Mutate(AdmissionRequest& request) const override {
    const UserInfo& user = request.context.user;
    if (!user.name.starts_with(kNodePrefix) || !IsMember(user, kNodes)) return {};
    const std::string node = user.name.substr(kNodePrefix.size());
    if (node.empty()) {
      return request.Forbidden(fmt::format("could not determine node from user {}", GoQuote(user.name)));
    }
    const std::string_view group = request.kind.group;
    const std::string_view plural = request.kind.plural;
    if (group.empty() && plural == "pods") return AdmitPods(request, node);
    if (group.empty() && plural == "nodes") return AdmitNode(request, node);
    if (group.empty() && plural == "persistentvolumeclaims") return AdmitClaim(request, node);
    if (group.empty() && plural == "serviceaccounts") return AdmitNodeToken(request, node);
    if (group == "certificates.k8s.io" && plural == "certificatesigningrequests") return AdmitSigning(request, node);
    if (group == "certificates.k8s.io" && plural == "podcertificaterequests") {
      return request.Forbidden("PodCertificateRequest feature gate is disabled");
    }
    if (group == "coordination.k8s.io" && plural == "leases") return AdmitLease(request, node);
    if (group == "storage.k8s.io" && plural == "csinodes" && request.name != node) {
      return request.Forbidden("can only access CSINode with the same name as the requesting node");
    }
    if (group == "resource.k8s.io" && plural == "resourceslices") return AdmitSlice(request, node);
    return {};
  }

 private:
  static Ok AdmitPods(const AdmissionRequest& request, const std::string& node) {
    if (request.subresource.empty()) return AdmitPod(request, node);
    if (request.subresource == "status") return AdmitPodStatus(request, node);
    if (request.subresource == "eviction") return AdmitEviction(request, node);
    return request.Forbidden(fmt::format("unexpected pod subresource {}, only 'status' and 'eviction' are allowed",
                                         GoQuote(request.subresource)));
  }

  static Ok AdmitPod(const AdmissionRequest& request, const std::string& node) {
    if (request.operation == AdmissionOperation::kCreate) return AdmitMirror(request, node);
    if (request.operation != AdmissionOperation::kDelete) {
      return request.Forbidden(fmt::format("unexpected operation {}, node {} can only create and delete mirror pods",
                                           GoQuote(OperationText(request.operation)), GoQuote(node)));
    }
    if (request.old_object->Get("spec", "nodeName").AsString() == node) return {};
    return request.Forbidden(
        fmt::format("node {} can only delete pods with spec.nodeName set to itself", GoQuote(node)));
  }

  static Ok AdmitMirror(const AdmissionRequest& request, const std::string& node) {
    const Value& metadata = request.root().At("metadata");
    const Value& spec = request.root().At("spec");
    constexpr std::string_view kMirror = "kubernetes.io/config.mirror";
    const auto refuse = [&](std::string_view why) -> Ok {
      return request.Forbidden(fmt::format("node {} {}", GoQuote(node), why));
    };
    if (metadata.At("annotations").Find(kMirror) == nullptr) {
      return request.Forbidden(fmt::format("pod does not have {} annotation, node {} can only create mirror pods",
                                           GoQuote(kMirror), GoQuote(node)));
    }
    if (spec.At("nodeName").AsString() != node) return refuse("can only create pods with spec.nodeName set to itself");
    const auto owners = metadata.At("ownerReferences").items();
    if (owners.size() > 1) return refuse("can only create pods with a single owner reference set to itself");
    constexpr std::string_view kOwner = "can only create pods with an owner reference set to itself";
    if (owners.empty()) return refuse(kOwner);
    const Value& owner = owners.front();
    if (owner.At("apiVersion").AsString() != "v1" || owner.At("kind").AsString() != "Node" ||
        owner.At("name").AsString() != node) {
      return refuse(kOwner);
    }
    if (!owner.At("controller").AsBool()) {
      return refuse("can only create pods with a controller owner reference set to itself");
    }
    if (owner.At("blockOwnerDeletion").AsBool()) return refuse("must not set blockOwnerDeletion on an owner reference");
    const api::ObjectPtr self = request.Find("", "nodes", "", node);
    if (self == nullptr) return NotFoundError({"", "node"}, node);
    if (owner.At("uid").AsString() != self->uid()) {
      return request.Forbidden(
          fmt::format("node {} UID mismatch: expected {} got {}", node, owner.At("uid").AsString(), self->uid()));
    }
    const std::string_view reference = ReferenceOf(spec);
    if (reference.empty()) return {};
    return refuse(fmt::format("can not create pods that reference {}", reference));
  }

  static Ok AdmitPodStatus(const AdmissionRequest& request, const std::string& node) {
    if (request.operation != AdmissionOperation::kUpdate) {
      return request.Forbidden(fmt::format("unexpected operation {}", GoQuote(OperationText(request.operation))));
    }
    const Value& pod = request.root();
    const Value& old = *request.old_object;
    const auto refuse = [&](std::string_view why) -> Ok {
      return request.Forbidden(fmt::format("node {} {}", GoQuote(node), why));
    };
    if (old.Get("spec", "nodeName").AsString() != node) {
      return refuse("can only update pod status for pods with spec.nodeName set to itself");
    }
    const auto same_map = [&](const Value& a, const Value& b) { return (a.empty() && b.empty()) || a.Equals(b); };
    if (!same_map(pod.Get("metadata", "labels"), old.Get("metadata", "labels"))) {
      return refuse("cannot update labels through pod status");
    }
    if (!same_map(pod.Get("status", "resourceClaimStatuses"), old.Get("status", "resourceClaimStatuses"))) {
      return refuse("cannot update resource claim statues");
    }
    if (!pod.Get("status", "extendedResourceClaimStatus").Equals(old.Get("status", "extendedResourceClaimStatus"))) {
      return refuse("cannot update extended resource claim status");
    }
    return {};
  }

  static Ok AdmitEviction(const AdmissionRequest& request, const std::string& node) {
    if (request.operation != AdmissionOperation::kCreate) {
      return request.Forbidden(fmt::format("unexpected operation {}", OperationText(request.operation)));
    }
    const api::ObjectPtr pod = request.Read("", "pods", request.ns, request.name);
    if (pod == nullptr) return NotFoundError({"", "pod"}, request.name);
    if (pod->tree().Get("spec", "nodeName").AsString() == node) return {};
    return request.Forbidden(fmt::format("node {} can only evict pods with spec.nodeName set to itself", node));
  }

  static Ok AdmitNode(const AdmissionRequest& request, const std::string& node) {
    const std::string quoted = GoQuote(node);
    if (request.name != node) {
      return request.Forbidden(fmt::format("node {} is not allowed to modify node {}", quoted, GoQuote(request.name)));
    }
    if (request.object == nullptr) return {};
    const Value& object = request.root();
    const Value& labels = object.Get("metadata", "labels");
    const Value& config = object.Get("spec", "configSource");
    if (request.operation == AdmissionOperation::kCreate) {
      if (!config.is_null()) {
        return request.Forbidden(
            fmt::format("node {} is not allowed to create pods with a non-nil configSource", quoted));
      }
      const auto bad = ForbiddenChanges(labels, Value::Null());
      if (bad.empty()) return {};
      return request.Forbidden(
          fmt::format("node {} is not allowed to set the following labels: {}", quoted, fmt::join(bad, ", ")));
    }
    const Value& old = *request.old_object;
    if (!config.is_null() && !config.Equals(old.Get("spec", "configSource"))) {
      return request.Forbidden(
          fmt::format("node {} is not allowed to update configSource to a new non-nil configSource", quoted));
    }
    const auto same_list = [](const Value& a, const Value& b) { return (a.empty() && b.empty()) || a.Equals(b); };
    if (!same_list(object.Get("spec", "taints"), old.Get("spec", "taints"))) {
      return request.Forbidden(fmt::format("node {} is not allowed to modify taints", quoted));
    }
    if (!same_list(object.Get("metadata", "ownerReferences"), old.Get("metadata", "ownerReferences"))) {
      return request.Forbidden(fmt::format("node {} is not allowed to modify ownerReferences", quoted));
    }
    const auto bad = ForbiddenChanges(labels, old.Get("metadata", "labels"));
    if (bad.empty()) return {};
    return request.Forbidden(fmt::format("is not allowed to modify labels: {}", fmt::join(bad, ", ")));
  }

  static Ok AdmitClaim(const AdmissionRequest& request, const std::string& node) {
    if (request.subresource != "status") return request.Forbidden("may only update PVC status");
    if (request.operation != AdmissionOperation::kUpdate) {
      return request.Forbidden(fmt::format("unexpected operation {}", GoQuote(OperationText(request.operation))));
    }
    if (WithoutNodesPart(request.root()).root.Equals(WithoutNodesPart(*request.old_object).root)) return {};
    return request.Forbidden(fmt::format(
        "node {} is not allowed to update fields other than status.quantity and status.conditions", GoQuote(node)));
  }

  static Ok AdmitLease(const AdmissionRequest& request, const std::string& node) {
    constexpr std::string_view kNamespace = "kube-node-lease";
    if (request.ns != kNamespace) {
      return request.Forbidden(fmt::format("can only access leases in the {} system namespace", GoQuote(kNamespace)));
    }
    if (request.name == node) return {};
    return request.Forbidden("can only access node lease with the same name as the requesting node");
  }

  static Ok AdmitSlice(const AdmissionRequest& request, const std::string& node) {
    if (request.operation == AdmissionOperation::kCreate && request.root().Get("spec", "nodeName").AsString() != node) {
      return request.Forbidden("can only create ResourceSlice with the same NodeName as the requesting node");
    }
    if (request.operation == AdmissionOperation::kDelete &&
        request.old_object->Get("spec", "nodeName").AsString() != node) {
      return request.Forbidden("can only delete ResourceSlice with the same NodeName as the requesting node");
    }
    return {};
  }

  static Ok AdmitSigning(const AdmissionRequest& request, const std::string& node) {
    if (request.operation != AdmissionOperation::kCreate) return {};
    const Value& spec = request.root().At("spec");
    const std::string_view signer = spec.At("signerName").AsString();
    if (signer != "kubernetes.io/kubelet-serving" && signer != "kubernetes.io/kube-apiserver-client-kubelet") return {};
    const Result<net::SigningRequest> asked = net::ReadSigningRequestBase64(spec.At("request").AsString());
    if (!asked.ok()) return request.Forbidden("unable to parse csr: " + asked.status().message());
    const std::string wanted = std::string(kNodePrefix) + node;
    if (asked->common_name == wanted) return {};
    return request.Forbidden(fmt::format("can only create a node CSR with CN={}", wanted));
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> MakeNodeRestriction() { return std::make_unique<NodeRestriction>(); }

}  // namespace knarr::apiserver
