// Affinity, tolerations and spreading: where a pod may run.

#include <algorithm>
#include <map>
#include <set>

#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "base/names.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using core_v1::NodeSelectorTerm;
using core_v1::PodAffinityTerm;
using doc::Value;

void ValidateRequirement(const core_v1::NodeSelectorRequirement& requirement, bool strict_values, const Path& path,
                         Errors& errors) {
  const std::string_view op = requirement.operator_();
  const auto values = requirement.values();
  if (op == "In" || op == "NotIn") {
    if (values.empty()) errors.Required(path / "values", "must be specified when `operator` is 'In' or 'NotIn'");
  } else if (op == "Exists" || op == "DoesNotExist") {
    if (!values.empty()) {
      errors.Forbidden(path / "values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    }
  } else if (op == "Gt" || op == "Lt") {
    if (values.size() != 1) {
      errors.Required(path / "values", "must be specified single value when `operator` is 'Lt' or 'Gt'");
    }
  } else {
    errors.Invalid(path / "operator", op, "not a valid selector operator");
  }
  ValidateLabelName(requirement.key(), path / "key", errors);
  if (!strict_values) return;
  size_t index = 0;
  for (const std::string_view value : values) {
    errors.InvalidAll((path / "values")[index++], value, CheckLabelValue(value));
  }
}

void ValidateFieldRequirement(const core_v1::NodeSelectorRequirement& requirement, const Path& path, Errors& errors) {
  const std::string_view op = requirement.operator_();
  if (op != "In" && op != "NotIn") {
    errors.Invalid(path / "operator", op, "not a valid selector operator");
  } else if (requirement.values().size() != 1) {
    errors.Required(path / "values",
                    "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
  }
  if (requirement.key() != "metadata.name") {
    return errors.Invalid(path / "key", requirement.key(), "not a valid field selector key");
  }
  size_t index = 0;
  for (const std::string_view value : requirement.values()) {
    errors.InvalidAll((path / "values")[index++], value, CheckDns1123Subdomain(value));
  }
}

void ValidateTerm(const NodeSelectorTerm& term, bool strict_values, const Path& path, Errors& errors) {
  size_t index = 0;
  for (const core_v1::NodeSelectorRequirement requirement : term.match_expressions()) {
    ValidateRequirement(requirement, strict_values, (path / "matchExpressions")[index++], errors);
  }
  index = 0;
  for (const core_v1::NodeSelectorRequirement requirement : term.match_fields()) {
    ValidateFieldRequirement(requirement, (path / "matchFields")[index++], errors);
  }
}

void ValidateWeight(int64_t weight, const Path& path, Errors& errors) {
  if (weight <= 0 || weight > 100) errors.Invalid(path / "weight", weight, "must be in the range 1-100");
}

void ValidateNodeAffinity(const core_v1::NodeAffinity& affinity, const Path& path, Errors& errors) {
  const core_v1::NodeSelector required = affinity.required_during_scheduling_ignored_during_execution();
  if (required) ValidateNodeSelector(required, path / "requiredDuringSchedulingIgnoredDuringExecution", errors);
  size_t index = 0;
  for (const core_v1::PreferredSchedulingTerm term : affinity.preferred_during_scheduling_ignored_during_execution()) {
    const Path at = (path / "preferredDuringSchedulingIgnoredDuringExecution")[index++];
    ValidateWeight(term.weight(), at, errors);
    ValidateTerm(term.preference(), false, at / "preference", errors);
  }
}

// The keys have become requirements of the selector by now (the pod's strategy adds them), which may have had none of
// its own for them.
void ValidateMergedKeys(const Value& keys, const meta_v1::LabelSelector& selector, const Path& path, Errors& errors) {
  if (keys.empty()) return;
  std::map<std::string_view, size_t> last;
  for (size_t i = 0; i < keys.size(); ++i) last[keys[i].AsString()] = i;
  std::set<std::string_view> selected;
  for (const auto& [key, value] : selector.match_labels()) selected.insert(key);
  for (const meta_v1::LabelSelectorRequirement requirement : selector.match_expressions()) {
    const std::string_view key = requirement.key();
    if (selected.insert(key).second) continue;
    const auto merged = last.find(key);
    if (merged == last.end()) continue;
    errors.Invalid(path[merged->second], key, "exists in both matchLabelKeys and labelSelector");
  }
}

// Keys that the server turns into selector terms: they must not be selected by already.
void ValidateMatchKeys(const Value& holder, const meta_v1::LabelSelector& selector, const Path& path, Errors& errors) {
  for (const std::string_view name : {"matchLabelKeys", "mismatchLabelKeys"}) {
    const Value& keys = holder.At(name);
    if (keys.empty()) continue;
    if (!selector) {
      errors.Forbidden(path / name, "must not be specified when labelSelector is not set");
      continue;
    }
    size_t index = 0;
    for (const Value& key : keys.items()) ValidateLabelName(key.AsString(), (path / name)[index++], errors);
  }
  ValidateMergedKeys(holder.At("matchLabelKeys"), selector, path, errors);
  std::set<std::string_view> mismatched;
  for (const Value& key : holder.At("mismatchLabelKeys").items()) mismatched.insert(key.AsString());
  size_t index = 0;
  for (const Value& key : holder.At("matchLabelKeys").items()) {
    const Path at = (path / "matchLabelKeys")[index++];
    if (mismatched.contains(key.AsString())) {
      errors.Invalid(at, key.AsString(), "exists in both matchLabelKeys and mismatchLabelKeys");
    }
  }
}

void ValidatePodTerm(const PodAffinityTerm& term, const Path& path, Errors& errors) {
  ValidateLabelSelector(term.label_selector(), true, path / "labelSelector", errors);
  ValidateLabelSelector(term.namespace_selector(), true, path / "namespaceSelector", errors);
  for (const std::string_view name : term.namespaces()) {
    errors.InvalidAll(path / "namespace", name, CheckDns1123Label(name));
  }
  ValidateMatchKeys(term.tree(), term.label_selector(), path, errors);
  if (term.topology_key().empty()) errors.Required(path / "topologyKey", "can not be empty");
  ValidateLabelName(term.topology_key(), path / "topologyKey", errors);
}

// Pod affinity and anti-affinity have the same form.
void ValidatePodAffinity(const core_v1::PodAffinity& affinity, const Path& path, Errors& errors) {
  size_t index = 0;
  for (const PodAffinityTerm term : affinity.required_during_scheduling_ignored_during_execution()) {
    ValidatePodTerm(term, (path / "requiredDuringSchedulingIgnoredDuringExecution")[index++], errors);
  }
  index = 0;
  for (const core_v1::WeightedPodAffinityTerm term : affinity.preferred_during_scheduling_ignored_during_execution()) {
    const Path at = (path / "preferredDuringSchedulingIgnoredDuringExecution")[index++];
    ValidateWeight(term.weight(), at, errors);
    ValidatePodTerm(term.pod_affinity_term(), at / "podAffinityTerm", errors);
  }
}

void ValidateInclusion(std::optional<std::string_view> policy, const Path& path, Errors& errors) {
  if (policy && *policy != "Honor" && *policy != "Ignore") errors.NotSupported(path, *policy, {"Honor", "Ignore"});
}

}  // namespace

void ValidateNodeSelector(const core_v1::NodeSelector& selector, const Path& path, Errors& errors) {
  const Path terms = path / "nodeSelectorTerms";
  if (selector.node_selector_terms().empty()) {
    return errors.Required(terms, "must have at least one node selector term");
  }
  size_t index = 0;
  for (const NodeSelectorTerm term : selector.node_selector_terms()) ValidateTerm(term, true, terms[index++], errors);
}

void ValidateAffinity(const core_v1::Affinity& affinity, const Path& path, Errors& errors) {
  if (!affinity) return;
  if (affinity.has_node_affinity()) ValidateNodeAffinity(affinity.node_affinity(), path / "nodeAffinity", errors);
  if (affinity.has_pod_affinity()) ValidatePodAffinity(affinity.pod_affinity(), path / "podAffinity", errors);
  if (affinity.has_pod_anti_affinity()) {
    ValidatePodAffinity(core_v1::PodAffinity(affinity.pod_anti_affinity().tree()), path / "podAntiAffinity", errors);
  }
}

void ValidateTaintEffect(std::string_view effect, bool allow_empty, const Path& path, Errors& errors) {
  if (!allow_empty && effect.empty()) return errors.Required(path);
  if (effect != "NoSchedule" && effect != "PreferNoSchedule" && effect != "NoExecute") {
    errors.NotSupported(path, effect, {"NoSchedule", "PreferNoSchedule", "NoExecute"});
  }
}

void ValidateTolerations(const ListView<core_v1::Toleration>& tolerations, const Path& path, Errors& errors) {
  size_t index = 0;
  for (const core_v1::Toleration toleration : tolerations) {
    const Path at = path[index++];
    const std::string_view op = toleration.operator_();
    if (!toleration.key().empty()) ValidateLabelName(toleration.key(), at / "key", errors);
    if (toleration.key().empty() && op != "Exists") {
      errors.Invalid(at / "operator", op,
                     "operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
    }
    if (toleration.toleration_seconds() && toleration.effect() != "NoExecute") {
      errors.Invalid(at / "effect", toleration.effect(), "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
    if (op == "Equal" || op.empty()) {
      const Problems problems = CheckLabelValue(toleration.value());
      if (!problems.empty()) errors.Invalid(at / "operator", toleration.value(), Join(problems, ";"));
    } else if (op == "Exists") {
      if (!toleration.value().empty()) {
        errors.Invalid(at / "operator", toleration.value(), "value must be empty when `operator` is 'Exists'");
      }
    } else if (op == "Lt" || op == "Gt") {
      errors.NotSupported(at / "operator", op, {"Equal", "Exists", "Lt", "Gt"});
    } else {
      errors.NotSupported(at / "operator", op, {"Equal", "Exists"});
    }
    if (!toleration.effect().empty()) ValidateTaintEffect(toleration.effect(), true, at / "effect", errors);
  }
}

void ValidateTopologySpread(const core_v1::PodSpec& spec, const Path& path, Errors& errors) {
  const auto constraints = spec.topology_spread_constraints();
  std::map<std::pair<std::string_view, std::string_view>, size_t> last;
  for (size_t i = 0; i < constraints.size(); ++i) {
    last[{constraints[i].topology_key(), constraints[i].when_unsatisfiable()}] = i;
  }
  for (size_t i = 0; i < constraints.size(); ++i) {
    const core_v1::TopologySpreadConstraint constraint = constraints[i];
    const Path at = path[i];
    const std::string_view action = constraint.when_unsatisfiable();
    if (constraint.max_skew() <= 0) errors.Invalid(at / "maxSkew", constraint.max_skew(), "must be greater than zero");
    if (constraint.topology_key().empty()) errors.Required(at / "topologyKey", "can not be empty");
    if (action != "DoNotSchedule" && action != "ScheduleAnyway") {
      errors.NotSupported(at / "whenUnsatisfiable", action, {"DoNotSchedule", "ScheduleAnyway"});
    }
    if (last.at({constraint.topology_key(), action}) != i) {
      errors.Duplicate(at / "{topologyKey, whenUnsatisfiable}",
                       "{" + std::string(constraint.topology_key()) + ", " + std::string(action) + "}");
    }
    if (const auto domains = constraint.min_domains()) {
      if (*domains <= 0) errors.Invalid(at / "minDomains", *domains, "must be greater than zero");
      if (action != "DoNotSchedule") {
        errors.Invalid(at / "minDomains", *domains,
                       "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not " + std::string(action));
      }
    }
    ValidateInclusion(constraint.node_affinity_policy(), at / "nodeAffinityPolicy", errors);
    ValidateInclusion(constraint.node_taints_policy(), at / "nodeTaintsPolicy", errors);
    ValidateMatchKeys(constraint.tree(), constraint.label_selector(), at, errors);
    ValidateLabelSelector(constraint.label_selector(), true, at / "labelSelector", errors);
  }
}

}  // namespace knarr::api::validation
