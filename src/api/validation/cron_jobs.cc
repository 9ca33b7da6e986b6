#include <algorithm>

#include "api/validation/batch.h"
#include "api/validation/metadata.h"
#include "base/cron.h"
#include "base/strings.h"
#include "base/time_zones.h"

namespace knarr::api::validation {
namespace {

using batch_v1::CronJob;
using batch_v1::CronJobSpec;
using doc::Value;

// A job's name has 11 more characters than the cron job's, and fits into a label.
constexpr size_t kNameMax = 52;
constexpr size_t kZonePartMax = 14;

bool NamesZone(std::string_view schedule) { return schedule.find("TZ") != std::string_view::npos; }

void ValidateSchedule(const CronJobSpec& spec, bool zone_allowed, const Path& path, Errors& errors) {
  const std::string_view schedule = spec.schedule();
  if (schedule.empty()) return errors.Required(path);
  const Result<CronSchedule> parsed = CronSchedule::Parse(schedule);
  if (!parsed.ok()) errors.Invalid(path, schedule, parsed.status().message());
  if (!NamesZone(schedule)) return;
  if (!zone_allowed) {
    errors.Invalid(path, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
  } else if (spec.time_zone()) {
    errors.Invalid(path, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule");
  }
}

bool IsZonePart(std::string_view part) {
  if (part == "." || part == ".." || part.starts_with('-') || part.empty() || part.size() > kZonePartMax) return false;
  return std::ranges::all_of(part, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_' || c == '+';
  });
}

void ValidateTimeZone(std::string_view zone, const Path& path, Errors& errors) {
  if (zone.empty()) return errors.Invalid(path, zone, "timeZone must be nil or non-empty string");
  if (!std::ranges::all_of(Split(zone, '/'), IsZonePart)) {
    return errors.Invalid(path, zone, "unknown time zone " + std::string(zone));
  }
  if (EqualIgnoreCase(zone, "Local")) {
    errors.Invalid(path, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
  }
  if (!IsTimeZone(zone)) errors.Invalid(path, zone, UnknownTimeZone(zone));
}

void ValidateTemplate(const batch_v1::JobTemplateSpec& job, const Path& path, Errors& errors) {
  ValidateJobSpecFields(job.spec(), path / "spec", errors);
  if (job.spec().has_selector()) {
    errors.Invalid(path / "spec" / "selector", job.spec().selector().tree(), "`selector` will be auto-generated");
  }
  if (job.spec().manual_selector().value_or(false)) {
    errors.NotSupported(path / "spec" / "manualSelector", Value::Bool(true), {"nil", "false"});
  }
}

void ValidateSpec(const CronJobSpec& spec, const CronJobSpec* old, Errors& errors) {
  const bool zone_allowed = old != nullptr && NamesZone(old->schedule());
  ValidateSchedule(spec, zone_allowed, SpecPath() / "schedule", errors);
  errors.NonNegative(SpecPath() / "startingDeadlineSeconds", spec.starting_deadline_seconds().value_or(0));
  const auto zone = spec.time_zone();
  if (zone && (old == nullptr || old->time_zone() != zone)) ValidateTimeZone(*zone, SpecPath() / "timeZone", errors);
  errors.OneOf(SpecPath() / "concurrencyPolicy", spec.concurrency_policy(), {"Allow", "Forbid", "Replace"});
  ValidateTemplate(spec.job_template(), SpecPath() / "jobTemplate", errors);
  errors.NonNegative(SpecPath() / "successfulJobsHistoryLimit", spec.successful_jobs_history_limit().value_or(0));
  errors.NonNegative(SpecPath() / "failedJobsHistoryLimit", spec.failed_jobs_history_limit().value_or(0));
}

}  // namespace

void ValidateCronJob(const Value& object, Errors& errors) {
  const CronJob job(object);
  ValidateMetadata(object.At("metadata"), true, NameIsSubdomain, MetadataPath(), errors);
  ValidateSpec(job.spec(), nullptr, errors);
  if (job.metadata().name().size() > kNameMax) {
    errors.Invalid(MetadataPath() / "name", job.metadata().name(), "must be no more than 52 characters");
  }
}

void ValidateCronJobUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  const CronJobSpec before(old.At("spec"));
  ValidateSpec(CronJobSpec(object.At("spec")), &before, errors);
}

}  // namespace knarr::api::validation
