#include "runtime/bundle.h"

#include <algorithm>

#include "base/strings.h"
#include "doc/json.h"
#include "doc/value.h"
#include "runtime/capabilities.h"
#include "runtime/cgroup.h"

namespace knarr::runtime {

namespace {

using doc::Value;

constexpr std::string_view kDefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::string_view kMaskedPaths[] = {"/proc/acpi",       "/proc/asound",      "/proc/interrupts",
                                             "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
                                             "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
                                             "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
constexpr std::string_view kReadOnlyPaths[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                               "/proc/sysrq-trigger"};

std::string_view PropagationOption(MountPropagation propagation) {
  if (propagation == MountPropagation::kBidirectional) return "rshared";
  return propagation == MountPropagation::kHostToContainer ? "rslave" : "rprivate";
}

// Builds one config in one arena.
class Config {
 public:
  explicit Config(const BundleSpec& spec) : spec_(spec), container_(*spec.container) {}
  Result<std::string> Make();

 private:
  Value Text(std::string_view text) { return Value::String(arena_, text); }
  template <typename Range>
  Value List(const Range& texts) {
    Value out = Value::Array();
    for (const auto& text : texts) out.Append(arena_, Text(text));
    return out;
  }
  Value& Set(Value& object, std::string_view key, Value value) { return object.Set(arena_, key, value); }

  Result<Value> Args();
  Value Environment();
  Value User();
  Value Capabilities();
  Result<Value> Process();
  Value Mount(std::string_view destination, std::string_view type, std::string_view source,
              std::initializer_list<std::string_view> options);
  Value Mounts();
  Value Namespaces();
  Value Resources();
  Value Devices();
  Result<Value> Linux();

  const BundleSpec& spec_;
  const ContainerSpec& container_;
  doc::Document seccomp_;  // kept, as the config borrows from it
  doc::Arena arena_;
};

Result<Value> Config::Args() {
  std::vector<std::string> args = container_.command.empty() ? spec_.image->entrypoint : container_.command;
  const bool own = !container_.args.empty() || !container_.command.empty();
  const std::vector<std::string>& rest = own ? container_.args : spec_.image->command;
  args.insert(args.end(), rest.begin(), rest.end());
  if (args.empty() || args[0].empty()) return BadRequest("no command specified");
  return List(args);
}

// Later names win, but keep the place of the first.
Value Config::Environment() {
  std::vector<std::string_view> out;
  const auto add = [&](std::string_view entry) {
    const std::string_view name = entry.substr(0, entry.find('='));
    for (std::string_view& other : out) {
      if (other.substr(0, other.find('=')) == name) {
        other = entry;
        return;
      }
    }
    out.push_back(entry);
  };
  const std::string hostname = "HOSTNAME=" + spec_.sandbox.hostname;
  add(kDefaultPath);
  if (container_.tty) add("TERM=xterm");
  for (const std::string& entry : spec_.image->environment) add(entry);
  add(hostname);
  for (const std::string& entry : container_.environment) add(entry);
  return List(out);
}

Value Config::User() {
  Value user = Value::Object();
  Set(user, "uid", Value::Int(spec_.user.uid));
  Set(user, "gid", Value::Int(spec_.user.gid));
  Value groups = Value::Array();
  for (const uint32_t group : spec_.user.groups) groups.Append(arena_, Value::Int(group));
  if (!groups.empty()) Set(user, "additionalGids", groups);
  return user;
}

Value Config::Capabilities() {
  const SecuritySpec& security = container_.security;
  const uint64_t mask = spec_.host.capability_mask;
  const Value names =
      List(security.privileged ? AllCapabilities(mask)
                               : ContainerCapabilities(security.add_capabilities, security.drop_capabilities, mask));
  Value out = Value::Object();
  for (const char* set : {"bounding", "effective", "permitted"}) Set(out, set, names);
  return out;
}

Result<Value> Config::Process() {
  Value process = Value::Object();
  Set(process, "terminal", Value::Bool(container_.tty));
  Set(process, "user", User());
  Set(process, "args", TRY(Args()));
  Set(process, "env", Environment());
  const std::string& wanted =
      container_.working_directory.empty() ? spec_.image->working_directory : container_.working_directory;
  Set(process, "cwd", Text(wanted.empty() ? "/" : wanted));
  Set(process, "capabilities", Capabilities());
  if (container_.security.no_new_privileges) Set(process, "noNewPrivileges", Value::Bool(true));
  if (!container_.security.apparmor_profile.empty()) {
    Set(process, "apparmorProfile", Text(container_.security.apparmor_profile));
  }
  Set(process, "oomScoreAdj", Value::Int(std::max(container_.oom_score_adjust, spec_.host.oom_score_min)));
  return process;
}

Value Config::Mount(std::string_view destination, std::string_view type, std::string_view source,
                    std::initializer_list<std::string_view> options) {
  Value mount = Value::Object();
  Set(mount, "destination", Text(destination));
  Set(mount, "type", Text(type));
  Set(mount, "source", Text(source));
  Set(mount, "options", List(options));
  return mount;
}

// The usual ones, then ours, then the pod's volumes by depth, so that one can lie inside another.
Value Config::Mounts() {
  std::vector<MountSpec> own = container_.mounts;
  const auto taken = [&](std::string_view path) {
    return std::ranges::any_of(
        own, [&](const MountSpec& m) { return TrimRight(m.container_path, "/") == path && !m.container_path.empty(); });
  };
  for (const MountSpec& extra : spec_.extra_mounts) {
    if (!taken(extra.container_path)) own.push_back(extra);
  }
  const auto depth = [](const MountSpec& m) { return std::ranges::count(TrimRight(m.container_path, "/"), '/'); };
  // By insertion, which keeps the order of equals: there are few.
  for (size_t i = 1; i < own.size(); i++) {
    for (size_t at = i; at > 0 && depth(own[at]) < depth(own[at - 1]); at--) std::swap(own[at], own[at - 1]);
  }
  const std::string_view access = container_.security.privileged ? "rw" : "ro";
  Value out = Value::Array();
  const auto usual = [&](std::string_view path, std::string_view type, std::string_view source,
                         std::initializer_list<std::string_view> options) {
    if (!taken(path)) out.Append(arena_, Mount(path, type, source, options));
  };
  usual("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"});
  usual("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"});
  usual("/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"});
  usual("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"});
  usual("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access});
  usual("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", access});
  usual("/dev/shm", "bind", spec_.sandbox.shm_path, {"rbind", "rprivate", "nosuid", "noexec", "nodev", "rw"});
  for (const MountSpec& mount : own) {
    const std::string_view read_only = mount.recursive_read_only ? "rro" : "ro";
    Value one = Mount(mount.container_path, "bind", mount.host_path,
                      {"rbind", PropagationOption(mount.propagation), mount.read_only ? read_only : "rw"});
    if (const auto& ids = spec_.sandbox.user_namespace; ids && !mount.ids_are_mapped) {
      for (const char* key : {"uidMappings", "gidMappings"}) {
        Value& mapping = Set(one, key, Value::Array()).Append(arena_, Value::Object());
        Set(mapping, "containerID", Value::Int(0));
        Set(mapping, "hostID", Value::Int(ids->first));
        Set(mapping, "size", Value::Int(ids->length));
      }
    }
    out.Append(arena_, one);
  }
  return out;
}

