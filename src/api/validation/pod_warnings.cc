// What is odd about pods, and about the templates they are made from.

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <set>

#include "api/core_v1.h"
#include "api/validation/volume_warnings.h"
#include "api/warnings.h"
#include "base/names.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace knarr::api {
namespace validation {
namespace {

using core_v1::Container;
using core_v1::ContainerPort;
using core_v1::PodSpec;
using doc::Value;
using Texts = std::vector<std::string>;

void Add(Texts more, Texts& texts) { std::ranges::move(more, std::back_inserter(texts)); }
void Add(const Path& path, std::string_view what, Texts& texts) {
  texts.push_back(std::string(path.text()).append(": ").append(what));
}

constexpr std::string_view kNoPod = "a null labelSelector results in matching no pod";

void AddNodeSelectorTerm(const Value& term, bool check_values, const Path& path, Texts& texts) {
  const Value& expressions = term.At("matchExpressions");
  for (size_t i = 0; i < expressions.size(); ++i) {
    const Path at = (path / "matchExpressions")[i];
    const std::string key(expressions[i].At("key").AsString());
    const std::string_view instead = DeprecatedNodeLabel(key);
    if (!instead.empty()) Add(at / "key", key + " is " + std::string(instead), texts);
    const Value& values = expressions[i].At("values");
    for (size_t j = 0; check_values && j < values.size(); ++j) {
      for (const std::string& problem : CheckLabelValue(values[j].AsString())) {
        Add((at / "values")[j], std::string(values[j].AsString()) + " is invalid, " + problem, texts);
      }
    }
  }
}

void AddNodeLabels(const Value& spec, const Path& path, Texts& texts) {
  for (const doc::Member& label : spec.At("nodeSelector").members()) {
    const std::string_view instead = DeprecatedNodeLabel(label.key);
    if (!instead.empty()) Add((path / "nodeSelector").Key(label.key), instead, texts);
  }
  const Value& affinity = spec.Get("affinity", "nodeAffinity");
  const Path at = path / "affinity" / "nodeAffinity";
  const Value& terms = affinity.Get("requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms");
  for (size_t i = 0; i < terms.size(); ++i) {
    AddNodeSelectorTerm(terms[i], false,
                        (at / "requiredDuringSchedulingIgnoredDuringExecution" / "nodeSelectorTerms")[i], texts);
  }
  const Value& preferred = affinity.At("preferredDuringSchedulingIgnoredDuringExecution");
  for (size_t i = 0; i < preferred.size(); ++i) {
    AddNodeSelectorTerm(preferred[i].At("preference"), true,
                        (at / "preferredDuringSchedulingIgnoredDuringExecution")[i] / "preference", texts);
  }
  const Value& spread = spec.At("topologySpreadConstraints");
  for (size_t i = 0; i < spread.size(); ++i) {
    const Path constraint = (path / "topologySpreadConstraints")[i];
    const std::string key(spread[i].At("topologyKey").AsString());
    const std::string_view instead = DeprecatedNodeLabel(key);
    if (!instead.empty()) Add(constraint / "topologyKey", key + " is " + std::string(instead), texts);
    if (spread[i].At("labelSelector").is_null()) Add(constraint / "labelSelector", kNoPod, texts);
  }
}

void AddAnnotations(const StringMap& annotations, const Path& path, Texts& texts) {
  static constexpr struct {
    std::string_view key;
    std::string_view instead;
  } kOld[] = {
      {"scheduler.alpha.kubernetes.io/critical-pod",
       R"(non-functional in v1.16+; use the "priorityClassName" field instead)"},
      {"security.alpha.kubernetes.io/sysctls", R"(non-functional in v1.11+; use the "sysctls" field instead)"},
      {"security.alpha.kubernetes.io/unsafe-sysctls", R"(non-functional in v1.11+; use the "sysctls" field instead)"},
  };
  for (const auto& [key, instead] : kOld) {
    if (annotations.Has(key)) Add(path.Key(key), instead, texts);
  }
}

void AddRepeated(const Value& list, std::string_view member, std::string_view what, const Path& path, Texts& texts) {
  std::set<std::string_view> seen;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string_view value = list[i].At(member).AsString();
    if (seen.insert(value).second) continue;
    Add(path[i] / member, std::string(what) + " " + GoQuote(value), texts);
  }
}

void AddFraction(const StringMap& amounts, std::string_view resource, const Path& path, Texts& texts) {
  const auto amount = amounts.Find(resource);
  if (!amount) return;
  const Result<Quantity> quantity = Quantity::Parse(*amount);
  if (!quantity.ok() || quantity->MilliValue() % 1000 == 0) return;
  Add(path.Key(resource), "fractional byte value " + GoQuote(*amount) + " is invalid, must be an integer", texts);
}

// A container with where it stands, the init containers first.
void VisitContainers(const PodSpec& spec, const Path& path,
                     const std::function<void(const Container& container, const Path& at)>& visit) {
  for (const std::string_view list : {"initContainers", "containers", "ephemeralContainers"}) {
    const Value& containers = spec.tree().At(list);
    for (size_t i = 0; i < containers.size(); ++i) visit(Container(containers[i]), (path / list)[i]);
  }
}

void AddEnvironment(const Container& container, const Path& path, Texts& texts) {
  std::set<std::string_view> seen;
  size_t index = 0;
  for (const core_v1::EnvVar variable : container.env()) {
    const Path at = (path / "env")[index++];
    if (seen.insert(variable.name()).second) continue;
    // A second definition is fine when it builds on the first.
    const std::string reference = "$(" + std::string(variable.name()) + ")";
    const std::string_view value = variable.value();
    if (!variable.has_value_from() && value != reference && value.find(reference) != std::string_view::npos) continue;
    Add(at, "hides previous definition of " + GoQuote(variable.name()) + ", which may be dropped when using apply",
        texts);
  }
}

// What the annotation of old times asked for, as the field that took its place says it.
bool SameAppArmor(const core_v1::AppArmorProfile& profile, std::string_view annotation) {
  if (annotation == "unconfined") return profile.type() == "Unconfined";
  if (annotation == "runtime/default") return profile.type() == "RuntimeDefault";
  return ConsumePrefix(annotation, "localhost/") && !annotation.empty() && profile.type() == "Localhost" &&
         profile.localhost_profile() == annotation;
}

void AddSecurity(const PodSpec& spec, const Container& container, const StringMap& annotations, bool is_template,
                 const Path& path, Texts& texts) {
  if (annotations.empty()) return;
  const std::string name(container.name());
  const std::string seccomp = "container.seccomp.security.alpha.kubernetes.io/" + name;
  if (!container.security_context().has_seccomp_profile() && annotations.Has(seccomp)) {
    Add(path.Key(seccomp), R"(non-functional in v1.27+; use the "seccompProfile" field instead)", texts);
  }
  const std::string armor = "container.apparmor.security.beta.kubernetes.io/" + name;
  const auto annotation = annotations.Find(armor);
  if (!is_template || container.security_context().has_app_armor_profile() || !annotation) return;
  const core_v1::AppArmorProfile profile = spec.security_context().app_armor_profile();
  if (profile && SameAppArmor(profile, *annotation)) return;
  Add(path.Key(armor), R"(deprecated since v1.30; use the "appArmorProfile" field instead)", texts);
}

struct PlacedPort {
  ContainerPort port;
  std::string at;
};

// How the second of two ports of the same number and protocol gets in the way of the first, or "".
std::string_view PortClash(const ContainerPort& port, const ContainerPort& other) {
  if (port.host_ip() == other.host_ip() && port.host_port() == other.host_port()) return "duplicate";
  if (port.host_port() == 0 || other.host_port() == 0) return "overlapping";
  const bool one_for_all = port.host_ip().empty() != other.host_ip().empty();
  return port.host_port() == other.host_port() && one_for_all ? "dangerously ambiguous" : "";
}

void AddPorts(const PodSpec& spec, const Path& path, Texts& texts) {
  std::map<std::pair<int64_t, std::string_view>, std::vector<PlacedPort>> by_number;
  std::map<std::string_view, std::string> by_name;
  Texts names;
  ComparisonBudget budget;
  VisitContainers(spec, path, [&](const Container& container, const Path& container_at) {
    size_t index = 0;
    for (const ContainerPort port : container.ports()) {
      const Path at = (container_at / "ports")[index++];
      if (!port.host_ip().empty() && port.host_port() == 0) {
        Add(at,
            "hostIP set without hostPort: {Name:" + std::string(port.name()) +
                " HostPort:0 ContainerPort:" + std::to_string(port.container_port()) +
                " Protocol:" + std::string(port.protocol()) + " HostIP:" + std::string(port.host_ip()) + "}",
            texts);
      }
      auto& others = by_number[{port.container_port(), port.protocol()}];
      for (const PlacedPort& other : others) {
        if (!budget.Take()) break;
        const std::string_view clash = PortClash(port, other.port);
        if (!clash.empty()) Add(at, std::string(clash) + " port definition with " + other.at, texts);
      }
      others.push_back({port, std::string(at.text())});
      if (port.name().empty()) continue;
      const auto [first, fresh] = by_name.insert({port.name(), std::string(at.text())});
      if (fresh) continue;
      Add(at,
          "duplicate port name " + GoQuote(port.name()) + " with " + first->second +
              ", services and probes that select ports by name will use " + first->second,
          names);
    }
  });
  Add(std::move(names), texts);
}

void AddPodAffinity(const Value& affinity, const Path& path, Texts& texts) {
  const Value& required = affinity.At("requiredDuringSchedulingIgnoredDuringExecution");
  for (size_t i = 0; i < required.size(); ++i) {
    if (!required[i].At("labelSelector").is_null()) continue;
    Add((path / "requiredDuringSchedulingIgnoredDuringExecution")[i] / "labelSelector", kNoPod, texts);
  }
  const Value& preferred = affinity.At("preferredDuringSchedulingIgnoredDuringExecution");
  for (size_t i = 0; i < preferred.size(); ++i) {
    if (!preferred[i].Get("podAffinityTerm", "labelSelector").is_null()) continue;
    Add((path / "preferredDuringSchedulingIgnoredDuringExecution")[i] / "podAffinityTerm" / "labelSelector", kNoPod,
        texts);
  }
}

void AddAddresses(const Value& spec, const Path& path, Texts& texts) {
  const Value& servers = spec.Get("dnsConfig", "nameservers");
  for (size_t i = 0; i < servers.size(); ++i) {
    Add(WarningsOfIp(std::string((path / "dnsConfig" / "nameservers")[i].text()), servers[i].AsString()), texts);
  }
  const Value& aliases = spec.At("hostAliases");
  for (size_t i = 0; i < aliases.size(); ++i) {
    Add(WarningsOfIp(std::string(((path / "hostAliases")[i] / "ip").text()), aliases[i].At("ip").AsString()), texts);
  }
}

void AddContainers(const PodSpec& spec, const StringMap& annotations, const Path& pod, Texts& texts) {
  VisitContainers(spec, pod / "spec", [&](const Container& container, const Path& at) {
    AddSecurity(spec, container, annotations, !pod.text().empty(), pod / "metadata" / "annotations", texts);
    const Path resources = at / "resources";
    const Path limits = resources / "limits";
    const Path requests = resources / "requests";
    for (const std::string_view resource : {"memory", "ephemeral-storage"}) {
      AddFraction(container.resources().limits(), resource, limits, texts);
      AddFraction(container.resources().requests(), resource, requests, texts);
    }
    AddEnvironment(container, at, texts);
  });
}

}  // namespace
}  // namespace validation

