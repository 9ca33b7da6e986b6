#include "apiserver/strategies/pod_fields.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

Value* PodSpecOf(Value& object) {
  Value* spec = object.Find("spec");
  if (spec == nullptr) return nullptr;
  // CronJobs have a job's template around the pod's.
  if (Value* job = spec->Find("jobTemplate")) return PodSpecOf(*job);
  Value* pod_template = spec->Find("template");
  return pod_template == nullptr ? spec : pod_template->Find("spec");
}

}  // namespace

void DropDisabledPodFields(doc::Document& object) {
  if (Value* spec = PodSpecOf(object.root); spec != nullptr && spec->is_object()) spec->Remove("schedulingGroup");
}

}  // namespace knarr::apiserver
