// What a job's status may say: also of jobs that somebody else than the job controller looks after (managedBy).

#include <set>

#include "api/validation/batch.h"
#include "api/validation/go_form.h"
#include "api/validation/metadata.h"

namespace knarr::api::validation {
namespace {

using batch_v1::Job;
using batch_v1::JobStatus;
using doc::Value;

Path StatusPath() { return Path("status"); }

// A job's conditions, as the rules need them.
struct Conditions {
  explicit Conditions(const JobStatus& status)
      : complete(JobConditionIs(status, "Complete", "True")),
        failed(JobConditionIs(status, "Failed", "True")),
        failure_target(JobConditionIs(status, "FailureTarget", "True")),
        criteria_met(JobConditionIs(status, "SuccessCriteriaMet", "True")) {}
  bool finished() const { return complete || failed; }
  bool complete;
  bool failed;
  bool failure_target;
  bool criteria_met;
};

// The job as it will be and as it is. A rule holds only when something changes that it speaks of: what is wrong already
// must not stand in the way of other changes.
class StatusRules {
 public:
  StatusRules(const Job& job, const Job& old, Errors& errors)
      : job_(job), old_(old), status_(job.status()), now_(job.status()), before_(old.status()), errors_(errors) {}

  void CheckNumbers() const {
    for (const std::string_view name : {"active", "succeeded", "failed", "ready", "terminating"}) {
      errors_.NonNegative(StatusPath() / name, Now(name).AsInt());
    }
    std::set<std::string_view> seen;
    for (const std::string_view list : {"succeeded", "failed"}) {
      size_t index = 0;
      for (const Value& uid : Now("uncountedTerminatedPods").At(list).items()) {
        const Path at = (StatusPath() / "uncountedTerminatedPods" / list)[index++];
        if (uid.AsString().empty()) {
          errors_.Invalid(at, "", "must not be empty");
        } else if (!seen.insert(uid.AsString()).second) {
          errors_.Duplicate(at, uid.AsString());
        }
      }
    }
  }

  void CheckTimes() const {
    const bool complete_changed = now_.complete != before_.complete;
    const bool done_changed = Changed("completionTime");
    const Value& done = Now("completionTime");
    const Path path = StatusPath() / "completionTime";
    if (complete_changed || now_.failed != before_.failed) {
      Refuse(now_.complete && now_.failed, "cannot set Complete=True and Failed=true conditions");
    }
    if (complete_changed || now_.failure_target != before_.failure_target) {
      Refuse(now_.complete && now_.failure_target, "cannot set Complete=True and FailureTarget=true conditions");
    }
    if (complete_changed || done_changed) {
      if (!done.is_null() && !now_.complete) {
        errors_.Invalid(path, done, "cannot set completionTime when there is no Complete=True condition");
      }
      if (done.is_null() && now_.complete) {
        errors_.Required(path, "completionTime is required for Complete jobs");
      }
    }
    if (!Changed("startTime") && !done_changed) return;
    const auto started = status_.start_time();
    const auto ended = status_.completion_time();
    if (started && ended && *ended < *started) errors_.Invalid(path, done, "must be equal to or after `startTime`");
  }

  void CheckFinished() const {
    if (now_.failed != before_.failed || Changed("failedIndexes")) {
      Refuse(now_.failed && !now_.failure_target,
             "cannot set Failed=True condition without the FailureTarget=true condition");
    }
    if (now_.complete != before_.complete || now_.criteria_met != before_.criteria_met) {
      Refuse(now_.complete && !now_.criteria_met,
             "cannot set Complete=True condition without the SuccessCriteriaMet=true condition");
    }
    const bool changed = now_.finished() != before_.finished();
    if ((changed || Changed("active")) && status_.active() > 0 && now_.finished()) {
      errors_.Invalid(StatusPath() / "active", status_.active(), "active>0 is invalid for finished job");
    }
    const bool empty_and_suspended = job_.spec().suspend().value_or(false) && job_.spec().completions() == 0;
    if ((changed || Changed("startTime")) && !empty_and_suspended && !status_.start_time() && now_.finished()) {
      errors_.Required(StatusPath() / "startTime", "startTime is required for finished job");
    }
    const Value& uncounted = Now("uncountedTerminatedPods");
    const bool some = !uncounted.At("failed").empty() || !uncounted.At("succeeded").empty();
    if ((changed || Changed("uncountedTerminatedPods")) && now_.finished() && some) {
      doc::Arena arena;
      errors_.Invalid(StatusPath() / "uncountedTerminatedPods",
                      GoForm(batch_v1::UncountedTerminatedPods::SchemaType(), uncounted, arena),
                      "must be empty for finished job");
    }
  }