std::vector<std::string> WarningsOfPod(std::string_view pod_path, const doc::Value& pod) {
  using validation::Path;
  const Path pod_at(pod_path);
  const Path path = pod_at / "spec";
  const doc::Value& tree = pod.At("spec");
  const core_v1::PodSpec spec(tree);
  const StringMap annotations(pod.Get("metadata", "annotations"));
  const Path annotations_at = pod_at / "metadata" / "annotations";
  std::vector<std::string> texts;
  validation::AddNodeLabels(tree, path, texts);
  validation::AddAnnotations(annotations, annotations_at, texts);
  validation::AddVolumeWarnings(spec, path, texts);
  validation::AddRepeated(tree.At("hostAliases"), "ip", "duplicate ip", path / "hostAliases", texts);
  validation::AddRepeated(tree.At("imagePullSecrets"), "name", "duplicate name", path / "imagePullSecrets", texts);
  const doc::Value& secrets = tree.At("imagePullSecrets");
  for (size_t i = 0; i < secrets.size(); ++i) {
    if (!secrets[i].At("name").AsString().empty()) continue;
    validation::Add((path / "imagePullSecrets")[i] / "name", "invalid empty name \"\"", texts);
  }
  for (const std::string_view resource : {"memory", "ephemeral-storage"}) {
    validation::AddFraction(spec.overhead(), resource, path / "overhead", texts);
  }
  constexpr std::string_view kSeccomp = "seccomp.security.alpha.kubernetes.io/pod";
  if (!spec.security_context().has_seccomp_profile() && annotations.Has(kSeccomp)) {
    validation::Add(annotations_at.Key(kSeccomp), R"(non-functional in v1.27+; use the "seccompProfile" field instead)",
                    texts);
  }
  validation::AddContainers(spec, annotations, pod_at, texts);
  validation::AddPorts(spec, path, texts);
  if (spec.termination_grace_period_seconds().value_or(0) < 0) {
    validation::Add(path / "terminationGracePeriodSeconds",
                    "must be >= 0; negative values are invalid and will be treated as 1", texts);
  }
  for (const std::string_view name : {"podAffinity", "podAntiAffinity"}) {
    validation::AddPodAffinity(tree.Get("affinity", name), path / "affinity" / name, texts);
  }
  validation::AddAddresses(tree, path, texts);
  return texts;
}

}  // namespace knarr::api