Value Config::Namespaces() {
  Value out = Value::Array();
  const auto join = [&](std::string_view type, std::string_view file, int pid) {
    Value one = Value::Object();
    Set(one, "type", Text(type));
    if (!file.empty()) Set(one, "path", Text("/proc/" + std::to_string(pid) + "/ns/" + std::string(file)));
    out.Append(arena_, one);
  };
  const BundleSandbox& sandbox = spec_.sandbox;
  const auto add = [&](std::string_view type, std::string_view file) { join(type, file, sandbox.infra_pid); };
  if (sandbox.user_namespace) add("user", "user");
  if (sandbox.pid_target > 0) {
    join("pid", "pid", sandbox.pid_target);
  } else if (sandbox.pid_per_container) {
    add("pid", "");
  } else if (sandbox.pid == NamespaceMode::kPod) {
    add("pid", "pid");
  }
  if (sandbox.network == NamespaceMode::kPod) {
    add("network", "net");
    add("uts", "uts");
  }
  if (sandbox.ipc == NamespaceMode::kPod) add("ipc", "ipc");
  add("mount", "");
  if (spec_.host.cgroup_v2 && !container_.security.privileged) add("cgroup", "");
  return out;
}

Value Config::Resources() {
  const CgroupResources& r = container_.resources;
  Value out = Value::Object();
  Value device = Value::Object();
  Set(device, "allow", Value::Bool(container_.security.privileged));
  Set(device, "access", Text("rwm"));
  Value& rules = Set(out, "devices", Value::Array());
  rules.Append(arena_, device);
  for (const kernel::Device& given : spec_.devices) {
    if (given.access.empty()) continue;
    Value rule = Value::Object();
    Set(rule, "allow", Value::Bool(true));
    Set(rule, "type", Text(std::string_view(&given.type, 1)));
    Set(rule, "major", Value::Int(given.major));
    Set(rule, "minor", Value::Int(given.minor));
    Set(rule, "access", Text(given.access));
    rules.Append(arena_, rule);
  }
  Value cpu = Value::Object();
  if (r.cpu_shares > 0 && !spec_.host.cgroup_v2) Set(cpu, "shares", Value::Int(r.cpu_shares));
  if (r.cpu_quota_us > 0) {
    Set(cpu, "quota", Value::Int(r.cpu_quota_us));
    Set(cpu, "period", Value::Int(r.cpu_period_us));
  }
  if (!cpu.empty()) Set(out, "cpu", cpu);
  if (r.memory_limit > 0) {
    Value memory = Value::Object();
    Set(memory, "limit", Value::Int(r.memory_limit));
    if (spec_.host.swap_limit) Set(memory, "swap", Value::Int(r.memory_limit));
    Set(out, "memory", memory);
  }
  Value huge_pages = Value::Array();
  for (const auto& [size, bytes] : r.huge_pages) {
    Value one = Value::Object();
    Set(one, "pageSize", Text(size));
    Set(one, "limit", Value::Int(bytes));
    huge_pages.Append(arena_, one);
  }
  if (!huge_pages.empty()) Set(out, "hugepageLimits", huge_pages);
  if (r.pids_limit > 0) Set(Set(out, "pids", Value::Object()), "limit", Value::Int(r.pids_limit));
  if (r.cpu_shares > 0 && spec_.host.cgroup_v2) {
    Set(Set(out, "unified", Value::Object()), "cpu.weight", Text(std::to_string(CpuWeight(r.cpu_shares))));
  }
  return out;
}

