// What a pod's claims allow (scheduler/volumes.h).

#include "scheduler/plugins/plugins.h"
#include "scheduler/volumes.h"

namespace knarr::scheduler {
namespace {

class VolumeRestrictions : public Filter {
 public:
  std::string_view name() const override { return "VolumeRestrictions"; }
  std::vector<std::string> Reasons(const PodInfo& pod, const NodeInfo& /*node*/) const override {
    if (pod.volumes == nullptr || !pod.volumes->exclusive_taken) return {};
    return {
        "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another "
        "pod"};
  }
};

class VolumeBinding : public Filter {
 public:
  std::string_view name() const override { return "VolumeBinding"; }
  std::vector<std::string> Reasons(const PodInfo& pod, const NodeInfo& node) const override {
    if (pod.volumes == nullptr) return {};
    return PlanVolumes(*pod.volumes, node.text()).reasons;
  }
};

class VolumeZone : public Filter {
 public:
  std::string_view name() const override { return "VolumeZone"; }
  std::vector<std::string> Reasons(const PodInfo& pod, const NodeInfo& node) const override {
    if (pod.volumes == nullptr || InZone(*pod.volumes, node.text())) return {};
    return {"node(s) had no available volume zone"};
  }
};

}  // namespace

std::unique_ptr<Filter> MakeVolumeRestrictions() { return std::make_unique<VolumeRestrictions>(); }
std::unique_ptr<Filter> MakeVolumeBinding() { return std::make_unique<VolumeBinding>(); }
std::unique_ptr<Filter> MakeVolumeZone() { return std::make_unique<VolumeZone>(); }

}  // namespace knarr::scheduler
