#include "api/validation/workloads.h"

#include "api/apps_v1.h"
#include "api/label_selector.h"
#include "api/validation/go_form.h"
#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "api/validation/storage.h"
#include "base/names.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

// What a rolling update's number comes to, percentages by their number.
int64_t Amount(const Value& value) {
  std::string_view text = value.AsString();
  if (!text.empty() && !CheckPercent(text).empty()) return 0;
  if (!ConsumeSuffix(text, "%")) return value.AsInt();
  return ParseInt64(text).value_or(0);
}

// True when the selector can be used.
bool ValidateSelector(const Value& spec, std::string_view kind, bool required, Errors& errors) {
  const Path path = SpecPath() / "selector";
  const meta_v1::LabelSelector selector(spec.At("selector"));
  if (!selector) {
    if (required) errors.Required(path);
    return true;
  }
  ValidateLabelSelector(selector, true, path, errors);
  if (selector.match_labels().empty() && selector.match_expressions().empty()) {
    errors.Invalid(path, selector.tree(), "empty selector is invalid for " + std::string(kind));
  }
  return ToLabelSelector(selector).ok();
}

void ValidateTemplateLabels(const LabelSelector& selector, const core_v1::PodTemplateSpec& pod_template,
                            Errors& errors) {
  if (selector.empty() || Matches(selector, pod_template.metadata().labels())) return;
  const Value& labels = pod_template.metadata().tree().At("labels");
  errors.Invalid(SpecPath() / "template" / "metadata" / "labels", labels,
                 "`selector` does not match template `labels`");
}

// Pods of controllers run for ever.
void ValidateLongRunning(const core_v1::PodTemplateSpec& pod_template, std::string_view kind, Errors& errors) {
  const Path spec = SpecPath() / "template" / "spec";
  if (pod_template.spec().restart_policy() != "Always") {
    errors.NotSupported(spec / "restartPolicy", pod_template.spec().restart_policy(), {"Always"});
  }
  if (pod_template.spec().active_deadline_seconds()) {
    errors.Forbidden(spec / "activeDeadlineSeconds",
                     "activeDeadlineSeconds in " + std::string(kind) + " is not Supported");
  }
}

// Replica sets and deployments.
void ValidateSelectedTemplate(const Value& spec, Errors& errors) {
  const meta_v1::LabelSelector selector(spec.At("selector"));
  const core_v1::PodTemplateSpec pod_template(spec.At("template"));
  if (!ValidateSelector(spec, "deployment", true, errors)) {
    return errors.Invalid(SpecPath() / "selector", selector.tree(), "invalid label selector");
  }
  ValidateTemplateLabels(ToLabelSelector(selector).value_or(LabelSelector()), pod_template, errors);
  ValidatePodTemplate(pod_template, SpecPath() / "template", errors);
  ValidateLongRunning(pod_template, "ReplicaSet", errors);
}

void ValidateMetadataOf(const Value& object, Errors& errors, NameRule rule = NameIsSubdomain) {
  ValidateMetadata(object.At("metadata"), true, rule, MetadataPath(), errors);
}
// A generateName of ReplicationControllers is held against nothing but what every name must be.
Problems NameOfReplicationController(std::string_view name, bool prefix) {
  return prefix ? NameIsPathSegment(name, true) : NameIsSubdomain(name, false);
}
void ValidateMetadataUpdateOf(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
}

void ValidateReplicationControllerSpec(const Value& spec, Errors& errors) {
  const core_v1::ReplicationControllerSpec view(spec);
  errors.NonNegative(SpecPath() / "minReadySeconds", view.min_ready_seconds());
  if (view.selector().empty()) errors.Required(SpecPath() / "selector");
  if (!view.replicas()) {
    errors.Required(SpecPath() / "replicas");
  } else {
    errors.NonNegative(SpecPath() / "replicas", *view.replicas());
  }
  if (!view.has_template()) return errors.Required(SpecPath() / "template");
  ValidateTemplateLabels(ToLabelSelector(view.selector()), view.template_(), errors);
  ValidatePodTemplate(view.template_(), SpecPath() / "template", errors);
  ValidateLongRunning(view.template_(), "ReplicationController", errors);
}

void ValidateReplicaSetSpec(const Value& spec, Errors& errors) {
  errors.NonNegative(SpecPath() / "replicas", spec.At("replicas").AsInt());
  errors.NonNegative(SpecPath() / "minReadySeconds", spec.At("minReadySeconds").AsInt());
  ValidateSelectedTemplate(spec, errors);
}

