#pragma once

// Store and API server of a simulated cluster: one process, which can crash and start again on the same disk. What is
// on the way to the disk then is there afterwards, or not; every call that is being answered loses its answer; watches
// end. The ways to it, and its store as others see it, outlive a crash, as addresses do.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "apiserver/apiserver.h"
#include "client/client.h"
#include "rt/runtime.h"
#include "sim/journal.h"
#include "sim/sim_disk.h"
#include "store/store.h"

namespace knarr::sim {

class ServerProcess {
 public:
  /// `disk` and `journal` outlive it. Call Start before anything else.
  ServerProcess(rt::Runtime& runtime, SimDisk& disk, Journal& journal, apiserver::SecurityOptions security);
  /// REQUIRES: Stop was called.
  ~ServerProcess();

  void Start();
  void Crash();
  /// Ends it for good.
  void Stop();
  bool up() const { return up_; }

  /// A way in as a user: it refuses while the process is down. The process outlives it.
  std::unique_ptr<client::Client> Way(apiserver::UserInfo user, std::string agent);
  /// The store, whichever process has it open. While none has, as it was last.
  store::Store& store();
  /// REQUIRES: up.
  apiserver::ApiServer& api() { return *api_; }

 private:
  friend class Crossing;
  friend class WayClient;
  friend class WayStream;
  class Shown;
  /// What holds something of the process's, or is inside it, in the order of coming.
  template <typename T>
  using Ordered = std::map<uint64_t, T*>;

  rt::Runtime& runtime_;
  SimDisk& disk_;
  Journal& journal_;
  const apiserver::SecurityOptions security_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Shown> shown_;
  std::unique_ptr<apiserver::ApiServer> api_;
  bool up_ = false;
  uint64_t next_id_ = 0;
  Ordered<class Crossing> crossings_;
  Ordered<class WayClient> ways_;
  Ordered<class WayStream> streams_;
};

}  // namespace knarr::sim
