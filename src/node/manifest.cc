#include "node/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "api/codec.h"
#include "api/defaulting.h"
#include "api/qos.h"
#include "api/references.h"
#include "api/validation.h"
#include "base/strings.h"
#include "doc/json.h"
#include "net/tls.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;
using api::core_v1::PodEdit;
using doc::Value;

constexpr size_t kIdBytes = 16;
constexpr size_t kUidMax = 64;

/// Kinds of volumes that need the API, and what is said of them.
struct Source {
  std::string_view member;
  std::string_view what;
};
constexpr Source kVolumeSources[] = {
    {"csi", "csidrivers (via CSI volumes)"},
    {"glusterfs", "endpoints (via glusterFS volumes)"},
    {"persistentVolumeClaim", "persistentvolumeclaims"},
    {"ephemeral", "persistentvolumeclaims (via ephemeral volumes)"},
    {"azureFile", "secrets (via azureFile volumes)"},
};
constexpr Source kProjectedSources[] = {
    {"serviceAccountToken", "serviceaccounts (via projected volumes)"},
    {"clusterTrustBundle", "clustertrustbundles"},
    {"podCertificate", "podcertificates"},
};

template <size_t N>
std::string_view Among(const Source (&sources)[N], const Value& value) {
  for (const Source& source : sources) {
    if (!value.At(source.member).is_null()) return source.what;
  }
  return "";
}

/// What of the API the pod refers to; "" for nothing. A node runs such a pod without asking anybody.
std::string ApiReference(const Value& pod) {
  const Value& spec = pod.At("spec");
  if (!spec.At("serviceAccountName").AsString().empty()) return "serviceaccounts";
  std::string_view found;
  api::VisitPodReferences(pod, [&](api::RefKind kind, std::string_view) {
    if (kind == api::RefKind::kSecret) found = "secrets";
    if (kind == api::RefKind::kConfigMap && found.empty()) found = "configmaps";
  });
  if (!found.empty()) return std::string(found);
  if (!spec.At("resourceClaims").empty()) return "resourceclaims";
  for (const Value& volume : spec.At("volumes").items()) {
    found = Among(kVolumeSources, volume);
    for (const Value& part : volume.Get("projected", "sources").items()) {
      if (found.empty()) found = Among(kProjectedSources, part);
    }
    if (!found.empty()) return std::string(found);
  }
  return "";
}

/// What the node makes folders and control groups of.
bool IsFolderName(std::string_view uid) {
  constexpr std::string_view kMarks = "-_";
  return uid.size() <= kUidMax && std::ranges::all_of(uid, [&](char c) {
           const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
           return letter || (c >= '0' && c <= '9') || kMarks.find(c) != std::string_view::npos;
         });
}

void Tolerate(PodEdit& pod) {
  for (const auto toleration : pod.view().spec().tolerations()) {
    if (toleration.operator_() == "Exists" && toleration.effect() == "NoExecute" && toleration.key().empty()) return;
  }
  auto toleration = pod.spec().add_tolerations();
  toleration.set_operator("Exists");
  toleration.set_effect("NoExecute");
}

std::string ErrorText(const api::ErrorList& errors) {
  std::vector<std::string> lines;
  for (const api::FieldError& error : errors) lines.push_back(error.field + ": " + error.body);
  const std::string all = fmt::format("{}", fmt::join(lines, ", "));
  return lines.size() == 1 ? all : "[" + all + "]";
}

}  // namespace

Result<api::ObjectPtr> ParseManifest(std::string_view text, const ManifestOrigin& origin) {
  api::Decoded decoded = TRY(api::DecodeYaml(text));
  if (decoded.kind != "Pod" || decoded.api_version != "v1") {
    return BadRequest(fmt::format("invalid pod: it is a {} of {}", decoded.kind, decoded.api_version));
  }
  doc::Document& document = decoded.document;
  api::ApplyDefaults(*decoded.type, document.root, document.arena);
  document.root.Remove("status");
  document.root.Ensure(document.arena, "metadata").Remove("resourceVersion");  // only what the API has is of a version
  const std::string name(document.root.Get("metadata", "name").AsString());
  if (name.empty()) return BadRequest("invalid pod: name is needed for the pod");
  PodEdit pod(document);
  auto metadata = pod.metadata();
  if (pod.view().metadata().uid().empty()) {
    const std::string identity =
        fmt::format("{}host:{}file:{}", doc::ToJson(document.root), origin.node_name, origin.path);
    metadata.set_uid(HexEncode(net::Sha256(identity).substr(0, kIdBytes)));
  }
  const std::string uid(pod.view().metadata().uid());
  if (!IsFolderName(uid)) return BadRequest("invalid pod: its uid is no name of a folder");
  metadata.set_name(fmt::format("{}-{}", name, ToLower(origin.node_name)));
  if (pod.view().metadata().ns().empty()) metadata.set_ns("default");
  metadata.put_annotations(kConfigHash, uid);
  pod.spec().set_node_name(origin.node_name);
  Tolerate(pod);
  TRY(api::Canonicalize(*decoded.type, document.root, document.arena));
  const api::ErrorList errors = api::ValidateCreate(api::core_v1::PodInfo(), document.root);
  if (!errors.empty()) return BadRequest("invalid pod: " + ErrorText(errors));
  const std::string reference = ApiReference(document.root);
  if (!reference.empty()) return BadRequest("static pods may not reference " + reference);
  PodEdit done(document);
  done.metadata().put_annotations(kConfigSource, "file");
  done.metadata().put_annotations(kConfigSeen, FormatTime(origin.seen));
  done.status().set_phase("Pending");
  done.status().set_qos_class(api::QosClass(document.root.At("spec")));
  return api::Object::FromDocument(std::move(document));
}

bool IsStaticPod(Pod pod) {
  // Anybody may write the annotation into the API.
  if (!pod.metadata().resource_version().empty()) return false;
  const auto source = pod.metadata().annotations().Find(kConfigSource);
  return source && *source != "api";
}

bool IsMirrorPod(const api::Object& pod) { return !pod.tree().Get("metadata", "annotations", kConfigMirror).is_null(); }

}  // namespace knarr::node