// An update strategy as upstream's own struct prints.
Value GoStrategy(const Value& strategy, doc::Arena& arena) {
  Value shown = Value::Object();
  shown.Set(arena, "Type", Value::Borrow(strategy.At("type").AsString()));
  const Value& rolling = strategy.At("rollingUpdate");
  Value amounts;
  for (const std::string_view name : {"MaxUnavailable", "MaxSurge"}) {
    if (rolling.is_null()) break;
    const Value& amount = rolling.At(name == "MaxSurge" ? "maxSurge" : "maxUnavailable");
    amounts.Set(arena, name, amount.is_null() ? Value::Int(0) : amount);
  }
  shown.Set(arena, "RollingUpdate", amounts);
  return shown;
}

void ValidateStrategy(const Value& strategy, Errors& errors) {
  const Path path = SpecPath() / "strategy";
  const std::string_view type = strategy.At("type").AsString();
  const Value& rolling = strategy.At("rollingUpdate");
  if (type == "Recreate") {
    if (!rolling.is_null()) {
      errors.Forbidden(path / "rollingUpdate", "may not be specified when strategy `type` is 'Recreate'");
    }
    return;
  }
  if (type != "RollingUpdate") {
    doc::Arena arena;
    return errors.NotSupported(path, GoStrategy(strategy, arena), {"Recreate", "RollingUpdate"});
  }
  if (rolling.is_null()) return errors.Required(path / "rollingUpdate", "this should be defaulted and never be nil");
  const Path at = path / "rollingUpdate";
  const Value& unavailable = rolling.At("maxUnavailable");
  const Value& surge = rolling.At("maxSurge");
  ValidateAmount(unavailable, at / "maxUnavailable", errors);
  ValidateAmount(surge, at / "maxSurge", errors);
  if (Amount(unavailable) == 0 && Amount(surge) == 0) {
    errors.Invalid(at / "maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0");
  }
  ValidateAtMostAll(unavailable, at / "maxUnavailable", errors);
}

void ValidateDeploymentSpec(const Value& tree, Errors& errors) {
  const apps_v1::DeploymentSpec spec(tree);
  errors.NonNegative(SpecPath() / "replicas", spec.replicas().value_or(0));
  ValidateSelectedTemplate(tree, errors);
  ValidateStrategy(tree.At("strategy"), errors);
  errors.NonNegative(SpecPath() / "minReadySeconds", spec.min_ready_seconds());
  errors.NonNegative(SpecPath() / "revisionHistoryLimit", spec.revision_history_limit().value_or(0));
  const auto deadline = spec.progress_deadline_seconds();
  if (!deadline) return;
  errors.NonNegative(SpecPath() / "progressDeadlineSeconds", *deadline);
  if (*deadline <= spec.min_ready_seconds()) {
    errors.Invalid(SpecPath() / "progressDeadlineSeconds", *deadline, "must be greater than minReadySeconds");
  }
}

void ValidateDaemonStrategy(const Value& strategy, Errors& errors) {
  const Path path = SpecPath() / "updateStrategy";
  const std::string_view type = strategy.At("type").AsString();
  if (type == "OnDelete") return;
  if (type != "RollingUpdate") {
    doc::Arena arena;
    return errors.NotSupported(path, GoStrategy(strategy, arena), {"RollingUpdate", "OnDelete"});
  }
  const Value& rolling = strategy.At("rollingUpdate");
  const Path at = path / "rollingUpdate";
  if (rolling.is_null()) return errors.Required(at);
  const Value& unavailable = rolling.At("maxUnavailable");
  const Value& surge = rolling.At("maxSurge");
  ValidateAmount(unavailable, at / "maxUnavailable", errors);
  ValidateAmount(surge, at / "maxSurge", errors);
  ValidateAtMostAll(unavailable, at / "maxUnavailable", errors);
  ValidateAtMostAll(surge, at / "maxSurge", errors);
  const bool has_unavailable = Amount(unavailable) != 0;
  const bool has_surge = Amount(surge) != 0;
  if (has_unavailable && has_surge) {
    errors.Invalid(at / "maxSurge", surge, "may not be set when maxUnavailable is non-zero");
  } else if (!has_unavailable && !has_surge) {
    errors.Required(at / "maxUnavailable", "cannot be 0 when maxSurge is 0");
  }
}

