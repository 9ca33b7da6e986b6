// What a pod's parts must be to each other: its own budget and its containers', its claims, its operating system.

#include <array>
#include <functional>
#include <map>
#include <set>

#include "api/pod_resources.h"
#include "api/validation/go_form.h"
#include "api/validation/metadata.h"
#include "api/validation/pods.h"

namespace knarr::api::validation {
namespace {

using core_v1::PodSpec;
using doc::Value;

/// All containers with their paths, in the order in which upstream visits them.
void ForEachContainer(const PodSpec& spec, const Path& path,
                      const std::function<void(const Value& container, const Path& at)>& visit) {
  for (const std::string_view list : {"initContainers", "containers", "ephemeralContainers"}) {
    size_t index = 0;
    for (const Value& container : spec.tree().At(list).items()) visit(container, (path / list)[index++]);
  }
}

void ValidateBudget(const PodSpec& spec, const Path& path, Errors& errors) {
  doc::Document pod;
  Value alone = Value::Object();  // the containers without the pod's own budget
  for (const std::string_view list : {"containers", "initContainers"}) {
    alone.Set(pod.arena, list, spec.tree().At(list));
  }
  pod.root.Set(pod.arena, "spec", alone);
  const Value& budget = spec.tree().At("resources");
  const auto check = [&](std::string_view side, const ResourceList& sums, bool huge_pages_only) {
    const ResourceList own = ReadResources(budget.At(side));
    for (const auto& [name, sum] : sums) {
      const auto at = own.find(name);
      if (at == own.end() || sum <= at->second) continue;
      if (huge_pages_only && !name.starts_with("hugepages-")) continue;
      errors.Invalid((path / side).Key(name), at->second.ToString(),
                     "must be greater than or equal to aggregate container " + std::string(side) + " of " +
                         sum.ToString());
    }
  };
  check("requests", PodRequests(pod.root), false);
  check("limits", PodLimits(pod.root), true);
  const ResourceList limits = ReadResources(budget.At("limits"));
  size_t index = 0;
  for (const core_v1::Container container : spec.containers()) {
    const Path at = (path / "containers")[index++];
    for (const auto& [name, amount] : ReadResources(container.tree().Get("resources", "limits"))) {
      const auto most = limits.find(name);
      if (most == limits.end() || amount <= most->second) continue;
      errors.Invalid(at.Key(name) / "limits", amount.ToString(),
                     "must be less than or equal to pod limits of " + most->second.ToString());
    }
  }
}

// What only Linux has, in upstream's order: where it stands in the tree and how upstream calls it.
struct LinuxField {
  std::string_view parent;  ///< below the spec: "securityContext" or nothing
  std::string_view name;
  std::string_view shown_parent;
};
constexpr std::array kPodFields = {
    LinuxField{"securityContext", "appArmorProfile", "securityContext"},
    LinuxField{"securityContext", "seLinuxOptions", "securityContext"},
    LinuxField{{}, "hostUsers", {}},
    LinuxField{{}, "hostPID", {}},
    LinuxField{{}, "hostIPC", {}},
    LinuxField{"securityContext", "seccompProfile", "securityContext"},
    LinuxField{"securityContext", "fsGroup", "securityContext"},
    LinuxField{"securityContext", "fsGroupChangePolicy", "securityContext"},
    LinuxField{"securityContext", "sysctls", "securityContext"},
    LinuxField{{}, "shareProcessNamespace", {}},
    LinuxField{"securityContext", "runAsUser", "securityContext"},
    LinuxField{"securityContext", "runAsGroup", "securityContext"},
    LinuxField{"securityContext", "supplementalGroups", "securityContext"},
    LinuxField{"securityContext", "supplementalGroupsPolicy", "securityContext"},
    LinuxField{"securityContext", "seLinuxChangePolicy", "securityContext"},
};
constexpr std::array<std::string_view, 10> kContainerFields = {
    "appArmorProfile", "seLinuxOptions",           "seccompProfile", "capabilities", "readOnlyRootFilesystem",
    "privileged",      "allowPrivilegeEscalation", "procMount",      "runAsUser",    "runAsGroup"};

bool IsSet(const Value& value) {
  if (value.is_bool()) return value.AsBool();
  return !value.is_null() && !(value.is_array() && value.empty());
}

void ValidateWindows(const PodSpec& spec, const Path& path, Errors& errors) {
  constexpr std::string_view kNotThere = "cannot be set for a windows pod";
  for (const LinuxField& field : kPodFields) {
    const Value& parent = field.parent.empty() ? spec.tree() : spec.tree().At(field.parent);
    const Value& value = parent.At(field.name);
    // hostPID and hostIPC count only when they are true; the other truths when they are given at all.
    const bool given = field.name.starts_with("host") && field.name != "hostUsers" ? IsSet(value) : !value.is_null();
    if (!given || (value.is_array() && value.empty())) continue;
    errors.Forbidden((field.shown_parent.empty() ? path : path / field.shown_parent) / field.name, kNotThere);
  }
  ForEachContainer(spec, path, [&](const Value& container, const Path& at) {
    for (const std::string_view name : kContainerFields) {
      if (container.Get("securityContext", name).is_null()) continue;
      errors.Forbidden(at / "securityContext" / name, kNotThere);
    }
  });
}

void ValidateLinux(const PodSpec& spec, const Path& path, Errors& errors) {
  constexpr std::string_view kNotThere = "windows options cannot be set for a linux pod";
  const auto check = [&](const Value& context, const Path& at) {
    if (!context.At("windowsOptions").is_null()) errors.Forbidden(at / "windowsOptions", kNotThere);
  };
  check(spec.tree().At("securityContext"), path / "securityContext");
  ForEachContainer(spec, path, [&](const Value& container, const Path& at) {
    check(container.At("securityContext"), at / "securityContext");
  });
}

}  // namespace

void ValidatePodLevelResources(const PodSpec& spec, const PodContext& context, const Path& path, Errors& errors) {
  if (spec.os().name() == "windows") return errors.Forbidden(path, "may not be set for a windows pod");
  if (!spec.resources().claims().empty()) {
    errors.Forbidden(path / "claims", "claims may not be set for Resources at pod-level");
  }
  ValidateResources(spec.resources(), context.claims, ValidatePodResourceName, path, errors);
  ValidateBudget(spec, path, errors);
}

void ValidateResourceClaims(const PodSpec& spec, const Path& path, Errors& errors) {
  std::set<std::string_view> names;
  size_t index = 0;
  for (const core_v1::PodResourceClaim claim : spec.resource_claims()) {
    const Path at = path[index++];
    if (claim.name().empty()) {
      errors.Required(at / "name");
    } else if (!names.insert(claim.name()).second) {
      errors.Duplicate(at / "name", claim.name());
    } else {
      ValidateDns1123Label(claim.name(), at / "name", errors);
    }
    const auto claim_name = claim.resource_claim_name();
    const auto template_name = claim.resource_claim_template_name();
    doc::Arena arena;
    const auto shown = [&] { return GoForm(core_v1::PodResourceClaim::SchemaType(), claim.tree(), arena); };
    if (claim_name && template_name) {
      errors.Invalid(at, shown(), "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified");
    } else if (!claim_name && !template_name) {
      errors.Invalid(at, shown(), "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
    }
    if (claim_name) ValidateDns1123Subdomain(*claim_name, at / "resourceClaimName", errors);
    if (template_name) ValidateDns1123Subdomain(*template_name, at / "resourceClaimTemplateName", errors);
  }
}

void ValidateHostProcess(const PodSpec& spec, const Path& path, Errors& errors) {
  const Value& of_pod = spec.tree().Get("securityContext", "windowsOptions", "hostProcess");
  size_t all = 0;
  size_t host = 0;
  ForEachContainer(spec, path, [&](const Value& container, const Path& at) {
    ++all;
    const Value& own = container.Get("securityContext", "windowsOptions", "hostProcess");
    if (!of_pod.is_null() && !own.is_null() && of_pod.AsBool() != own.AsBool()) {
      errors.Invalid(at / "securityContext" / "windowsOptions" / "hostProcess", own,
                     std::string("pod hostProcess value must be identical if both are specified, was ") +
                         (of_pod.AsBool() ? "true" : "false"));
    }
    if (own.is_null() ? of_pod.AsBool() : own.AsBool()) ++host;
  });
  if (host == 0) return;
  if (host != all) {
    errors.Invalid(path, "",
                   "If pod contains any hostProcess containers then all containers must be HostProcess containers");
  }
  if (!spec.host_network()) {
    errors.Invalid(path / "hostNetwork", Value::Bool(false),
                   "hostNetwork must be true if pod contains any hostProcess containers");
  }
}

void ValidateOs(const PodSpec& spec, const Path& path, Errors& errors) {
  if (!spec.has_os()) return;
  const std::string_view os = spec.os().name();
  if (os.empty()) return errors.Required(path / "os" / "name");
  if (os == "linux") return ValidateLinux(spec, path, errors);
  if (os == "windows") return ValidateWindows(spec, path, errors);
  errors.NotSupported(path / "os", os, {"linux", "windows"});
}

void ValidateFileKeys(const PodSpec& spec, const Path& path, Errors& errors) {
  std::map<std::string_view, const Value*> volumes;  // filled when one is asked for
  ForEachContainer(spec, path, [&](const Value& container, const Path& at) {
    size_t index = 0;
    for (const Value& variable : container.At("env").items()) {
      const Path env = (at / "env")[index++];
      const Value& key = variable.Get("valueFrom", "fileKeyRef");
      if (key.is_null()) continue;
      const std::string_view name = key.At("volumeName").AsString();
      const Path name_path = env / "valueFrom" / "fileKeyRef" / "volumeName";
      if (volumes.empty()) {
        for (const Value& each : spec.tree().At("volumes").items()) volumes[each.At("name").AsString()] = &each;
      }
      const auto volume = volumes.find(name);
      if (volume == volumes.end()) {
        errors.NotFound(name_path, name);
      } else if (volume->second->At("emptyDir").is_null()) {
        errors.Invalid(name_path, name, "referenced volume must be of type emptyDir");
      }
    }
  });
}

}  // namespace knarr::api::validation
