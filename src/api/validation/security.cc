// Security contexts of containers and pods.

#include "api/validation/go_form.h"
#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "base/names.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

constexpr size_t kSysctlMax = 253;
constexpr size_t kProfileMax = 4095;
constexpr std::string_view kSysctlPattern = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";

void ValidateUser(std::optional<int64_t> id, const Path& path, Errors& errors) {
  if (id) errors.InvalidAll(path, *id, CheckUserId(*id));
}
void ValidateGroup(std::optional<int64_t> id, const Path& path, Errors& errors) {
  if (id) errors.InvalidAll(path, *id, CheckGroupId(*id));
}

void ValidateSeccomp(const core_v1::SeccompProfile& profile, const Path& path, Errors& errors) {
  if (!profile) return;
  const std::string_view type = profile.type();
  if (type.empty()) {
    errors.Required(path / "type", "type is required when seccompProfile is set");
  } else {
    errors.OneOf(path / "type", type, {"Localhost", "RuntimeDefault", "Unconfined"});
  }
  const auto local = profile.localhost_profile();
  if (type != "Localhost") {
    if (local) {
      doc::Arena arena;
      errors.Invalid(path / "localhostProfile",
                     GoForm(core_v1::SeccompProfile::SchemaType(), profile.tree(), arena),
                     "can only be set when seccomp type is Localhost");
    }
  } else if (!local) {
    errors.Required(path / "localhostProfile", "must be set when seccomp type is Localhost");
  } else {
    ValidateDescendingPath(*local, path / "localhostProfile", errors);
  }
}

void ValidateAppArmor(const core_v1::AppArmorProfile& profile, const Path& path, Errors& errors) {
  if (!profile) return;
  const std::string_view type = profile.type();
  const auto local = profile.localhost_profile();
  const Path at = path / "localhostProfile";
  if (type == "Localhost") {
    if (!local) return errors.Required(at, "must be set when AppArmor type is Localhost");
    if (TrimSpace(*local) != *local) {
      errors.Invalid(at, *local, "must not be padded with whitespace");
    } else if (local->empty()) {
      errors.Required(at, "must be set when AppArmor type is Localhost");
    }
    if (local->size() > kProfileMax) errors.TooLong(at, kProfileMax);
  } else if (type == "RuntimeDefault" || type == "Unconfined") {
    if (local) errors.Invalid(at, *local, "can only be set when AppArmor type is Localhost");
  } else if (type.empty()) {
    errors.Required(path / "type", "type is required when appArmorProfile is set");
  } else {
    errors.NotSupported(path / "type", type, {"Localhost", "RuntimeDefault", "Unconfined"});
  }
}

// Segments of a-z, 0-9, and inner - and _, between dots or slashes.
bool IsSysctlName(std::string_view name) {
  if (name.size() > kSysctlMax) return false;
  bool inner = false;
  char last = '\0';
  for (const char c : name) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      inner = true;
    } else if (c == '-' || c == '_') {
      if (!inner) return false;
    } else if (c == '.' || c == '/') {
      if (!inner || last == '-' || last == '_') return false;
      inner = false;
    } else {
      return false;
    }
    last = c;
  }
  return inner && last != '-' && last != '_';
}

void ValidateSysctls(const core_v1::PodSecurityContext& context, const Path& path, Errors& errors) {
  std::set<std::string_view> names;
  size_t index = 0;
  for (const core_v1::Sysctl sysctl : context.sysctls()) {
    const Path at = path[index++] / "name";
    const std::string_view name = sysctl.name();
    if (name.empty()) {
      errors.Required(at);
    } else if (!IsSysctlName(name)) {
      errors.Invalid(at, name, "must have at most 253 characters and match regex " + std::string(kSysctlPattern));
    } else if (names.contains(name)) {
      errors.Duplicate(at, name);
    }
    names.insert(name);
  }
}

}  // namespace

void ValidateSecurityContext(const core_v1::SecurityContext& context, bool host_users, const Path& path,
                             Errors& errors) {
  if (!context) return;
  ValidateUser(context.run_as_user(), path / "runAsUser", errors);
  ValidateGroup(context.run_as_group(), path / "runAsGroup", errors);
  if (const auto mount = context.proc_mount()) {
    if (*mount != "Default" && *mount != "Unmasked") {
      errors.NotSupported(path / "procMount", *mount, {"Default", "Unmasked"});
    }
    if (host_users && *mount == "Unmasked") {
      errors.Invalid(path / "procMount", *mount, "`hostUsers` must be false to use `Unmasked`");
    }
  }
  ValidateSeccomp(context.seccomp_profile(), path / "seccompProfile", errors);
  if (context.allow_privilege_escalation() == false) {
    if (context.privileged() == true) {
      errors.Invalid(path, context.tree(), "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
    }
    for (const std::string_view capability : context.capabilities().add()) {
      if (capability != "CAP_SYS_ADMIN") continue;
      errors.Invalid(path, context.tree(),
                     "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
    }
  }
  ValidateAppArmor(context.app_armor_profile(), path / "appArmorProfile", errors);
}

void ValidatePodSecurityContext(const core_v1::PodSpec& spec, const Path& path, Errors& errors) {
  const core_v1::PodSecurityContext context = spec.security_context();
  if (!context) return;
  ValidateGroup(context.fs_group(), path / "fsGroup", errors);
  ValidateUser(context.run_as_user(), path / "runAsUser", errors);
  ValidateGroup(context.run_as_group(), path / "runAsGroup", errors);
  size_t index = 0;
  for (const int64_t group : context.supplemental_groups()) {
    ValidateGroup(group, (path / "supplementalGroups")[index++], errors);
  }
  if (spec.host_pid() && spec.share_process_namespace().value_or(false)) {
    errors.Invalid(path / "shareProcessNamespace", doc::Value::Bool(true),
                   "ShareProcessNamespace and HostPID cannot both be enabled");
  }
  ValidateSysctls(context, path / "sysctls", errors);
  if (const auto policy = context.fs_group_change_policy()) {
    if (*policy != "Always" && *policy != "OnRootMismatch") {
      errors.NotSupported(path / "fsGroupChangePolicy", *policy, {"Always", "OnRootMismatch"});
    }
  }
  ValidateSeccomp(context.seccomp_profile(), path / "seccompProfile", errors);
  ValidateAppArmor(context.app_armor_profile(), path / "appArmorProfile", errors);
  if (const auto policy = context.se_linux_change_policy(); policy && *policy != "Recursive") {
    errors.NotSupported(path / "seLinuxChangePolicy", *policy, {"Recursive"});
  }
  if (const auto policy = context.supplemental_groups_policy()) {
    if (*policy != "Merge" && *policy != "Strict") {
      errors.NotSupported(path / "supplementalGroupsPolicy", *policy, {"Merge", "Strict"});
    }
  }
}

}  // namespace knarr::api::validation
