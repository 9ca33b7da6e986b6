// knarr-shim: see runtime/shim/shim.h. Started by the engine, never by hand.
//
//   knarr-shim <sandbox folder> <OCI runtime> <its state folder> <ready descriptor> <namespaces: n, i, u, p> <hostname>
//              [<first id> <number of ids> of a user namespace]

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "runtime/shim/shim.h"

int main(int argc, char** argv) {
  int64_t ready_fd = -1;
  int64_t first_id = 0;
  int64_t id_count = 0;
  const bool own_users = argc == 9;
  const bool ids_good = !own_users || (knarr::shim::ParseNumber(argv[7], first_id) &&
                                       knarr::shim::ParseNumber(argv[8], id_count) && first_id > 0 && id_count > 0);
  if ((argc != 7 && !own_users) || !ids_good || !knarr::shim::ParseNumber(argv[4], ready_fd) || ready_fd < 3 ||
      ready_fd > 1024) {
    fputs("knarr-shim is started by knarr\n", stderr);
    return 2;
  }
  knarr::shim::ShimOptions options;
  if (own_users) {
    options.infra.clone_flags = CLONE_NEWUSER;
    snprintf(options.infra.ids, sizeof(options.infra.ids), "0 %lld %lld", static_cast<long long>(first_id),
             static_cast<long long>(id_count));
    options.first_id = static_cast<uid_t>(first_id);
  }
  options.directory = argv[1];
  options.oci_runtime = argv[2];
  options.oci_root = argv[3];
  options.ready_fd = static_cast<int>(ready_fd);
  options.infra.hostname = argv[6];
  for (const char* letter = argv[5]; *letter != '\0'; letter++) {
    options.infra.clone_flags |= *letter == 'n'   ? CLONE_NEWNET
                                 : *letter == 'i' ? CLONE_NEWIPC
                                 : *letter == 'u' ? CLONE_NEWUTS
                                 : *letter == 'p' ? CLONE_NEWPID
                                                  : 0;
  }
  knarr::shim::Shim shim(options);
  return shim.Run();
}
