#pragma once

// `knarr server`: everything of a cluster in one process. Wiring only.

#include <string>

#include "base/status.h"
#include "main/etcd_flags.h"
#include "main/hollow.h"
#include "main/node_flags.h"
#include "main/node_runtime.h"
#include "main/policy_flags.h"
#include "main/security_flags.h"
#include "rt/real.h"

namespace knarr::main {

struct ServerOptions {
  std::string data_directory = "/var/lib/knarr";
  std::string listen = "127.0.0.1:6443";
  std::string kubeconfig;     ///< --write-kubeconfig; "": ~/.kube/config of who started it
  std::string node_name;      ///< "": the host's name
  std::string node_ip;        ///< "": the address of the first link that is up
  std::string log_directory;  ///< "": /var/log/pods with the default data directory, else "<data>/log/pods"
  std::string local_storage_path;  ///< of local volumes' folders; "": "<data>/storage"
  bool no_local_storage = false;
  std::string oci_runtime = "crun";
  NodeRuntimeFlags node_runtime;
  std::string cluster_cidr = "10.42.0.0/16";
  std::string service_cidr = "10.43.0.0/16";
  std::string bridge = "knarr0";
  bool no_node = false;
  HollowFlags hollow;
  int io_threads = 1;
  EtcdFlags etcd;
  SecurityFlags security;
  PolicyFlags policy;
  NodeFlags node;
};

/// Runs until SIGTERM or SIGINT. World fiber.
Ok RunServer(rt::RealRuntime& world, std::shared_ptr<rt::BlockingPool> pool, const ServerOptions& options);

/// Ends everything of a stopped server that still runs and removes every trace of it. World fiber.
Ok Uninstall(rt::Runtime& runtime, const ServerOptions& options);

}  // namespace knarr::main
