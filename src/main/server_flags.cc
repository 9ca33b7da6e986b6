#include "main/server_flags.h"

#include <fmt/format.h>

#include <span>

#include "base/strings.h"
#include "cli/flags.h"
#include "doc/yaml.h"
#include "rt/file_system.h"

namespace knarr::main {
namespace {

constexpr size_t kConfigMax = 1 << 20;

void RegisterPolicyFlags(cli::FlagSet& flags, PolicyFlags& out) {
  flags.Int(&out.requests_max, "max-requests-inflight", 0, "Requests that only read, answered at once; more get 429");
  flags.Int(&out.writing_requests_max, "max-mutating-requests-inflight", 0,
            "Requests that change something, answered at once; more get 429");
  flags.String(&out.node_ports, "service-node-port-range", 0, "The ports of nodes that Services get");
  flags.StringSlice(&out.enable_admission, "enable-admission-plugins", 0,
                    "Admission plugins to switch on besides those that are on by default");
  flags.StringSlice(&out.disable_admission, "disable-admission-plugins", 0, "Admission plugins to switch off");
  flags.String(&out.admission_file, "admission-control-config-file", 0,
               "An AdmissionConfiguration: the configuration of admission plugins");
  flags.Int(&out.not_ready_toleration_seconds, "default-not-ready-toleration-seconds", 0,
            "How long pods stay on a node that is not ready, unless they say otherwise");
  flags.Int(&out.unreachable_toleration_seconds, "default-unreachable-toleration-seconds", 0,
            "How long pods stay on a node that can't be reached, unless they say otherwise");
  flags.String(
      &out.encryption_file, "encryption-provider-config", 0,
      "An EncryptionConfiguration: what is encrypted on the disk, and with which keys, instead of secrets with "
      "a key of the server's own");
  flags.String(&out.audit_policy_file, "audit-policy-file", 0, "An audit Policy: what of which requests is logged");
  flags.String(&out.audit_log, "audit-log-path", 0, "The audit log; - is standard output");
  flags.Int(&out.audit_max_size_megabytes, "audit-log-maxsize", 0,
            "The size in megabytes at which the audit log is rotated; 0: never");
  flags.Int(&out.audit_max_backups, "audit-log-maxbackup", 0, "How many rotated audit logs are kept; 0: all");
  flags.Int(&out.audit_max_age_days, "audit-log-maxage", 0, "How many days rotated audit logs are kept; 0: for ever");
}

void Register(cli::FlagSet& flags, ServerFlags& out, std::string& config, int64_t& io_threads) {
  ServerOptions& options = out.options;
  flags.Bool(&out.help, "help", 'h', "Show this text");
  flags.String(&config, "config", 0, "A YAML file with these flags' names as keys; the command line wins");
  flags.String(&options.data_directory, "data-dir", 0, "The folder of everything the server keeps");
  flags.String(&options.listen, "listen", 0, "Address and port of the API");
  flags.String(&options.kubeconfig, "write-kubeconfig", 0,
               "The kubeconfig that gets this cluster's entry; nothing else in it is changed");
  flags.Bool(&options.no_node, "no-node", 0, "The control plane alone: this machine runs no pods");
  flags.Int(&options.hollow.count, "hollow-nodes", 0, "Simulated nodes, whose pods run only on paper");
  flags.String(&options.hollow.config, "hollow-nodes-config", 0,
               "A file that describes the hollow nodes and how their pods live");
  flags.String(&options.node_name, "node-name", 0, "The node's name, instead of the host's");
  flags.String(&options.node_ip, "node-ip", 0, "The node's address, instead of its first link's");
  flags.String(&options.log_directory, "log-dir", 0, "The folder of the containers' logs");
  flags.String(&options.local_storage_path, "local-storage-path", 0,
               "The folder of local volumes, instead of storage in the data folder");
  flags.Bool(&options.no_local_storage, "no-local-storage", 0,
             "No storage class local-path, and no volumes made for claims on this node's disk");
  flags.String(&options.oci_runtime, "oci-runtime", 0, "The OCI runtime program");
  RegisterNodeRuntimeFlags(flags, options.node_runtime);
  flags.String(&options.cluster_cidr, "cluster-cidr", 0, "The range of pod addresses");
  flags.String(&options.service_cidr, "service-cidr", 0, "The range of service addresses");
  flags.String(&options.bridge, "bridge", 0, "The name of the pod network's bridge");
  flags.Int(&io_threads, "io-threads", 0, "Threads that serve connections");
  RegisterEtcdFlags(flags, options.etcd);
  RegisterSecurityFlags(flags, options.security);
  RegisterPolicyFlags(flags, options.policy);
  RegisterNodeFlags(flags, options.node);
}

Result<std::string> FlagText(const doc::Value& value) {
  if (value.is_string()) return std::string(value.AsString());
  if (value.is_int()) return std::to_string(value.AsInt());
  if (value.is_bool()) return std::string(value.AsBool() ? "true" : "false");
  return BadRequest("want a string, a number or a boolean");
}

/// The file's entries as arguments, so that both are read and checked by the same code.
Result<std::vector<std::string>> ConfigArguments(rt::Runtime& runtime, const std::string& path) {
  std::string text = TRY(runtime.files().ReadFile(path, kConfigMax).Context("--config"));
  doc::YamlDocument parsed = TRY(doc::ParseYaml(text).Context(path));
  const doc::Document& document = parsed.document;
  if (document.root.is_null()) return std::vector<std::string>();
  if (!document.root.is_object()) return BadRequest(path + ": want flags' names and values");
  std::vector<std::string> args;
  for (const doc::Member& member : document.root.members()) {
    if (member.key == "config" || member.key == "help") {
      return BadRequest(fmt::format("{}: {} can't be set in a config file", path, member.key));
    }
    // A list is the flag given several times.
    const std::span<const doc::Value> values =
        member.value.is_array() ? member.value.items() : std::span<const doc::Value>(&member.value, 1);
    for (const doc::Value& value : values) {
      args.push_back(
          fmt::format("--{}={}", member.key, TRY(FlagText(value).Context(path + ": " + std::string(member.key)))));
    }
  }
  return args;
}

/// The folder's one name: it becomes a part of other names (control groups, tables), which must come out the same each
/// time; and what is in it will be removed.
Result<std::string> FolderName(std::string_view path) {
  if (!path.starts_with('/')) return BadRequest("want an absolute path");
  std::string out;
  for (const std::string_view part : Split(path, '/')) {
    if (part == "..") return BadRequest("want a path without ..");
    if (!part.empty() && part != ".") out.append("/").append(part);
  }
  if (out.empty()) return BadRequest("want a folder of its own");
  return out;
}

/// Where kubectl of the user who started the server (also through sudo) looks.
std::string DefaultKubeconfig(const cli::Environment& env) {
  std::string named = env("KUBECONFIG").value_or("");
  named = named.substr(0, named.find(':'));
  if (!named.empty()) return named;
  std::string home = env("HOME").value_or("");
  return home.empty() ? "" : home + "/.kube/config";
}

}  // namespace

Result<ServerFlags> ParseServerFlags(rt::Runtime& runtime, const std::vector<std::string>& args,
                                     const cli::Environment& env) {
  std::string config;
  {
    // A first look for --config only; what it finds wrong is reported by the second, with the file's flags before it.
    ServerFlags scratch;
    int64_t threads = 1;
    cli::FlagSet flags;
    Register(flags, scratch, config, threads);
    TRY(flags.Parse(args));
  }
  std::vector<std::string> all;
  if (!config.empty()) all = TRY(ConfigArguments(runtime, config));
  const size_t from_file = all.size();
  all.insert(all.end(), args.begin(), args.end());
  ServerFlags out;
  int64_t io_threads = out.options.io_threads;
  cli::FlagSet flags;
  Register(flags, out, config, io_threads);
  Result<std::vector<std::string>> rest = flags.Parse(all);
  if (!rest.ok()) return from_file > 0 ? rest.status().WithContext(config) : rest.status();
  if (!rest->empty()) return BadRequest(fmt::format("unexpected argument {}", GoQuote(rest->front())));
  if (io_threads < 1 || io_threads > 64) return BadRequest("--io-threads: want 1 to 64");
  out.options.io_threads = static_cast<int>(io_threads);
  // An empty one would mean a store of this server's own, which nobody who gives the flag wants.
  if (flags.Changed("etcd-servers") && out.options.etcd.servers.empty())
    return BadRequest("--etcd-servers: want a URL");
  TRY(CheckNodeRuntimeFlags(out.options.node_runtime));
  const HollowFlags& hollow = out.options.hollow;
  if (hollow.count < 0) return BadRequest("--hollow-nodes: want a number of nodes");
  if (hollow.count == 0 && !hollow.config.empty()) return BadRequest("--hollow-nodes-config: wants --hollow-nodes");
  out.usage = "Usage:\n  knarr server [flags]\n\nFlags:\n" + flags.Usage();
  out.options.data_directory = TRY(FolderName(out.options.data_directory).Context("--data-dir"));
  if (!out.options.log_directory.empty()) {
    out.options.log_directory = TRY(FolderName(out.options.log_directory).Context("--log-dir"));
  }
  out.options.node.system_bus = env("DBUS_SYSTEM_BUS_ADDRESS").value_or("");
  TRY(CheckNodeFlags(out.options.node));
  if (!out.options.local_storage_path.empty()) {
    out.options.local_storage_path = TRY(FolderName(out.options.local_storage_path).Context("--local-storage-path"));
  }
  if (out.options.kubeconfig.empty()) out.options.kubeconfig = DefaultKubeconfig(env);
  return out;
}

}  // namespace knarr::main