Value Config::Devices() {
  Value out = Value::Array();
  for (const kernel::Device& device : spec_.devices) {
    Value one = Value::Object();
    Set(one, "path", Text(device.path));
    Set(one, "type", Text(std::string_view(&device.type, 1)));
    Set(one, "major", Value::Int(device.major));
    Set(one, "minor", Value::Int(device.minor));
    Set(one, "fileMode", Value::Int(device.mode));
    Set(one, "uid", Value::Int(device.uid));
    Set(one, "gid", Value::Int(device.gid));
    out.Append(arena_, one);
  }
  return out;
}

Result<Value> Config::Linux() {
  Value out = Value::Object();
  Set(out, "cgroupsPath", Text(spec_.cgroup_path));
  Set(out, "namespaces", Namespaces());
  Set(out, "resources", Resources());
  // The container's root has to let through what a volume of it is to show, or to give back.
  MountPropagation most = MountPropagation::kPrivate;
  for (const MountSpec& mount : container_.mounts) most = std::max(most, mount.propagation);
  if (most != MountPropagation::kPrivate) Set(out, "rootfsPropagation", Text(PropagationOption(most)));
  if (!spec_.devices.empty()) Set(out, "devices", Devices());
  if (container_.security.privileged) return out;
  if (!container_.security.unmasked_proc) {
    Set(out, "maskedPaths", List(kMaskedPaths));
    Set(out, "readonlyPaths", List(kReadOnlyPaths));
  }
  if (!spec_.seccomp.empty()) {
    seccomp_ = TRY(doc::ParseJson(spec_.seccomp).Context("the seccomp profile"));
    if (!seccomp_.root.is_object()) return BadRequest("the seccomp profile is no JSON object");
    Set(out, "seccomp", seccomp_.root);
  }
  return out;
}

Result<std::string> Config::Make() {
  Value root = Value::Object();
  Set(root, "ociVersion", Text("1.0.2"));
  Set(root, "process", TRY(Process()));
  Value& files = Set(root, "root", Value::Object());
  Set(files, "path", Text(spec_.root_path));
  Set(files, "readonly", Value::Bool(container_.security.read_only_root));
  Set(root, "mounts", Mounts());
  Set(root, "linux", TRY(Linux()));
  return doc::ToJson(root);
}

}  // namespace

std::span<const std::string_view> MaskedPaths() { return kMaskedPaths; }

std::span<const std::string_view> ReadOnlyPaths() { return kReadOnlyPaths; }

Result<std::string> MakeConfig(const BundleSpec& spec) { return Config(spec).Make(); }

Result<std::string> MakeExecProcess(std::string_view config, const std::vector<std::string>& command, bool tty) {
  doc::Document document = TRY(doc::ParseJson(config).Context("the container's config.json"));
  Value* process = document.root.Find("process");
  if (process == nullptr || !process->is_object()) return BadRequest("the container's config.json has no process");
  doc::Arena& arena = document.arena;
  Value args = Value::Array();
  for (const std::string& arg : command) args.Append(arena, Value::Borrow(arg));
  process->Set(arena, "args", args);
  process->Set(arena, "terminal", Value::Bool(tty));
  if (tty) {
    Value* environment = process->Find("env");
    const bool has = environment != nullptr && std::ranges::any_of(environment->items(), [](const Value& entry) {
                       return entry.AsString().starts_with("TERM=");
                     });
    if (environment != nullptr && !has) environment->Append(arena, Value::Borrow("TERM=xterm"));
  }
  return doc::ToJson(*process);
}

}  // namespace knarr::runtime
