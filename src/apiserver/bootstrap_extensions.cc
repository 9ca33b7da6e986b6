#include "apiserver/bootstrap_extensions.h"

#include <fmt/format.h>

#include "api/fairness_defaults.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kFairnessVersion = "flowcontrol.apiserver.k8s.io/v1";

// Which groups clients prefer, where several have a resource of one name.
struct Priority {
  std::string_view group;
  std::string_view version;
  int group_priority;
  int version_priority;
};
constexpr Priority kPriorities[] = {
    {"", "v1", 18000, 1},
    {"apps", "v1", 17800, 15},
    {"events.k8s.io", "v1", 17750, 15},
    {"authentication.k8s.io", "v1", 17700, 15},
    {"authorization.k8s.io", "v1", 17600, 15},
    {"autoscaling", "v1", 17500, 15},
    {"autoscaling", "v2", 17500, 30},
    {"batch", "v1", 17400, 15},
    {"certificates.k8s.io", "v1", 17300, 15},
    {"networking.k8s.io", "v1", 17200, 15},
    {"policy", "v1", 17100, 15},
    {"rbac.authorization.k8s.io", "v1", 17000, 15},
    {"storage.k8s.io", "v1", 16800, 15},
    {"apiextensions.k8s.io", "v1", 16700, 15},
    {"admissionregistration.k8s.io", "v1", 16700, 15},
    {"scheduling.k8s.io", "v1", 16600, 15},
    {"coordination.k8s.io", "v1", 16500, 15},
    {"node.k8s.io", "v1", 16300, 15},
    {"discovery.k8s.io", "v1", 16200, 15},
    {"resource.k8s.io", "v1", 16200, 21},
    {"flowcontrol.apiserver.k8s.io", "v1", 16100, 21},
};

}  // namespace

std::vector<BootstrapObject> ExtensionObjects() {
  std::vector<BootstrapObject> objects;
  for (const api::FairnessDefault& entry : api::FairnessDefaults()) {
    objects.push_back(
        {kFairnessVersion, entry.kind,
         fmt::format(
             R"({{"metadata":{{"name":"{}","annotations":{{"apf.kubernetes.io/autoupdate-spec":"true"}}}},"spec":{}}})",
             entry.name, entry.spec)});
  }
  for (const Priority& entry : kPriorities) {
    objects.push_back(
        {"apiregistration.k8s.io/v1", "APIService",
         fmt::format(
             R"({{"metadata":{{"name":"{}.{}","labels":{{"kube-aggregator.kubernetes.io/automanaged":"onstart"}}}},)"
             R"("spec":{{"group":"{}","version":"{}","groupPriorityMinimum":{},"versionPriority":{}}}}})",
             entry.version, entry.group, entry.group, entry.version, entry.group_priority, entry.version_priority)});
  }
  return objects;
}

}  // namespace knarr::apiserver
