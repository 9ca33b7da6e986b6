#include "api/warnings.h"

#include <algorithm>
#include <iterator>

#include "base/names.h"
#include "base/strings.h"

namespace knarr::api {
namespace {

constexpr struct {
  std::string_view label;
  std::string_view instead;
} kNodeLabels[] = {
    {"beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"},
    {"beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"},
    {"failure-domain.beta.kubernetes.io/region",
     "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead"},
    {"failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"},
    {"beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"},
    {"app.kubernetes.io/created-by", "deprecated since v1.9"},
    {"scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead"},
    {"node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"},
};

}  // namespace

std::string_view DeprecatedNodeLabel(std::string_view label) {
  const auto* found = std::ranges::find_if(kNodeLabels, [label](const auto& entry) { return entry.label == label; });
  return found == std::end(kNodeLabels) ? std::string_view() : found->instead;
}

std::vector<std::string> WarningsOfNodeSelector(const std::string& path, const meta_v1::LabelSelector& selector) {
  std::vector<std::string> warnings;
  size_t index = 0;
  for (const meta_v1::LabelSelectorRequirement requirement : selector.match_expressions()) {
    const std::string at = path + ".matchExpressions[" + std::to_string(index++) + "].key: ";
    const std::string_view instead = DeprecatedNodeLabel(requirement.key());
    if (instead.empty()) continue;
    warnings.push_back(at + std::string(requirement.key()) + " is " + std::string(instead));
  }
  for (const auto& [label, value] : selector.match_labels()) {
    const std::string_view instead = DeprecatedNodeLabel(label);
    if (!instead.empty()) warnings.push_back(path + ".matchLabels." + std::string(label) + ": " + std::string(instead));
  }
  return warnings;
}

std::vector<std::string> WarningsOfHostName(std::string_view name, std::string_view use) {
  const Problems problems = CheckDns1123Label(name);
  if (problems.empty()) return {};
  return {"metadata.name: this is used in " + std::string(use) +
          ", which can result in surprising behavior; a DNS label is recommended: [" + Join(problems, " ") + "]"};
}

}  // namespace knarr::api
