#pragma once

// A watcher of pods through the API, whose stream breaks now and then and goes on from the last event it saw. What it
// saw in the end must be every change the store made, once, in order.

#include <string>
#include <vector>

#include "client/client.h"
#include "rt/runtime.h"
#include "sim/auditor.h"
#include "sim/journal.h"
#include "store/store.h"

namespace knarr::sim {

class Witness {
 public:
  /// Breaks off its watch after `patience` batches of events on average; 0: never.
  Witness(rt::Runtime& runtime, client::Client& client, const store::Store& store, Journal& journal,
          std::string name, int patience);
  void Start();
  void Stop();
  /// Compares with the changes the auditor saw, once this witness has had the time to see them, too.
  Ok Check(const Auditor& auditor);

 private:
  void Run();
  Ok Watch();
  rt::Runtime& runtime_;
  client::Client& client_;
  const store::Store& store_;
  Journal& journal_;
  const std::string name_;
  const int patience_;
  std::string revision_;
  std::vector<std::string> seen_;
  rt::TaskGroup tasks_;
};

}  // namespace knarr::sim