  void CheckIndexes() const {
    const auto completions = job_.spec().completions();
    const std::string_view completed = status_.completed_indexes();
    const auto failed = status_.failed_indexes();
    const bool per_index = job_.spec().backoff_limit_per_index().has_value();
    const Path completed_path = StatusPath() / "completedIndexes";
    const Path failed_path = StatusPath() / "failedIndexes";
    if (Changed("completedIndexes") && completions) Parse(completed, *completions, "completedIndexes");
    if (Changed("failedIndexes") && completions && per_index && failed) Parse(*failed, *completions, "failedIndexes");
    const bool indexed = job_.spec().completion_mode().value_or("NonIndexed") == "Indexed";
    if (Changed("completedIndexes") && !completed.empty() && !indexed) {
      errors_.Invalid(completed_path, completed,
                      "cannot set non-empty completedIndexes when non-indexed completion mode");
    }
    if (Changed("failedIndexes") && failed && !per_index) {
      errors_.Invalid(failed_path, *failed, "cannot set non-null failedIndexes when backoffLimitPerIndex is null");
    }
    if ((!Changed("failedIndexes") && !Changed("completedIndexes")) || !completions || !failed) return;
    const std::string overlap = JobIndexesOverlap(completed, *failed, *completions);
    if (!overlap.empty()) errors_.Invalid(failed_path, *failed, overlap);
  }

  void CheckCounts() const {
    const auto terminating = status_.terminating().value_or(0);
    if ((now_.finished() != before_.finished() || Changed("terminating")) && terminating > 0 && now_.finished()) {
      errors_.Invalid(StatusPath() / "terminating", terminating, "terminating>0 is invalid for finished job");
    }
    const auto ready = status_.ready().value_or(0);
    if ((Changed("ready") || Changed("active")) && status_.ready() && ready > status_.active()) {
      errors_.Invalid(StatusPath() / "ready", ready, "cannot set more ready pods than active");
    }
    Refuse(now_.criteria_met && now_.failed, "cannot set SuccessCriteriaMet=True and Failed=true conditions");
    Refuse(now_.criteria_met && now_.failure_target,
           "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions");
    Refuse(job_.spec().has_success_policy() && !now_.criteria_met && now_.complete,
           "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True");
  }

  void CheckChanges() const {
    const auto kept = [this](bool was, bool is, std::string_view type) {
      Refuse(was && !is, "cannot disable the terminal " + std::string(type) + "=True condition");
    };
    kept(before_.failed, now_.failed, "Failed");
    kept(before_.complete, now_.complete, "Complete");
    kept(before_.failure_target, now_.failure_target, "FailureTarget");
    NotLess("failed", true);
    // A job of as many completions as pods at once can be made smaller.
    const bool scaled = job_.spec().completion_mode().value_or("NonIndexed") == "Indexed" &&
                        job_.spec().completions() == job_.spec().parallelism();
    NotLess("succeeded", !scaled);
    if (!Now("completionTime").is_null() && !Before("completionTime").is_null() && Changed("completionTime")) {
      errors_.Invalid(StatusPath() / "completionTime", Now("completionTime"), kImmutable);
    }
    const bool resuming =
        JobConditionIs(old_.status(), "Suspended", "True") && JobConditionIs(status_, "Suspended", "False");
    if (Changed("startTime") && !resuming && !Before("startTime").is_null() && !job_.spec().suspend().value_or(false)) {
      errors_.Invalid(StatusPath() / "startTime", Now("startTime"), "field is immutable for unsuspended job once set");
    }
    Refuse(before_.criteria_met && !now_.criteria_met, "cannot disable the SuccessCriteriaMet=True condition");
    Refuse(before_.complete && !before_.criteria_met && now_.criteria_met,
           "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions");
  }

 private:
  const Value& Now(std::string_view name) const { return job_.status().tree().At(name); }
  const Value& Before(std::string_view name) const { return old_.status().tree().At(name); }
  bool Changed(std::string_view name) const { return !Now(name).Equals(Before(name)); }
  void Refuse(bool wrong, std::string_view why) const {
    if (wrong) errors_.InvalidUnshown(StatusPath() / "conditions", why);
  }
  void Parse(std::string_view text, int64_t completions, std::string_view name) const {
    const JobIndexes indexes = JobIndexes::Parse(text, completions);
    if (indexes.problem.empty()) return;
    errors_.Invalid(StatusPath() / name, text, "error parsing " + std::string(name) + ": " + indexes.problem);
  }
  void NotLess(std::string_view name, bool checked) const {
    if (!checked || Now(name).AsInt() >= Before(name).AsInt()) return;
    errors_.Invalid(StatusPath() / name, Now(name).AsInt(), "cannot decrease the " + std::string(name) + " counter");
  }

  const Job& job_;
  const Job& old_;
  JobStatus status_;
  Conditions now_;
  Conditions before_;
  Errors& errors_;
};

}  // namespace

bool JobConditionIs(const JobStatus& status, std::string_view type, std::string_view value) {
  for (const batch_v1::JobCondition condition : status.conditions()) {
    if (condition.type() == type && condition.status() == value) return true;
  }
  return false;
}

void ValidateJobStatusUpdate(const Value& object, const Value& old_object, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old_object.At("metadata"), MetadataPath(), errors);
  const Job job(object);
  const Job old(old_object);
  const StatusRules rules(job, old, errors);
  rules.CheckNumbers();
  rules.CheckTimes();
  rules.CheckFinished();
  rules.CheckIndexes();
  rules.CheckCounts();
  rules.CheckChanges();
}

}  // namespace knarr::api::validation
