// When a job counts as failed or as done: its policies, and the lists of indexes that they and its status have.

#include <optional>
#include <set>

#include "api/validation/batch.h"
#include "api/validation/metadata.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using batch_v1::JobSpec;
using batch_v1::PodFailurePolicyOnExitCodesRequirement;
using batch_v1::PodFailurePolicyRule;
using batch_v1::SuccessPolicyRule;

constexpr size_t kFailureRulesMax = 20;
constexpr size_t kExitCodesMax = 255;
constexpr size_t kConditionsMax = 20;
constexpr size_t kSuccessRulesMax = 20;
constexpr size_t kSucceededIndexesMax = size_t{64} * 1024;

void ValidateExitCodes(const PodFailurePolicyOnExitCodesRequirement& codes,
                       const std::set<std::string_view>& containers, const Path& path, Errors& errors) {
  const std::string_view op = codes.operator_();
  if (op.empty()) {
    errors.Required(path / "operator", R"(valid values: ["In" "NotIn"])");
  } else if (op != "In" && op != "NotIn") {
    errors.NotSupported(path / "operator", op, {"In", "NotIn"});
  }
  if (const auto name = codes.container_name(); name && !containers.contains(*name)) {
    errors.Invalid(path / "containerName", *name,
                   "must be one of the container or initContainer names in the pod template");
  }
  const Path at = path / "values";
  const doc::Value& values = codes.tree().At("values");
  if (values.empty()) {
    errors.Invalid(at, values, "at least one value is required");
  } else if (values.size() > kExitCodesMax) {
    errors.TooMany(at, values.size(), kExitCodesMax);
  }
  std::set<int64_t> seen;
  bool ordered = true;
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t value = values[i].AsInt();
    if (op == "In" && value == 0) errors.Invalid(at[i], value, "must not be 0 for the In operator");
    if (!seen.insert(value).second) errors.Duplicate(at[i], values[i]);
    if (i > 0 && values[i - 1].AsInt() > value) ordered = false;
  }
  if (!ordered) errors.Invalid(at, values, "must be ordered");
}

void ValidateConditionPatterns(const PodFailurePolicyRule& rule, const Path& path, Errors& errors) {
  const auto patterns = rule.on_pod_conditions();
  if (patterns.size() > kConditionsMax) errors.TooMany(path, patterns.size(), kConditionsMax);
  size_t index = 0;
  for (const batch_v1::PodFailurePolicyOnPodConditionsPattern pattern : patterns) {
    const Path at = path[index++];
    ValidateQualifiedName(pattern.type(), at / "type", errors);
    const std::string_view status = pattern.status();
    if (status.empty()) {
      errors.Required(at / "status", R"(valid values: ["False" "True" "Unknown"])");
    } else if (status != "False" && status != "True" && status != "Unknown") {
      errors.NotSupported(at / "status", status, {"False", "True", "Unknown"});
    }
  }
}

void ValidateFailureRule(const JobSpec& spec, const PodFailurePolicyRule& rule,
                         const std::set<std::string_view>& containers, const Path& path, Errors& errors) {
  const std::string_view action = rule.action();
  if (action.empty()) {
    errors.Required(path / "action", R"(valid values: ["Count" "FailIndex" "FailJob" "Ignore"])");
  } else if (action == "FailIndex") {
    if (!spec.backoff_limit_per_index()) {
      errors.Invalid(path / "action", action, "requires the backoffLimitPerIndex to be set");
    }
  } else if (action != "Count" && action != "FailJob" && action != "Ignore") {
    errors.NotSupported(path / "action", action, {"Count", "FailIndex", "FailJob", "Ignore"});
  }
  const bool codes = rule.has_on_exit_codes();
  const bool conditions = !rule.on_pod_conditions().empty();
  if (codes) ValidateExitCodes(rule.on_exit_codes(), containers, path / "onExitCodes", errors);
  if (conditions) ValidateConditionPatterns(rule, path / "onPodConditions", errors);
  if (codes && conditions) {
    errors.InvalidUnshown(path, "specifying both OnExitCodes and OnPodConditions is not supported");
  }
  if (!codes && !conditions) {
    errors.InvalidUnshown(path, "specifying one of OnExitCodes and OnPodConditions is required");
  }
}

