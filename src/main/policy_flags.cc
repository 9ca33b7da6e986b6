#include "main/policy_flags.h"

#include <fmt/format.h>

#include "apiserver/encryption.h"
#include "base/strings.h"
#include "doc/json.h"
#include "doc/yaml.h"
#include "rt/file_system.h"

namespace knarr::main {
namespace {

constexpr size_t kFileMax = 1 << 20;

}  // namespace

Result<std::shared_ptr<const store::Sealer>> ReadSealer(rt::Runtime& runtime, const PolicyFlags& options,
                                                        const std::string& data_directory) {
  rt::FileSystem& files = runtime.files();
  const bool own = options.encryption_file.empty();
  const std::string path = own ? data_directory + "/encryption.yaml" : options.encryption_file;
  Result<std::string> text = files.ReadFile(path, kFileMax);
  if (own && text.Failed(Reason::kNotFound)) {
    // It must be there for good before anything is sealed with its key.
    text = TRY(apiserver::NewEncryptionConfiguration());
    TRY(files.WriteFileAtomic(path, *text, 0600));
  }
  if (!text.ok()) return text.status().WithContext(own ? path : "--encryption-provider-config");
  auto sealer = apiserver::MakeSealer(*text);
  if (!sealer.ok()) return sealer.status().WithContext(path);
  return sealer;
}

Ok ApplyRequestFlags(const PolicyFlags& options, apiserver::ApiServerOptions& out) {
  if (options.requests_max < 1) return BadRequest("--max-requests-inflight: want at least 1");
  if (options.writing_requests_max < 1) return BadRequest("--max-mutating-requests-inflight: want at least 1");
  out.in_flight_max = static_cast<size_t>(options.requests_max);
  out.in_flight_writes_max = static_cast<size_t>(options.writing_requests_max);
  const std::string_view range = options.node_ports;
  const size_t dash = range.find('-');
  const Result<int64_t> first = ParseInt64(range.substr(0, dash));
  const Result<int64_t> last = dash == range.npos ? first : ParseInt64(range.substr(dash + 1));
  constexpr int64_t kPortMax = 65535;
  if (!first.ok() || !last.ok() || *first < 1 || *first > *last || *last > kPortMax) {
    return BadRequest(fmt::format("--service-node-port-range: {}: want two ports with a dash between", GoQuote(range)));
  }
  out.node_port_first = static_cast<uint16_t>(*first);
  out.node_port_last = static_cast<uint16_t>(*last);
  return {};
}

Result<apiserver::AdmissionOptions> ReadAdmissionOptions(rt::Runtime& runtime, const PolicyFlags& options) {
  apiserver::AdmissionOptions out;
  out.enable = options.enable_admission;
  out.disable = options.disable_admission;
  out.not_ready_toleration_seconds = options.not_ready_toleration_seconds;
  out.unreachable_toleration_seconds = options.unreachable_toleration_seconds;
  const std::string& path = options.admission_file;
  if (path.empty()) return out;
  rt::FileSystem& files = runtime.files();
  const std::string text = TRY(files.ReadFile(path, kFileMax).Context("--admission-control-config-file"));
  const doc::YamlDocument parsed = TRY(doc::ParseYaml(text).Context(path));
  const doc::Value& root = parsed.document.root;
  if (root.At("kind").AsString() != "AdmissionConfiguration" ||
      !root.At("apiVersion").AsString().starts_with("apiserver.config.k8s.io/")) {
    return BadRequest(fmt::format("{}: want an AdmissionConfiguration of apiserver.config.k8s.io/v1", path));
  }
  for (const doc::Value& plugin : root.At("plugins").items()) {
    const std::string name(plugin.At("name").AsString());
    std::string file(plugin.At("path").AsString());
    if (!plugin.At("configuration").is_null()) {
      out.configuration[name] = doc::ToJson(plugin.At("configuration"));
    } else if (!file.empty()) {
      // Relative to the file that names it.
      if (!file.starts_with('/')) file = path.substr(0, path.rfind('/') + 1) + file;
      out.configuration[name] = TRY(files.ReadFile(file, kFileMax).Context(path + ": " + name));
    }
  }
  return out;
}

Result<apiserver::AuditOptions> ReadAuditOptions(rt::Runtime& runtime, const PolicyFlags& options) {
  apiserver::AuditOptions out;
  out.path = options.audit_log;
  out.max_size_megabytes = options.audit_max_size_megabytes;
  out.max_backups = options.audit_max_backups;
  out.max_age_days = options.audit_max_age_days;
  if (out.max_size_megabytes < 0 || out.max_backups < 0 || out.max_age_days < 0) {
    return BadRequest("--audit-log-maxsize, --audit-log-maxbackup and --audit-log-maxage can't be negative numbers");
  }
  if (!options.audit_policy_file.empty()) {
    out.policy = TRY(runtime.files().ReadFile(options.audit_policy_file, kFileMax).Context("--audit-policy-file"));
  }
  return out;
}

}  // namespace knarr::main
