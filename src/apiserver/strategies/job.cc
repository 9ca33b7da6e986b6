// Jobs and CronJobs.

#include <algorithm>
#include <iterator>
#include <utility>

#include "api/batch_v1.h"
#include "api/warnings.h"
#include "apiserver/strategies/record.h"
#include "apiserver/strategies/pod_fields.h"
#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

// Indexed jobs so large that their status may have no room for all indexes.
constexpr int64_t kManyCompletions = 100'000;
constexpr int64_t kManyPods = 10'000;

std::vector<std::string> JobSpecWarnings(const Value& tree, const std::string& path) {
  const api::batch_v1::JobSpec spec(tree);
  std::vector<std::string> warnings;
  const bool large = spec.completions().value_or(0) > kManyCompletions && spec.parallelism().value_or(0) > kManyPods;
  if (spec.completion_mode().value_or("") == "Indexed" && large) {
    warnings.push_back(
        path +
        ": In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than "
        "10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail");
  }
  std::ranges::move(api::WarningsOfPod(path + ".template", tree.At("template")), std::back_inserter(warnings));
  return warnings;
}

constexpr std::string_view kNameUse = "Pod names and hostnames";

// The labels that tell a job's pods from all others, and the selector that picks them. A job without labels of its own
// has those of its pods, these too: upstream lets them share one map, and so do the defaults here.
void GenerateSelector(doc::Document& object) {
  doc::Arena& arena = object.arena;
  const auto object_at = [&arena](Value& parent, std::string_view member) -> Value& {
    Value& value = parent.Ensure(arena, member);
    if (!value.is_object()) value = Value::Object();
    return value;
  };
  const auto add = [&arena](Value& labels, std::string_view label, const Value& value) {
    if (labels.Find(label) == nullptr) labels.Set(arena, label, value);
  };
  const Value name = Metadata(object).At("name");
  const Value uid = Metadata(object).At("uid");
  Value& spec = object_at(object.root, "spec");
  Value& labels = object_at(object_at(object_at(spec, "template"), "metadata"), "labels");
  const Value own = std::as_const(object.root).Get("metadata", "labels");
  const bool shared = own.empty() || own.members().data() == std::as_const(labels).members().data();
  add(labels, "job-name", name);
  add(labels, "batch.kubernetes.io/job-name", name);
  add(labels, "controller-uid", uid);
  add(labels, "batch.kubernetes.io/controller-uid", uid);
  const Value all = labels;
  add(object_at(object_at(spec, "selector"), "matchLabels"), "batch.kubernetes.io/controller-uid", uid);
  if (shared) Metadata(object).Set(arena, "labels", all.Clone(arena));
}

class JobStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  // Pods stay when their job is deleted, unless told otherwise: older than garbage collection.
  GcPolicy gc_policy() const override { return GcPolicy::kOrphan; }
  std::vector<std::string> DeleteWarnings() const override {
    return {
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or "
        "set propagationPolicy=Orphan to suppress this warning"};
  }

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    DropDisabledPodFields(object);
    TRY(Strategy::PrepareForCreate(context, object));
    if (!object.root.Get("spec", "manualSelector").AsBool()) GenerateSelector(object);
    return {};
  }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    DropDisabledPodFields(object);
    return Strategy::PrepareForUpdate(context, target, object, old);
  }

  std::vector<std::string> Warnings(Target target, const Value& object, const Value* old) const override {
    if (target != Target::kObject) return {};
    std::vector<std::string> warnings;
    if (old == nullptr) warnings = api::WarningsOfHostName(object.Get("metadata", "name").AsString(), kNameUse);
    if (old != nullptr && object.At("spec").Equals(old->At("spec"))) return warnings;
    std::ranges::move(JobSpecWarnings(object.At("spec"), "spec"), std::back_inserter(warnings));
    return warnings;
  }
};

class CronJobStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  std::vector<std::string> Warnings(Target target, const Value& object, const Value* old) const override {
    if (target != Target::kObject) return {};
    std::vector<std::string> warnings;
    if (old == nullptr) warnings = api::WarningsOfHostName(object.Get("metadata", "name").AsString(), kNameUse);
    const Value& spec = object.At("spec");
    if (old == nullptr || !spec.Equals(old->At("spec"))) {
      std::ranges::move(JobSpecWarnings(spec.Get("jobTemplate", "spec"), "spec.jobTemplate.spec"),
                        std::back_inserter(warnings));
    }
    if (old != nullptr && spec.At("schedule").AsString().find("TZ") != std::string_view::npos) {
      warnings.emplace_back(
          "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see "
          "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details");
    }
    return warnings;
  }
};

}  // namespace

std::unique_ptr<Strategy> MakeJobStrategy(const api::KindInfo& kind) {
  if (kind.plural == "cronjobs") return std::make_unique<CronJobStrategy>(kind);
  return std::make_unique<JobStrategy>(kind);
}

}  // namespace knarr::apiserver
