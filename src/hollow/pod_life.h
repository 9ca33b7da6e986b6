#pragma once

// The life of one pod on a simulated node: which of its containers run, when the next thing happens, and how its status
// shows it. A plain state machine: no client, no fibers.

#include <string>
#include <vector>

#include "api/core_v1.h"
#include "hollow/life_cycles.h"
#include "rt/runtime.h"

namespace knarr::hollow {

/// Where a pod is, for its status.
struct Placement {
  std::string pod_ip;
  std::string host_ip;
};

class PodLife {
 public:
  /// Begins with the pod's arrival. Containers that its status counts as running are taken over as they are with
  /// `adopt`; without, they are started anew (their machine was restarted). `cycle` outlives it.
  PodLife(rt::Runtime& runtime, const PodLifeCycle& cycle, api::core_v1::Pod pod, bool adopt);

  /// Does what is due by now. When to come again; MonoTime::max(): nothing happens by itself.
  MonoTime Advance(MonoTime now);
  /// Asks it to end within the grace; by when it has.
  MonoTime Stop(Duration grace);
  /// Nothing ends by itself any more.
  void Calm();

  /// Some container of it runs.
  bool running() const;
  /// Ended for good: nothing will run again.
  bool finished() const;
  std::string_view phase() const;
  bool ready() const;
  /// Rises whenever the status shows something else than before.
  uint32_t version() const { return version_; }
  /// The whole status, as a patch of what a node's agent owns.
  void Fill(api::core_v1::Pod pod, const Placement& place, api::core_v1::PodStatusEdit status) const;

 private:
  enum class State : uint8_t { kWaiting, kRunning, kEnded, kStuck };
  struct Container {
    State state = State::kWaiting;
    bool init = false;
    bool sidecar = false;  ///< an init container that goes on
    const Outcome* outcome = nullptr;
    int restarts = 0;
    int exit_code = 0;
    int last_exit_code = -1;  ///< of the run before; -1: there was none
    MonoTime next = MonoTime::max();
    WallTime started{};
    WallTime ended{};
    WallTime last_started{};
    WallTime last_ended{};
  };

  enum class Restart : uint8_t { kAlways, kOnFailure, kNever };
  void TakeOver(api::core_v1::Pod pod);
  /// Whether something happened.
  bool Step(Container& container, MonoTime now);
  void StartContainer(Container& container, MonoTime now);
  void EndContainer(Container& container, MonoTime now, int exit_code);
  const Outcome* DrawOutcome();
  Duration BackOff(const Container& container);
  bool RunsAgain(const Container& container) const;
  /// The containers before it are done.
  bool MayStart(size_t index) const;
  bool Initialized() const;
  void Noticed();
  void FillContainer(const Container& container, size_t index, api::core_v1::ContainerStatusEdit status) const;
  void FillConditions(api::core_v1::PodStatusEdit status) const;

  rt::Runtime& runtime_;
  const PodLifeCycle& cycle_;
  std::vector<Container> containers_;  ///< init containers first
  Restart policy_ = Restart::kAlways;
  MonoTime begin_;  ///< its first container starts then
  MonoTime ready_at_ = MonoTime::max();
  MonoTime stop_ = MonoTime::max();
  WallTime created_{};
  WallTime initialized_since_{};
  WallTime ready_since_{};
  const Outcome* failed_ = nullptr;  ///< what failed the whole pod
  bool was_ready_ = false;
  bool was_initialized_ = false;
  bool calm_ = false;
  uint32_t version_ = 1;
};

}  // namespace knarr::hollow
