#pragma once

// Where the cluster's state is: in the server's own folder, or in an etcd cluster that several servers share.
// kube-apiserver's flags, and two for a user with a password.

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/flags.h"
#include "rt/file_lock.h"
#include "rt/runtime.h"
#include "store/store.h"

namespace knarr::main {

struct EtcdFlags {
  std::vector<std::string> servers;  ///< none: the server's own store
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  std::string prefix = "/knarr";
  Duration compaction_interval = std::chrono::minutes(5);
  std::string user;
  std::string password_file;
  bool operator==(const EtcdFlags&) const = default;
};

void RegisterEtcdFlags(cli::FlagSet& flags, EtcdFlags& out);

struct OpenedStore {
  std::unique_ptr<store::Store> store;
  /// Of the data folder, where the store has none of its own.
  std::unique_ptr<rt::FileLock> lock;
};
/// The embedded store, or the one in etcd, of which `embedded` has the sealer and the folder that is locked. BadRequest
/// names the flag. World fiber.
Result<OpenedStore> OpenStore(rt::Runtime& world, const EtcdFlags& flags, store::EmbeddedOptions embedded);

}  // namespace knarr::main
