// PersistentVolumes and claims.

#include <fmt/format.h>

#include <algorithm>

#include "api/core_v1.h"
#include "base/strings.h"
#include "cli/kubectl/describe.h"

namespace knarr::cli {
namespace {

constexpr std::string_view kClassAnnotation = "volume.beta.kubernetes.io/storage-class";

/// The annotation came before the field, and still wins.
std::string StorageClass(const doc::Value& object) {
  const doc::Value& annotation = object.Get("metadata", "annotations").At(kClassAnnotation);
  return annotation.is_null() ? TextOr(object.Get("spec", "storageClassName"), "") : TextOr(annotation, "");
}

std::string Finalizers(const doc::Value& object) {
  const doc::Value& finalizers = object.Get("metadata", "finalizers");
  return finalizers.is_null() ? "[]" : GoText(finalizers);
}

std::string StatusText(const Description& out, const doc::Value& object) {
  const doc::Value& deletion = object.Get("metadata", "deletionTimestamp");
  if (deletion.is_null()) return TextOr(object.Get("status", "phase"), "");
  return fmt::format("Terminating (lasts {})", out.Since(deletion));
}

void AddNodeAffinity(Description& out, const doc::Value& affinity) {
  const doc::Value& required = affinity.At("required");
  if (!required.is_object()) {
    out.Add(0, "Node Affinity:\t<none>\n");
    return;
  }
  out.Add(0, "Node Affinity:\t\n");
  const doc::Value& terms = required.At("nodeSelectorTerms");
  out.Add(1, fmt::format("Required Terms:\t{}\n", terms.empty() ? "<none>" : ""));
  for (size_t i = 0; i < terms.size(); ++i) {
    const doc::Value& expressions = terms[i].At("matchExpressions");
    std::string text = fmt::format("Term {}:\t", i);
    if (expressions.empty()) out.Add(2, text + "<none>\n");
    for (const doc::Value& expression : expressions.items()) {
      text += fmt::format("{} {}", expression.At("key").AsString(), ToLower(expression.At("operator").AsString()));
      const doc::Value& values = expression.At("values");
      if (!values.empty()) text += fmt::format(" [{}]", Join(Strings(values), ", "));
      out.Add(2, text + "\n");
      text = "\t";
    }
  }
}

/// Names of the pods that mount the claim.
Result<std::vector<std::string>> UsersOf(Description& out, const api::Object& claim) {
  client::Client& client = out.client();
  client::ObjectList pods = TRY(client.List(api::core_v1::PodInfo(), claim.ns()));
  std::vector<std::string> names;
  for (const api::ObjectPtr& pod : pods.items) {
    const bool mounts = std::ranges::any_of(pod->tree().Get("spec", "volumes").items(), [&](const doc::Value& volume) {
      return volume.Get("persistentVolumeClaim", "claimName").AsString() == claim.name();
    });
    const bool owns =
        std::ranges::any_of(claim.tree().Get("metadata", "ownerReferences").items(), [&](const doc::Value& owner) {
          return owner.At("kind").AsString() == "Pod" && owner.At("uid").AsString() == pod->uid();
        });
    if (mounts || owns) names.emplace_back(pod->name());
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace

void AddClaim(Description& out, const doc::Value& claim, bool whole) {
  const doc::Value& metadata = claim.At("metadata");
  const doc::Value& spec = claim.At("spec");
  if (whole) {
    out.Add(0, fmt::format("Name:\t{}\n", metadata.At("name").AsString()));
    out.Add(0, fmt::format("Namespace:\t{}\n", metadata.At("namespace").AsString()));
  }
  out.Add(0, fmt::format("StorageClass:\t{}\n", StorageClass(claim)));
  if (whole) out.Add(0, fmt::format("Status:\t{}\n", StatusText(out, claim)));
  const std::string_view volume = spec.At("volumeName").AsString();
  out.Add(0, fmt::format("Volume:\t{}\n", volume));
  out.Labels("Labels", metadata.At("labels"));
  out.Annotations(metadata.At("annotations"));
  if (whole) out.Add(0, fmt::format("Finalizers:\t{}\n", Finalizers(claim)));
  const doc::Value& status = claim.At("status");
  const bool bound = !volume.empty();
  out.Add(0, fmt::format("Capacity:\t{}\n", bound ? QuantityOf(status.Get("capacity", "storage")).ToString() : ""));
  out.Add(0, fmt::format("Access Modes:\t{}\n", bound ? AccessModes(status.At("accessModes")) : ""));
  if (!spec.At("volumeMode").is_null()) out.Add(0, fmt::format("VolumeMode:\t{}\n", GoText(spec.At("volumeMode"))));
  const doc::Value& source = spec.At("dataSource");
  if (!source.is_object()) return;
  out.Add(0, "DataSource:\n");
  if (!source.At("apiGroup").is_null()) out.Add(1, fmt::format("APIGroup:\t{}\n", GoText(source.At("apiGroup"))));
  out.Add(1, fmt::format("Kind:\t{}\n", source.At("kind").AsString()));
  out.Add(1, fmt::format("Name:\t{}\n", source.At("name").AsString()));
}

Ok DescribePersistentVolumeClaim(Description& out, const api::Object& object) {
  const std::vector<std::string> users = TRY(UsersOf(out, object));
  AddClaim(out, object.tree(), true);
  out.Add(0, fmt::format("Used By:\t{}\n", users.empty() ? "<none>" : Join(users, "\n\t")));
  const doc::Value& conditions = object.tree().Get("status", "conditions");
  if (!conditions.empty()) {
    out.Add(0, "Conditions:\n  Type\tStatus\tLastProbeTime\tLastTransitionTime\tReason\tMessage\n");
    out.Add(1, "----\t------\t-----------------\t------------------\t------\t-------\n");
  }
  for (const doc::Value& condition : conditions.items()) {
    out.Add(1, fmt::format("{} \t{} \t{} \t{} \t{} \t{}\n", condition.At("type").AsString(),
                           condition.At("status").AsString(), LongTime(condition.At("lastProbeTime")),
                           LongTime(condition.At("lastTransitionTime")), condition.At("reason").AsString(),
                           condition.At("message").AsString()));
  }
  out.Events(object);
  return {};
}

Ok DescribePersistentVolume(Description& out, const api::Object& object) {
  const doc::Value& spec = object.tree().At("spec");
  out.Name(object);
  out.Labels("Labels", object.tree().Get("metadata", "labels"));
  out.Annotations(object.tree().Get("metadata", "annotations"));
  out.Add(0, fmt::format("Finalizers:\t{}\n", Finalizers(object.tree())));
  out.Add(0, fmt::format("StorageClass:\t{}\n", StorageClass(object.tree())));
  out.Add(0, fmt::format("Status:\t{}\n", StatusText(out, object.tree())));
  const doc::Value& claim = spec.At("claimRef");
  out.Add(0, fmt::format("Claim:\t{}\n", claim.is_object() ? fmt::format("{}/{}", claim.At("namespace").AsString(),
                                                                         claim.At("name").AsString())
                                                           : ""));
  out.Add(0, fmt::format("Reclaim Policy:\t{}\n", spec.At("persistentVolumeReclaimPolicy").AsString()));
  out.Add(0, fmt::format("Access Modes:\t{}\n", AccessModes(spec.At("accessModes"))));
  if (!spec.At("volumeMode").is_null()) out.Add(0, fmt::format("VolumeMode:\t{}\n", GoText(spec.At("volumeMode"))));
  out.Add(0, fmt::format("Capacity:\t{}\n", QuantityOf(spec.Get("capacity", "storage")).ToString()));
  AddNodeAffinity(out, spec.At("nodeAffinity"));
  out.Add(0, fmt::format("Message:\t{}\n", object.tree().Get("status", "message").AsString()));
  out.Add(0, "Source:\n");
  if (!AddVolumeSource(out, spec, true)) out.Add(1, "<unknown>\n");
  out.Events(object);
  return {};
}

}  // namespace knarr::cli