void ValidateSuccessRule(const SuccessPolicyRule& rule, int64_t completions, const Path& path, Errors& errors) {
  const auto indexes = rule.succeeded_indexes();
  const auto count = rule.succeeded_count();
  if (!count && !indexes) {
    errors.Required(path, "at least one of succeededCount or succeededIndexes must be specified");
  }
  int64_t total = 0;
  if (indexes) {
    const Path at = path / "succeededIndexes";
    if (indexes->size() > kSucceededIndexesMax) errors.TooLong(at, kSucceededIndexesMax);
    const JobIndexes parsed = JobIndexes::Parse(*indexes, completions);
    if (!parsed.problem.empty()) errors.Invalid(at, *indexes, "error parsing succeededIndexes: " + parsed.problem);
    total = parsed.total;
  }
  if (!count) return;
  const Path at = path / "succeededCount";
  errors.NonNegative(at, *count);
  if (*count > completions) {
    errors.Invalid(
        at, *count,
        "must be less than or equal to " + std::to_string(completions) + " (the number of specified completions)");
  }
  if (indexes && *count > total) {
    errors.Invalid(at, *count,
                   "must be less than or equal to " + std::to_string(total) +
                       " (the number of indexes in the specified succeededIndexes field)");
  }
}

struct Interval {
  int64_t first = 0;
  int64_t last = 0;
  std::string problem;
};

Interval ParseInterval(std::string_view text, int64_t completions) {
  const std::vector<std::string_view> ends = Split(text, '-');
  if (ends.size() > 2) {
    return {.problem = "the fragment " + GoQuote(text) +
                       " violates the requirement that an index interval can have at most two parts separated by '-'"};
  }
  Interval interval;
  int64_t* const places[] = {&interval.first, &interval.last};
  for (size_t i = 0; i < ends.size(); ++i) {
    const Result<int64_t> index = ParseInt64(ends[i]);
    if (!index.ok()) return {.problem = "cannot convert string to integer for index: " + GoQuote(ends[i])};
    if (*index >= completions) return {.problem = "too large index: " + GoQuote(ends[i])};
    *places[i] = *index;
  }
  if (ends.size() == 1) {
    interval.last = interval.first;
  } else if (interval.first >= interval.last) {
    return {.problem = "non-increasing order, previous: " + std::to_string(interval.first) +
                       ", current: " + std::to_string(interval.last)};
  }
  return interval;
}

// The intervals that can be read.
std::vector<Interval> Intervals(std::string_view text, int64_t completions) {
  std::vector<Interval> intervals;
  if (text.empty()) return intervals;
  for (const std::string_view part : Split(text, ',')) {
    Interval interval = ParseInterval(part, completions);
    if (interval.problem.empty()) intervals.push_back(std::move(interval));
  }
  return intervals;
}

}  // namespace

JobIndexes JobIndexes::Parse(std::string_view text, int64_t completions) {
  if (text.empty()) return {};
  JobIndexes indexes;
  std::optional<int64_t> previous;
  for (const std::string_view part : Split(text, ',')) {
    const Interval interval = ParseInterval(part, completions);
    if (!interval.problem.empty()) return {.problem = interval.problem};
    if (previous && *previous >= interval.first) {
      return {.problem = "non-increasing order, previous: " + std::to_string(*previous) +
                         ", current: " + std::to_string(interval.first)};
    }
    indexes.total += interval.last - interval.first + 1;
    previous = interval.last;
  }
  return indexes;
}

std::string JobIndexesOverlap(std::string_view completed, std::string_view failed, int64_t completions) {
  const std::vector<Interval> done = Intervals(completed, completions);
  const std::vector<Interval> bad = Intervals(failed, completions);
  size_t i = 0;
  size_t j = 0;
  while (i < done.size() && j < bad.size()) {
    if (done[i].first <= bad[j].last && bad[j].first <= done[i].last) {
      return "failedIndexes and completedIndexes overlap at index: " +
             std::to_string(std::max(done[i].first, bad[j].first));
    }
    done[i].first <= bad[j].first ? ++i : ++j;
  }
  return {};
}

void ValidatePodFailurePolicy(const JobSpec& spec, const Path& path, Errors& errors) {
  const auto rules = spec.pod_failure_policy().rules();
  const Path at = path / "rules";
  if (rules.size() > kFailureRulesMax) errors.TooMany(at, rules.size(), kFailureRulesMax);
  std::set<std::string_view> containers;
  for (const core_v1::Container container : spec.template_().spec().containers()) containers.insert(container.name());
  for (const core_v1::Container container : spec.template_().spec().init_containers()) {
    containers.insert(container.name());
  }
  size_t index = 0;
  for (const PodFailurePolicyRule rule : rules) ValidateFailureRule(spec, rule, containers, at[index++], errors);
}

void ValidateSuccessPolicy(const JobSpec& spec, const Path& path, Errors& errors) {
  const auto rules = spec.success_policy().rules();
  const Path at = path / "rules";
  if (rules.empty()) errors.Required(at, "at least one rules must be specified when the successPolicy is specified");
  if (rules.size() > kSuccessRulesMax) errors.TooMany(at, rules.size(), kSuccessRulesMax);
  size_t index = 0;
  for (const SuccessPolicyRule rule : rules) {
    ValidateSuccessRule(rule, spec.completions().value_or(0), at[index++], errors);
  }
}

}  // namespace knarr::api::validation
