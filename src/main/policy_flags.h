#pragma once

// Flags about what the API server lets through, and the files behind some of them: how many requests at once, how
// admission plugins are configured, what is encrypted on the disk.

#include <memory>
#include <string>
#include <vector>

#include "apiserver/apiserver.h"
#include "base/status.h"
#include "rt/runtime.h"
#include "store/sealer.h"

namespace knarr::main {

struct PolicyFlags {
  std::vector<std::string> enable_admission;
  std::vector<std::string> disable_admission;
  std::string admission_file;  ///< AdmissionConfiguration; "": none
  int64_t not_ready_toleration_seconds = 300;
  int64_t unreachable_toleration_seconds = 300;
  int64_t requests_max = 2000;          ///< at once, of those that only read
  int64_t writing_requests_max = 1000;  ///< at once, of those that change something
  std::string node_ports = "30000-32767";
  std::string audit_policy_file;  ///< audit.k8s.io/v1 Policy; "": nothing is logged
  std::string audit_log;          ///< "": nothing is logged
  int64_t audit_max_size_megabytes = 100;
  int64_t audit_max_backups = 100;
  int64_t audit_max_age_days = 0;
  std::string encryption_file;  ///< EncryptionConfiguration; "": the server's own, "<data>/encryption.yaml"
};

/// From the configuration that is named, or the server's own, made on first use. Errors name the file.
Result<std::shared_ptr<const store::Sealer>> ReadSealer(rt::Runtime& runtime, const PolicyFlags& options,
                                                        const std::string& data_directory);

/// Checks the bounds on requests and the range of node ports, and sets them in `out`.
Ok ApplyRequestFlags(const PolicyFlags& options, apiserver::ApiServerOptions& out);

/// The flags and the plugins' configurations, which may lie in files of their own.
Result<apiserver::AdmissionOptions> ReadAdmissionOptions(rt::Runtime& runtime, const PolicyFlags& options);

/// The audit flags, with the policy's text.
Result<apiserver::AuditOptions> ReadAuditOptions(rt::Runtime& runtime, const PolicyFlags& options);

}  // namespace knarr::main
