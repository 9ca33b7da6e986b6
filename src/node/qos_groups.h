#pragma once

// The control groups above those of the pods. Between pods of different quality of service, the shares of their levels
// decide: best effort gets what nobody else wants, burstable as much as its pods together ask for.

#include <functional>
#include <string>

#include "base/status.h"
#include "rt/runtime.h"
#include "rt/sync.h"
#include "runtime/runtime.h"

namespace knarr::node {

class QosGroups {
 public:
  /// Makes a group and sets its limits; blocking.
  using SetGroup = std::function<Ok(const std::string& path, const runtime::CgroupResources& resources)>;

  /// `root`: of all pods' groups. `asked`: milli-CPUs that the burstable pods ask for now.
  QosGroups(rt::Runtime& runtime, std::string root, SetGroup set, std::function<int64_t()> asked);
  ~QosGroups();

  /// Sets the root's limits and begins to follow.
  void Start(const runtime::CgroupResources& all);
  void Stop();
  /// There may be other pods, or they ask for other amounts.
  void Changed() { changed_.Set(); }

 private:
  void Run(const runtime::CgroupResources& all);
  Ok Set(const std::string& path, const runtime::CgroupResources& resources);

  rt::Runtime& runtime_;
  const std::string root_;
  const SetGroup set_;
  const std::function<int64_t()> asked_;
  rt::Event changed_;
  rt::TaskGroup tasks_;
};

}  // namespace knarr::node
