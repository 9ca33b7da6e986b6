// Jobs, what scales and protects pods, and the classes that pods name.

#include <algorithm>
#include <vector>

#include "api/autoscaling_v1.h"
#include "api/autoscaling_v2.h"
#include "api/batch_v1.h"
#include "api/conversion/conversion.h"
#include "api/label_selector.h"
#include "api/printing_columns.h"
#include "api/printing_rows.h"
#include "base/strings.h"

namespace knarr::api::printing {
namespace {

using doc::Value;

constexpr Column kJob[] = {kName,
                           Text("Status", "Whether the job runs, waits or has ended, and how."),
                           Text("Completions", "Pods that have succeeded, of all that have to."),
                           Text("Duration", "How long the job took, or has taken until now."),
                           kAge,
                           kContainers,
                           kImages,
                           kSelector};
constexpr Column kCronJob[] = {kName,
                               Text("Schedule", "When jobs are started, as cron writes it."),
                               Text("Timezone", "The time zone of the schedule."),
                               Flag("Suspend", "Whether no more jobs are started."),
                               Number("Active", "How many jobs are running."),
                               Text("Last Schedule", "The time since a job was last started."),
                               kAge,
                               kContainers,
                               kImages,
                               kSelector};
constexpr Column kAutoscaler[] = {kName,
                                  Text("Reference", "What is scaled."),
                                  Text("Targets", "The metrics, each as it is and as it should be."),
                                  Text("MinPods", "The fewest pods there may be."),
                                  Text("MaxPods", "The most pods there may be."),
                                  Text("Replicas", "How many pods there are."),
                                  kAge};
constexpr Column kDisruptionBudget[] = {kName, Text("Min Available", "How many pods must stay available."),
                                        Text("Max Unavailable", "How many pods may be unavailable."),
                                        Number("Allowed Disruptions", "How many pods may be evicted now."), kAge};
constexpr Column kPriorityClass[] = {kName, Number("Value", "The priority of pods of the class."),
                                     Flag("Global-Default", "Whether pods that name no class are of this one."), kAge,
                                     Text("PreemptionPolicy", "Whether pods of the class may make others give way.")};
constexpr Column kRuntimeClass[] = {kName, Text("Handler", "What the node's runtime calls it."), kAge};

// Whether the first condition of the type is true.
bool HasCondition(const Value& job, std::string_view type) {
  for (const Value& condition : job.Get("status", "conditions").items()) {
    if (condition.At("type").AsString() == type) return condition.At("status").AsString() == "True";
  }
  return false;
}

std::string_view JobStatus(const Value& job) {
  if (HasCondition(job, "Complete")) return "Complete";
  if (HasCondition(job, "Failed")) return "Failed";
  if (!job.Get("metadata", "deletionTimestamp").is_null()) return "Terminating";
  for (const std::string_view type : {"Suspended", "FailureTarget", "SuccessCriteriaMet"}) {
    if (HasCondition(job, type)) return type;
  }
  return "Running";
}

std::string JobCompletions(const batch_v1::Job& job) {
  const std::string done = std::to_string(job.status().succeeded()) + "/";
  if (const auto completions = job.spec().completions()) return done + std::to_string(*completions);
  const int32_t parallelism = job.spec().parallelism().value_or(0);
  return done + (parallelism > 1 ? "1 of " + std::to_string(parallelism) : "1");
}

void PrintJob(const Value& object, Row& row) {
  const batch_v1::Job job(object);
  Name(object, row);
  row.Text(JobStatus(object));
  row.Text(JobCompletions(job));
  const auto started = job.status().start_time();
  row.Text(started ? FormatAge(job.status().completion_time().value_or(row.now()) - *started) : "");
  Age(object, row);
  TemplateContainers(object.Get("spec", "template"), row);
  row.Text(FormatLabelSelector(job.spec().selector()));
}

void PrintCronJob(const Value& object, Row& row) {
  const batch_v1::CronJob job(object);
  Name(object, row);
  row.Text(job.spec().schedule());
  row.Text(job.spec().time_zone().value_or("<none>"));
  const auto suspend = job.spec().suspend();
  row.Text(!suspend ? "<unset>" : *suspend ? "True" : "False");
  row.Number(static_cast<int64_t>(job.status().active().size()));
  const Value& last = object.Get("status", "lastScheduleTime");
  if (last.is_null()) {
    row.Text("<none>");
  } else {
    row.Age(last);
  }
  Age(object, row);
  const Value& spec = object.Get("spec", "jobTemplate", "spec");
  TemplateContainers(spec.At("template"), row);
  row.Text(FormatLabelSelector(meta_v1::LabelSelector(spec.At("selector"))));
}

// A quantity that is not there prints as Go prints it.
std::string QuantityText(const Value& quantity) { return std::string(quantity.AsString("<nil>")); }
std::string PercentText(const Value& percent, std::string_view other) {
  return percent.is_null() ? std::string(other) : std::to_string(percent.AsInt()) + "%";
}

// "cpu: 10%/80%", of the use of a resource.
std::string UseText(const Value& source, const Value& status) {
  const Value& target = source.At("target");
  const Value& current = status.At("current");
  std::string text = std::string(source.At("name").AsString()) + ": ";
  if (!target.At("averageValue").is_null()) {
    text += status.is_null() ? "<unknown>" : QuantityText(current.At("averageValue"));
    return text + "/" + QuantityText(target.At("averageValue"));
  }
  text += PercentText(current.At("averageUtilization"), "<unknown>");
  return text + "/" + PercentText(target.At("averageUtilization"), "<auto>");
}

// "5/10", of something that is measured elsewhere.
std::string AmountText(const Value& source, const Value& status) {
  const Value& target = source.At("target");
  const Value& current = status.At("current");
  if (target.At("averageValue").is_null()) {
    return (status.is_null() ? "<unknown>" : QuantityText(current.At("value"))) + "/" +
           QuantityText(target.At("value"));
  }
  return std::string(current.At("averageValue").AsString("<unknown>")) + "/" + QuantityText(target.At("averageValue")) +
         " (avg)";
}

std::string MetricText(const Value& spec, const Value& status) {
  const std::string_view type = spec.At("type").AsString();
  if (type == "External") return AmountText(spec.At("external"), status.At("external"));
  if (type == "Object") return AmountText(spec.At("object"), status.At("object"));
  if (type == "Resource") return UseText(spec.At("resource"), status.At("resource"));
  if (type == "ContainerResource") return UseText(spec.At("containerResource"), status.At("containerResource"));
  if (type != "Pods") return "<unknown type>";
  const Value& pods = status.At("pods");
  return (pods.is_null() ? "<unknown>" : QuantityText(pods.Get("current", "averageValue"))) + "/" +
         QuantityText(spec.Get("pods", "target", "averageValue"));
}

std::string MetricsText(const Value& autoscaler) {
  constexpr size_t kShownMax = 2;
  const Value& specs = autoscaler.Get("spec", "metrics");
  const Value& statuses = autoscaler.Get("status", "currentMetrics");
  if (specs.empty()) return "<none>";
  std::vector<std::string> texts;
  for (size_t i = 0; i < std::min(specs.size(), kShownMax); ++i) {
    texts.push_back(MetricText(specs[i], i < statuses.size() ? statuses[i] : Value::Null()));
  }
  const std::string text = Join(texts, ", ");
  if (specs.size() <= kShownMax) return text;
  return text + " + " + std::to_string(specs.size() - kShownMax) + " more...";
}

void PrintAutoscaler(const Value& object, Row& row) {
  Name(object, row);
  const Value& spec = object.At("spec");
  row.Text(std::string(spec.Get("scaleTargetRef", "kind").AsString()) + "/" +
           std::string(spec.Get("scaleTargetRef", "name").AsString()));
  row.Text(MetricsText(object));
  const Value& least = spec.At("minReplicas");
  row.Text(least.is_null() ? "<unset>" : std::to_string(least.AsInt()));
  row.Number(spec.At("maxReplicas").AsInt());
  row.Number(object.Get("status", "currentReplicas").AsInt());
  Age(object, row);
}

// All versions look alike. Conversion of a canonical object does not fail.
void PrintOldAutoscaler(const Value& object, Row& row) {
  const doc::Document v2 = MUST(ConvertKind(object, autoscaling_v1::HorizontalPodAutoscalerInfo(),
                                            autoscaling_v2::HorizontalPodAutoscalerInfo()));
  PrintAutoscaler(v2.root, row);
}

void Amount(const Value& amount, Row& row) {
  if (amount.is_null()) return row.Text("N/A");
  row.Text(amount.is_string() ? std::string(amount.AsString()) : std::to_string(amount.AsInt()));
}

void PrintDisruptionBudget(const Value& object, Row& row) {
  Name(object, row);
  Amount(object.Get("spec", "minAvailable"), row);
  Amount(object.Get("spec", "maxUnavailable"), row);
  row.Number(object.Get("status", "disruptionsAllowed").AsInt());
  Age(object, row);
}

void PrintPriorityClass(const Value& object, Row& row) {
  Name(object, row);
  row.Number(object.At("value").AsInt());
  row.Flag(object.At("globalDefault").AsBool());
  Age(object, row);
  row.Text(object.At("preemptionPolicy").AsString());
}

void PrintRuntimeClass(const Value& object, Row& row) {
  Name(object, row);
  row.Text(object.At("handler").AsString());
  Age(object, row);
}

constexpr Entry kEntries[] = {
    {"batch/v1", "Job", kJob, PrintJob},
    {"batch/v1", "CronJob", kCronJob, PrintCronJob},
    {"autoscaling/v1", "HorizontalPodAutoscaler", kAutoscaler, PrintOldAutoscaler},
    {"autoscaling/v2", "HorizontalPodAutoscaler", kAutoscaler, PrintAutoscaler},
    {"policy/v1", "PodDisruptionBudget", kDisruptionBudget, PrintDisruptionBudget},
    {"scheduling/v1", "PriorityClass", kPriorityClass, PrintPriorityClass},
    {"node/v1", "RuntimeClass", kRuntimeClass, PrintRuntimeClass},
};

}  // namespace

std::span<const Entry> WorkloadEntries() { return kEntries; }

}  // namespace knarr::api::printing
