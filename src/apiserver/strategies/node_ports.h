#pragma once

// The node ports that Services hold: derived from the stored Services, so that no crash can leave a port taken by
// nobody or given twice. World thread only.
//
// Servers that share a store each derive them. So that two don't give the same port at once, a write that takes one
// also writes a key they have in common, comparing it: whoever comes second tries again with what the first has left.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/strategy.h"
#include "base/status.h"
#include "doc/value.h"
#include "store/store.h"

namespace knarr::apiserver {

/// Numbers from a range, each with the Service that holds it. The lower part is handed out only when it is asked for by
/// number, or when nothing else is left: so that what users fix in their manifests is seldom taken already.
class PortPool {
 public:
  PortPool(int64_t first, int64_t last);
  bool Has(int64_t port) const { return port >= first_ && port <= last_; }
  /// False when it is taken.
  bool Take(int64_t port, std::string_view owner);
  /// Whoever had it.
  void Assign(int64_t port, std::string_view owner);
  /// A free port, looked for from a random place. nullopt when all are taken.
  std::optional<int64_t> TakeAny(uint64_t random, std::string_view owner);
  void Give(int64_t port, std::string_view owner);
  void Clear() { owners_.clear(); }
  /// "30000-32767"
  std::string Range() const;

 private:
  std::optional<int64_t> FindFree(int64_t first, int64_t count, uint64_t random) const;
  int64_t first_;
  int64_t last_;
  int64_t fixed_;  ///< how many of the lower part
  std::map<int64_t, std::string> owners_;
};

class NodePorts {
 public:
  NodePorts(const api::KindInfo& kind, int64_t first, int64_t last) : kind_(kind), pool_(first, last) {}

  /// Takes what a Service is to have and `old` has not, and fills it in. Invalid or InternalError, as upstream says it.
  Ok Reserve(const ReserveContext& context, doc::Document& service, const doc::Value* old, Reservation& out);
  void Release(const ReserveContext& context, const doc::Value& service, Reservation& out);

 private:
  /// Brings the pool up to the newest state.
  void Refresh(const store::Store& store);
  void Load(const store::Snapshot& snapshot);
  void Follow(const store::Event& event);
  /// Takes the turn of all servers.
  static store::Op TurnOp();
  Ok TakePorts(const ReserveContext& context, doc::Document& service, const doc::Value* old,
               std::vector<int64_t>& taken);
  Ok TakeHealthPort(const ReserveContext& context, doc::Document& service, const doc::Value* old,
                    std::vector<int64_t>& taken);
  /// "" or what is wrong.
  std::string Take(int64_t port, std::string_view owner, std::vector<int64_t>& taken);
  std::optional<int64_t> TakeAny(const ReserveContext& context, std::string_view owner, std::vector<int64_t>& taken);

  const api::KindInfo& kind_;
  PortPool pool_;
  bool loaded_ = false;
  store::Revision known_ = 0;               ///< up to here the pool has what was stored
  std::map<int64_t, std::string> pending_;  ///< taken by writes under way
};

}  // namespace knarr::apiserver
