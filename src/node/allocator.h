#pragma once

// The node's resources, and which pods have how much of them: whether one more has room, and whether one that runs may
// become larger. Who may not yet waits here, and is asked again when something becomes free.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/resource_list.h"
#include "base/time.h"

namespace knarr::node {

/// What a pod lacks to begin, or to become larger.
struct Shortage {
  std::string resource;
  int64_t requested = 0;  ///< milli-CPUs of cpu, else plain
  int64_t used = 0;
  int64_t capacity = 0;
  std::string Reason() const;   ///< "OutOfcpu"
  std::string Message() const;  ///< "Node didn't have enough resource: cpu, requested: …"
};

/// The first resource that is short, in the scheduler's order; nullopt when there is room. `others`: how many pods have
/// something of it already.
std::optional<Shortage> FindShortage(const api::ResourceList& allocatable, const api::ResourceList& used,
                                     int64_t others, const api::ResourceList& asked);

/// In which order pods are asked whether there is room for them now.
struct ResizeRank {
  bool grows = true;  ///< what only shrinks always has room
  int64_t priority = 0;
  bool guaranteed = false;
  WallTime since{};  ///< how long it waits already
  /// Whether this one is asked first.
  bool Before(const ResizeRank& other) const;
};

/// A pod that is to be resized.
class ResizeSeeker {
 public:
  virtual ~ResizeSeeker() = default;
  virtual ResizeRank Rank() const = 0;
  /// Takes what it wants, if there is room. True when it need not be asked again. It may not wait.
  virtual bool TryResize() = 0;
};

/// One fiber at a time, as nothing here waits.
class Allocator {
 public:
  explicit Allocator(api::ResourceList allocatable) : allocatable_(std::move(allocatable)) {}

  const api::ResourceList& allocatable() const { return allocatable_; }
  /// Whether the pod could have so much, in place of what it has.
  std::optional<Shortage> Check(const std::string& uid, const api::ResourceList& asked) const;
  /// The pod has so much now.
  void Hold(const std::string& uid, api::ResourceList amounts);
  /// It has nothing any more, and wants nothing.
  void Release(const std::string& uid);
  /// It is asked at the next Retry, and from then on whenever something becomes free, until it is content. It must call
  /// Leave or Release before it is destroyed.
  void Seek(const std::string& uid, ResizeSeeker& seeker);
  void Leave(const std::string& uid);
  void Retry();
  const std::map<std::string, api::ResourceList>& held() const { return held_; }
  std::function<void()> on_change;  ///< somebody has other amounts than before; may not wait

 private:
  api::ResourceList allocatable_;
  std::map<std::string, api::ResourceList> held_;
  std::map<std::string, ResizeSeeker*> seekers_;
  bool retrying_ = false;
  bool again_ = false;
};

}  // namespace knarr::node