void ValidateDaemonSetSpec(const Value& spec, Errors& errors) {
  const meta_v1::LabelSelector selector(spec.At("selector"));
  const core_v1::PodTemplateSpec pod_template(spec.At("template"));
  ValidateLabelSelector(selector, true, SpecPath() / "selector", errors);
  const Result<LabelSelector> matcher = ToLabelSelector(selector);
  if (matcher.ok()) ValidateTemplateLabels(*matcher, pod_template, errors);
  if (selector && selector.match_labels().empty() && selector.match_expressions().empty()) {
    errors.Invalid(SpecPath() / "selector", selector.tree(), "empty selector is invalid for daemonset");
  }
  ValidatePodTemplate(pod_template, SpecPath() / "template", errors);
  ValidateLongRunning(pod_template, "DaemonSet", errors);
  errors.NonNegative(SpecPath() / "minReadySeconds", spec.At("minReadySeconds").AsInt());
  ValidateDaemonStrategy(spec.At("updateStrategy"), errors);
  errors.NonNegative(SpecPath() / "revisionHistoryLimit", spec.At("revisionHistoryLimit").AsInt());
}

void ValidateStatefulStrategy(const Value& strategy, Errors& errors) {
  const Path path = SpecPath() / "updateStrategy";
  const std::string_view type = strategy.At("type").AsString();
  const Value& rolling = strategy.At("rollingUpdate");
  if (type.empty()) {
    errors.Required(path);
  } else if (type == "OnDelete") {
    if (!rolling.is_null()) {
      doc::Arena arena;
      errors.Invalid(path / "rollingUpdate",
                     GoForm(apps_v1::RollingUpdateStatefulSetStrategy::SchemaType(), rolling, arena),
                     "only allowed for updateStrategy 'RollingUpdate'");
    }
  } else if (type != "RollingUpdate") {
    doc::Arena arena;
    errors.Invalid(path, GoForm(apps_v1::StatefulSetUpdateStrategy::SchemaType(), strategy, arena),
                   "must be 'RollingUpdate' or 'OnDelete'");
  } else if (!rolling.is_null()) {
    errors.NonNegative(path / "rollingUpdate" / "partition", rolling.At("partition").AsInt());
  }
}

// The template with the volumes that its claims will give each pod.
doc::Document WithClaimVolumes(const apps_v1::StatefulSetSpec& spec) {
  doc::Document document = doc::Document::Copy(spec.template_().tree());
  core_v1::PodTemplateSpecEdit pod_template(document);
  core_v1::PodSpecEdit pod = pod_template.spec();
  pod.clear_hostname().clear_subdomain();
  for (const core_v1::PersistentVolumeClaim claim : spec.volume_claim_templates()) {
    const std::string_view name = claim.metadata().name();
    for (size_t i = pod.volumes().size(); i-- > 0;) {
      if (pod.volumes()[i].name() == name) pod.volumes().Erase(i);
    }
    core_v1::VolumeEdit volume = pod.add_volumes();
    volume.set_name(name);
    volume.persistent_volume_claim().set_claim_name(name);
  }
  return document;
}

void ValidateStatefulSetSpec(const Value& tree, bool update, Errors& errors) {
  const apps_v1::StatefulSetSpec spec(tree);
  const std::string_view management = spec.pod_management_policy();
  if (management.empty()) {
    errors.Required(SpecPath() / "podManagementPolicy");
  } else if (management != "OrderedReady" && management != "Parallel") {
    errors.Invalid(SpecPath() / "podManagementPolicy", management, "must be 'OrderedReady' or 'Parallel'");
  }
  ValidateStatefulStrategy(tree.At("updateStrategy"), errors);
  const Path retention = SpecPath() / "persistentVolumeClaimRetentionPolicy";
  for (const std::string_view name : {"whenDeleted", "whenScaled"}) {
    const Value& policy = tree.Get("persistentVolumeClaimRetentionPolicy", name);
    if (policy.is_null()) continue;
    if (policy.AsString() != "Retain" && policy.AsString() != "Delete") {
      errors.NotSupported(retention / name, policy.AsString(), {"Retain", "Delete"});
    }
  }
  size_t index = 0;
  for (const core_v1::PersistentVolumeClaim claim : spec.volume_claim_templates()) {
    const Path at = (SpecPath() / "volumeClaimTemplates")[index++] / "spec";
    if (!update) ValidateClaimSpec(claim.spec(), SourceGroups::kChecked, at, errors);
  }
  errors.NonNegative(SpecPath() / "replicas", spec.replicas().value_or(0));
  errors.NonNegative(SpecPath() / "minReadySeconds", spec.min_ready_seconds());
  if (spec.has_ordinals()) errors.NonNegative(SpecPath() / "ordinals.start", spec.ordinals().start());
  if (!update && !spec.service_name().empty()) {
    ValidateDns1123Label(spec.service_name(), SpecPath() / "serviceName", errors);
  }
  const doc::Document with_volumes = WithClaimVolumes(spec);
  const core_v1::PodTemplateSpec pod_template(with_volumes.root);
  if (!ValidateSelector(tree, "statefulset", true, errors)) {
    errors.Invalid(SpecPath() / "selector", tree.At("selector"), "");
  } else {
    ValidateTemplateLabels(ToLabelSelector(spec.selector()).value_or(LabelSelector()), pod_template, errors);
    const Path path = SpecPath() / "template";
    ValidatePodTemplate(pod_template, path, errors);
    ValidateLabels(pod_template.metadata().labels(), path / "labels", errors);
    ValidateAnnotations(pod_template.metadata().annotations(), path / "annotations", errors);
  }
  ValidateLongRunning(spec.template_(), "StatefulSet", errors);
}

}  // namespace

