#pragma once

// Plays a scenario on a stage: a simulation, or a cluster that is reached over the network.

#include <functional>
#include <set>
#include <string>

#include "client/client.h"
#include "rt/runtime.h"
#include "sim/scenario.h"

namespace knarr::sim {

/// What a scenario acts on, and what only some of them can do.
class Stage {
 public:
  virtual ~Stage() = default;
  virtual rt::Runtime& runtime() = 0;
  virtual client::Client& client() = 0;
  /// Where time costs nothing.
  virtual bool simulated() const = 0;
  /// There are so many nodes from now on.
  virtual Ok MakeNodes(const Statement& statement) = 0;
  /// pods-live, fault, faults, disk, calm, converge.
  virtual Ok Direct(const Statement& statement) = 0;
  /// Told of every statement and how it ended.
  virtual void Note(const std::string& text) = 0;
  /// Something is wrong that is no statement's: there is no point in going on.
  virtual bool failed() const { return false; }
  /// Whether a statement that is tried may fail so, here and now.
  virtual bool Excuses(const Status& status) const {
    (void)status;
    return false;
  }
  /// A file that a statement names.
  virtual Result<std::string> ReadFile(const std::string& path) = 0;
};

struct PlayOptions {
  /// Longer "advance" statements than this are not waited for outside a simulation: the scenario is skipped.
  Duration advance_most = std::chrono::minutes(2);
  /// Outside a simulation: the namespace of what names none, deleted at the end.
  std::string ns = "scenario";
};

struct PlayResult {
  enum class Outcome : uint8_t { kPassed, kFailed, kSkipped };
  Outcome outcome = Outcome::kPassed;
  std::string message;  ///< what failed, with file and line; why it was skipped
};

PlayResult Play(const Scenario& scenario, Stage& stage, const PlayOptions& options);

/// Put on an object by hold.
constexpr std::string_view kHoldFinalizer = "example.com/hold";

/// Whether the refusal is one that happens to whoever acts without looking first.
bool IsOrdinaryRefusal(const Status& status);

/// A kind by any of its names: "pods", "pod", "po", "Pod", "replicasets.apps".
const api::KindInfo* FindKindByName(std::string_view name);

}  // namespace knarr::sim
