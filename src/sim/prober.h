#pragma once

// A client that looks closely: reads a list in pages while others write, and compares it with the state that its first
// page was of; writes, lists and watches at once, and must not be told again what the list showed.

#include "client/client.h"
#include "rt/runtime.h"
#include "sim/journal.h"

namespace knarr::sim {

class Prober {
 public:
  Prober(rt::Runtime& runtime, client::Client& client, Journal& journal);
  void Start();
  void Stop();
  /// While the cluster is to be left alone.
  void Rest(bool rest) { rests_ = rest; }

 private:
  void Run();
  Ok ReadPages();
  Ok WatchFromList();

  rt::Runtime& runtime_;
  client::Client& client_;
  Journal& journal_;
  bool rests_ = false;
  rt::TaskGroup tasks_;
};

}  // namespace knarr::sim
