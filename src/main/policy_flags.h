#pragma once

// The files behind some of the server's flags: what is encrypted on the disk, how admission plugins are configured.

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
  std::string encryption_file;  ///< EncryptionConfiguration; "": the server's own, "<data>/encryption.yaml"
};

/// From the configuration that is named, or the server's own, made on first use. Errors name the file.
Result<std::shared_ptr<const store::Sealer>> ReadSealer(rt::Runtime& runtime, const PolicyFlags& options,
                                                        const std::string& data_directory);

/// The flags and the plugins' configurations, which may lie in files of their own.
Result<apiserver::AdmissionOptions> ReadAdmissionOptions(rt::Runtime& runtime, const PolicyFlags& options);

}  // namespace knarr::main
