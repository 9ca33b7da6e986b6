#include "api/label_selector.h"
#include "api/validation/batch.h"
#include "api/validation/go_form.h"
#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "base/names.h"

namespace knarr::api::validation {
namespace {

using batch_v1::Job;
using batch_v1::JobSpec;
using doc::Value;

constexpr int64_t kIndexedParallelismMax = 100'000;
constexpr int64_t kFailedIndexesMax = 100'000;
constexpr int64_t kManyCompletions = 100'000;
constexpr int64_t kParallelismMaxForMany = 10'000;
constexpr int64_t kFailedIndexesMaxForMany = 10'000;
constexpr size_t kManagedByMax = 63;

constexpr std::string_view kJobName = "batch.kubernetes.io/job-name";
constexpr std::string_view kControllerUid = "batch.kubernetes.io/controller-uid";
constexpr std::string_view kOldJobName = "job-name";
constexpr std::string_view kOldControllerUid = "controller-uid";

bool IsIndexed(const JobSpec& spec) { return spec.completion_mode().value_or("NonIndexed") == "Indexed"; }

std::string AtMost(int64_t most) { return "must be less than or equal to " + std::to_string(most); }

void ValidateNumbers(const JobSpec& spec, const Path& path, Errors& errors) {
  for (const std::string_view name : {"parallelism", "completions", "activeDeadlineSeconds", "backoffLimit",
                                      "ttlSecondsAfterFinished", "backoffLimitPerIndex", "maxFailedIndexes"}) {
    errors.NonNegative(path / name, spec.tree().At(name).AsInt());
  }
  if (spec.max_failed_indexes() && !spec.backoff_limit_per_index()) {
    errors.Required(path / "backoffLimitPerIndex", "when maxFailedIndexes is specified");
  }
  if (const auto manager = spec.managed_by()) {
    ValidateDomainPrefixedPath(*manager, path / "managedBy", errors);
    if (manager->size() > kManagedByMax) errors.TooLong(path / "managedBy", kManagedByMax);
  }
}

// So many indexes fit into a status only when few of them fail.
void ValidateManyCompletions(const JobSpec& spec, const Path& path, Errors& errors) {
  if (spec.completions().value_or(0) <= kManyCompletions || !spec.backoff_limit_per_index()) return;
  const std::string why =
      " when completions are above " + std::to_string(kManyCompletions) + " and used with backoff limit per index";
  const auto failed = spec.max_failed_indexes();
  if (!failed) {
    errors.Required(path / "maxFailedIndexes",
                    "must be specified when completions is above " + std::to_string(kManyCompletions));
  }
  if (spec.parallelism().value_or(0) > kParallelismMaxForMany) {
    errors.Invalid(path / "parallelism", *spec.parallelism(), AtMost(kParallelismMaxForMany) + why);
  }
  if (failed.value_or(0) > kFailedIndexesMaxForMany) {
    errors.Invalid(path / "maxFailedIndexes", *failed, AtMost(kFailedIndexesMaxForMany) + why);
  }
}

void ValidateIndexed(const JobSpec& spec, const Path& path, Errors& errors) {
  const auto failed = spec.max_failed_indexes();
  if (!spec.completions()) errors.Required(path / "completions", "when completion mode is Indexed");
  if (spec.parallelism().value_or(0) > kIndexedParallelismMax) {
    errors.Invalid(path / "parallelism", *spec.parallelism(),
                   AtMost(kIndexedParallelismMax) + " when completion mode is Indexed");
  }
  if (spec.completions() && failed && *failed > *spec.completions()) {
    errors.Invalid(path / "maxFailedIndexes", *failed, "must be less than or equal to completions");
  }
  if (failed.value_or(0) > kFailedIndexesMax) {
    errors.Invalid(path / "maxFailedIndexes", *failed, AtMost(kFailedIndexesMax));
  }
  ValidateManyCompletions(spec, path, errors);
}

void ValidateCompletionMode(const JobSpec& spec, const Path& path, Errors& errors) {
  const std::string_view mode = spec.completion_mode().value_or("NonIndexed");
  if (mode != "NonIndexed" && mode != "Indexed") {
    errors.NotSupported(path / "completionMode", mode, {"NonIndexed", "Indexed"});
  }
  if (mode == "Indexed") ValidateIndexed(spec, path, errors);
  if (mode != "NonIndexed") return;
  for (const std::string_view name : {"backoffLimitPerIndex", "maxFailedIndexes"}) {
    const Value& value = spec.tree().At(name);
    if (!value.is_null()) errors.Invalid(path / name, value, "requires indexed completion mode");
  }
}

void ValidatePolicies(const JobSpec& spec, const Path& path, Errors& errors) {
  if (spec.has_pod_failure_policy()) ValidatePodFailurePolicy(spec, path / "podFailurePolicy", errors);
  if (spec.has_success_policy()) {
    if (IsIndexed(spec)) {
      ValidateSuccessPolicy(spec, path / "successPolicy", errors);
    } else {
      doc::Arena arena;
      const Value shown = GoForm(batch_v1::SuccessPolicy::SchemaType(), spec.success_policy().tree(), arena);
      errors.Invalid(path / "successPolicy", shown, "requires indexed completion mode");
    }
  }
  const auto replacement = spec.pod_replacement_policy();
  if (!replacement || *replacement == "Failed") return;
  if (spec.has_pod_failure_policy()) {
    errors.NotSupported(path / "podReplacementPolicy", *replacement, {"Failed"});
  } else if (*replacement != "TerminatingOrFailed") {
    errors.NotSupported(path / "podReplacementPolicy", *replacement, {"Failed", "TerminatingOrFailed"});
  }
}

void ValidateRestartPolicy(const JobSpec& spec, const Path& path, Errors& errors) {
  const std::string_view policy = spec.template_().spec().restart_policy();
  if (policy == "Always" || policy.empty()) {
    errors.Required(path, R"(valid values: "OnFailure", "Never")");
  } else if (policy != "OnFailure" && policy != "Never") {
    errors.NotSupported(path, policy, {"OnFailure", "Never"});
  } else if (spec.has_pod_failure_policy() && policy != "Never") {
    errors.Invalid(path, policy, R"(only "Never" is supported when podFailurePolicy is specified)");
  }
}

struct JobOptions {
  bool strict_selector = true;
  bool prefixed_labels = true;
};

void ValidateSelectedSpec(const JobSpec& spec, const JobOptions& options, Errors& errors) {
  ValidateJobSpecFields(spec, SpecPath(), errors);
  if (!spec.has_selector()) {
    errors.Required(SpecPath() / "selector");
  } else {
    ValidateLabelSelector(spec.selector(), options.strict_selector, SpecPath() / "selector", errors);
  }
  const Result<LabelSelector> selector = ToLabelSelector(spec.selector());
  const meta_v1::ObjectMeta metadata = spec.template_().metadata();
  if (!selector.ok() || Matches(*selector, metadata.labels())) return;
  errors.Invalid(SpecPath() / "template" / "metadata" / "labels", metadata.tree().At("labels"),
                 "`selector` does not match template `labels`");
}

// A missing or a wrong value.
void ValidateHasLabel(const Job& job, std::string_view label, std::string_view want, Errors& errors) {
  const Path path = SpecPath() / "template" / "metadata" / "labels";
  const auto value = job.spec().template_().metadata().labels().Find(label);
  if (!value) {
    errors.Required(path.Key(label), "must be '" + std::string(want) + "'");
  } else if (*value != want) {
    errors.Invalid(path.Key(label), job.spec().template_().metadata().tree().At("labels"),
                   "must be '" + std::string(want) + "'");
  }
}

void ValidateGeneratedSelector(const Job& job, const JobOptions& options, Errors& errors) {
  if (job.spec().manual_selector().value_or(false) || !job.spec().has_selector()) return;
  const std::string_view uid = job.metadata().uid();
  const std::string_view name = job.metadata().name();
  if (uid.empty()) errors.Required(MetadataPath() / "uid");
  doc::Document labels;
  const auto expect = [&](std::string_view label, std::string_view want) {
    ValidateHasLabel(job, label, want, errors);
    labels.root.Set(labels.arena, label, Value::Borrow(want));
  };
  expect(kOldControllerUid, uid);
  expect(kOldJobName, name);
  if (options.prefixed_labels) {
    expect(kControllerUid, uid);
    expect(kJobName, name);
  }
  const Result<LabelSelector> selector = ToLabelSelector(job.spec().selector());
  if (selector.ok() && !Matches(*selector, StringMap(labels.root))) {
    errors.Invalid(SpecPath() / "selector", job.spec().selector().tree(), "`selector` not auto-generated");
  }
}

void ValidateWhole(const Job& job, const JobOptions& options, Errors& errors) {
  ValidateMetadata(job.metadata().tree(), true, NameIsSubdomain, MetadataPath(), errors);
  ValidateGeneratedSelector(job, options, errors);
  ValidateSelectedSpec(job.spec(), options, errors);
  if (!IsIndexed(job.spec()) || job.spec().completions().value_or(0) <= 0) return;
  // The pods of indexed jobs have the index behind the job's name in their host names.
  const std::string last = std::string(job.metadata().name()) + "-" + std::to_string(*job.spec().completions() - 1);
  if (CheckDns1123Label(last).empty()) return;
  errors.Invalid(MetadataPath() / "name", job.metadata().name(),
                 "will not able to create pod with invalid DNS label: " + last);
}

// Takes what a suspended job's template may change from the new one: node affinity, node selector, tolerations, gates,
// labels and annotations.
void TakeSchedulingDirectives(Value& old, const Value& now, doc::Arena& arena) {
  Value& spec = old.Ensure(arena, "spec");
  const Value& new_affinity = now.Get("spec", "affinity");
  if (new_affinity.is_null()) {
    if (Value* affinity = spec.Find("affinity")) {
      affinity->Remove("nodeAffinity");
      if (affinity->empty()) spec.Remove("affinity");
    }
  } else {
    Value& affinity = spec.Ensure(arena, "affinity");
    if (affinity.is_null()) affinity = Value::Object();
    affinity.Remove("nodeAffinity");
    const Value& node = new_affinity.At("nodeAffinity");
    if (!node.is_null()) affinity.Set(arena, "nodeAffinity", node);
  }
  const auto take = [&arena](Value& to, const Value& from, std::string_view name) {
    to.Remove(name);
    if (const Value* value = from.Find(name)) to.Set(arena, name, *value);
  };
  for (const std::string_view name : {"nodeSelector", "tolerations", "schedulingGates"}) {
    take(spec, now.At("spec"), name);
  }
  Value& metadata = old.Ensure(arena, "metadata");
  for (const std::string_view name : {"labels", "annotations"}) take(metadata, now.At("metadata"), name);
}

void TakeResources(Value& old, const Value& now, std::string_view list, doc::Arena& arena) {
  Value* before = old.Find(list);
  const Value& containers = now.At(list);
  if (before == nullptr || before->size() != containers.size()) return;
  for (size_t i = 0; i < containers.size(); ++i) {
    if (!(*before)[i].At("name").Equals(containers[i].At("name"))) continue;
    (*before)[i].Set(arena, "resources", containers[i].At("resources"));
  }
}

void ValidateTemplateUpdate(const Job& job, const Job& old, Errors& errors) {
  const bool suspended = old.spec().suspend().value_or(false);
  const bool idle = !old.status().start_time() || JobConditionIs(old.status(), "Suspended", "True");
  const bool may_change = suspended && idle && old.status().active() == 0;
  const Value& now = job.spec().template_().tree();
  doc::Document before = doc::Document::Copy(old.spec().template_().tree());
  if (may_change) TakeSchedulingDirectives(before.root, now, before.arena);
  const Path path = SpecPath() / "template";
  if (!may_change) {
    if (!now.Equals(before.root)) {
      errors.Invalid(path, GoForm(core_v1::PodTemplateSpec::SchemaType(), now, before.arena), kImmutable);
    }
    return;
  }
  Value& spec = before.root.Ensure(before.arena, "spec");
  TakeResources(spec, now.At("spec"), "containers", before.arena);
  TakeResources(spec, now.At("spec"), "initContainers", before.arena);
  if (now.At("spec").Equals(spec)) return;
  errors.Invalid(path / "spec", GoForm(core_v1::PodSpec::SchemaType(), now.At("spec"), before.arena), kImmutable);
}

void ValidateImmutableMessage(const Value& now, const Value& before, const Type& type, const Path& path,
                              Errors& errors) {
  doc::Arena arena;
  if (!now.Equals(before)) errors.Invalid(path, GoForm(type, now, arena), kImmutable);
}

void ValidateCompletionsUpdate(const JobSpec& spec, const JobSpec& old, Errors& errors) {
  const Path path = SpecPath() / "completions";
  const Value& value = spec.tree().At("completions");
  if (!IsIndexed(spec)) return ValidateImmutable(value, old.tree().At("completions"), path, errors);
  if (value.is_null() || value.Equals(old.tree().At("completions"))) return;
  if (spec.completions() == spec.parallelism()) return;
  errors.Invalid(path, value, "can only be modified in tandem with spec.parallelism");
}

void ValidateSpecUpdate(const Job& job, const Job& old, Errors& errors) {
  const Value& now = job.spec().tree();
  const Value& before = old.spec().tree();
  const auto immutable = [&](std::string_view name) {
    ValidateImmutable(now.At(name), before.At(name), SpecPath() / name, errors);
  };
  ValidateCompletionsUpdate(job.spec(), old.spec(), errors);
  immutable("selector");
  ValidateTemplateUpdate(job, old, errors);
  immutable("completionMode");
  ValidateImmutableMessage(now.At("podFailurePolicy"), before.At("podFailurePolicy"),
                           batch_v1::PodFailurePolicy::SchemaType(), SpecPath() / "podFailurePolicy", errors);
  immutable("backoffLimitPerIndex");
  immutable("managedBy");
  ValidateImmutableMessage(now.At("successPolicy"), before.At("successPolicy"), batch_v1::SuccessPolicy::SchemaType(),
                           SpecPath() / "successPolicy", errors);
}

}  // namespace

void ValidateJobSpecFields(const JobSpec& spec, const Path& path, Errors& errors) {
  ValidateNumbers(spec, path, errors);
  ValidateCompletionMode(spec, path, errors);
  ValidatePolicies(spec, path, errors);
  ValidatePodTemplate(spec.template_(), path / "template", errors);
  ValidateRestartPolicy(spec, path / "template" / "spec" / "restartPolicy", errors);
}

void ValidateJob(const Value& object, Errors& errors) { ValidateWhole(Job(object), {}, errors); }

void ValidateJobUpdate(const Value& object, const Value& old_object, Errors& errors) {
  const Job job(object);
  const Job old(old_object);
  const StringMap old_labels = old.spec().template_().metadata().labels();
  const JobOptions options = {.strict_selector = !HasInvalidLabelValue(old.spec().selector()),
                              .prefixed_labels = old_labels.Has(kJobName) && old_labels.Has(kControllerUid)};
  ValidateWhole(job, options, errors);
  ValidateMetadataUpdate(object.At("metadata"), old_object.At("metadata"), MetadataPath(), errors);
  ValidateSpecUpdate(job, old, errors);
}

}  // namespace knarr::api::validation
