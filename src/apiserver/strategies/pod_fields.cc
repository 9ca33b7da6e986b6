#include "apiserver/strategies/pod_fields.h"

#include <string_view>

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

void DropFromContainers(Value& spec, std::string_view list) {
  Value* containers = spec.Find(list);
  if (containers == nullptr || !containers->is_array()) return;
  for (Value& container : containers->items()) {
    if (!container.is_object()) continue;
    if (Value* lifecycle = container.Find("lifecycle"); lifecycle != nullptr && lifecycle->is_object()) {
      lifecycle->Remove("stopSignal");
    }
  }
}

void DropFromVolumes(Value& spec) {
  Value* volumes = spec.Find("volumes");
  if (volumes == nullptr || !volumes->is_array()) return;
  for (Value& volume : volumes->items()) {
    Value* projected = volume.is_object() ? volume.Find("projected") : nullptr;
    Value* sources = projected == nullptr || !projected->is_object() ? nullptr : projected->Find("sources");
    if (sources == nullptr || !sources->is_array()) continue;
    for (Value& source : sources->items()) {
      if (source.is_object()) source.Remove("clusterTrustBundle");
    }
  }
}

}  // namespace

void DropDisabledPodFields(doc::Document& object) {
  Value* spec = PodSpecOf(object.root);
  if (spec == nullptr || !spec->is_object()) return;
  spec->Remove("schedulingGroup");
  for (const std::string_view list : {"containers", "initContainers", "ephemeralContainers"}) {
    DropFromContainers(*spec, list);
  }
  DropFromVolumes(*spec);
}

}  // namespace knarr::apiserver
