#pragma once

// Jobs and CronJobs. Internal to api/validation.

#include "api/batch_v1.h"
#include "api/validation/errors.h"
#include "doc/value.h"

namespace knarr::api::validation {

/// Of a job or of a cron job's template, whose selector is made later.
void ValidateJobSpecFields(const batch_v1::JobSpec& spec, const Path& path, Errors& errors);
void ValidatePodFailurePolicy(const batch_v1::JobSpec& spec, const Path& path, Errors& errors);
void ValidateSuccessPolicy(const batch_v1::JobSpec& spec, const Path& path, Errors& errors);

/// "1,3-5" as a job's status has it.
struct JobIndexes {
  int64_t total = 0;
  /// What is wrong with the text, or "".
  std::string problem;
  static JobIndexes Parse(std::string_view text, int64_t completions);
};
/// What is wrong when an index is in both lists, or "".
std::string JobIndexesOverlap(std::string_view completed, std::string_view failed, int64_t completions);

bool JobConditionIs(const batch_v1::JobStatus& status, std::string_view type, std::string_view value);

void ValidateJob(const doc::Value& object, Errors& errors);
void ValidateJobUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateJobStatusUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateCronJob(const doc::Value& object, Errors& errors);
void ValidateCronJobUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

}  // namespace knarr::api::validation