void ValidateAmount(const Value& value, const Path& path, Errors& errors) {
  if (!value.is_string()) return errors.NonNegative(path, value.AsInt());
  for (const std::string& problem : CheckPercent(value.AsString())) errors.Invalid(path, value, problem);
}

void ValidateAtMostAll(const Value& value, const Path& path, Errors& errors) {
  const bool percent = value.is_string() && CheckPercent(value.AsString()).empty();
  if (percent && Amount(value) > 100) errors.Invalid(path, value, "must not be greater than 100%");
}

void ValidateReplicationController(const Value& object, Errors& errors) {
  ValidateMetadataOf(object, errors, NameOfReplicationController);
  ValidateReplicationControllerSpec(object.At("spec"), errors);
}
void ValidateReplicationControllerUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdateOf(object, old, errors);
  ValidateReplicationControllerSpec(object.At("spec"), errors);
}

void ValidateReplicaSet(const Value& object, Errors& errors) {
  ValidateMetadataOf(object, errors);
  ValidateReplicaSetSpec(object.At("spec"), errors);
}
void ValidateReplicaSetUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdateOf(object, old, errors);
  ValidateReplicaSetSpec(object.At("spec"), errors);
  ValidateImmutable(object.Get("spec", "selector"), old.Get("spec", "selector"), SpecPath() / "selector", errors);
}

void ValidateDeployment(const Value& object, Errors& errors) {
  ValidateMetadataOf(object, errors);
  ValidateDeploymentSpec(object.At("spec"), errors);
}
void ValidateDeploymentUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdateOf(object, old, errors);
  ValidateDeploymentSpec(object.At("spec"), errors);
  ValidateImmutable(object.Get("spec", "selector"), old.Get("spec", "selector"), SpecPath() / "selector", errors);
}

void ValidateDaemonSet(const Value& object, Errors& errors) {
  ValidateMetadataOf(object, errors);
  ValidateDaemonSetSpec(object.At("spec"), errors);
}
void ValidateDaemonSetUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdateOf(object, old, errors);
  ValidateImmutable(object.Get("spec", "selector"), old.Get("spec", "selector"), SpecPath() / "selector", errors);
  ValidateDaemonSetSpec(object.At("spec"), errors);
}

void ValidateStatefulSet(const Value& object, Errors& errors) {
  ValidateMetadataOf(object, errors, NameIsLabel);
  ValidateStatefulSetSpec(object.At("spec"), false, errors);
}
void ValidateStatefulSetUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdateOf(object, old, errors);
  ValidateStatefulSetSpec(object.At("spec"), true, errors);
  for (const std::string_view name : {"selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"}) {
    if (object.Get("spec", name).Equals(old.Get("spec", name))) continue;
    return errors.Forbidden(SpecPath(),
                            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
                            "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
                            "'minReadySeconds' are forbidden");
  }
}

void ValidatePodTemplateObject(const Value& object, Errors& errors) {
  ValidateMetadataOf(object, errors);
  ValidatePodTemplate(core_v1::PodTemplateSpec(object.At("template")), Path("template"), errors);
}
void ValidatePodTemplateObjectUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdateOf(object, old, errors);
  ValidatePodTemplate(core_v1::PodTemplateSpec(object.At("template")), Path("template"), errors);
}

void ValidateControllerRevision(const Value& object, Errors& errors) {
  ValidateMetadataOf(object, errors);
  const int64_t revision = object.At("revision").AsInt();
  errors.NonNegative(Path("revision"), revision);
  const Value& data = object.At("data");
  if (data.is_null()) {
    errors.Required(Path("data"), "data is mandatory");
  } else if (!data.is_object()) {
    errors.Required(Path("data"), "data must be a valid JSON object");
  }
}
void ValidateControllerRevisionUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdateOf(object, old, errors);
  ValidateMetadataOf(object, errors);
  errors.NonNegative(Path("revision"), object.At("revision").AsInt());
  ValidateImmutable(object.At("data"), old.At("data"), Path("data"), errors);
}

}  // namespace knarr::api::validation
