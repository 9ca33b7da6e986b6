#include "node/qos_groups.h"

#include <utility>

#include "base/log.h"
#include "node/resources.h"

namespace knarr::node {
namespace {

// Many pods that come at once change it once.
constexpr Duration kSettle = 100ms;
constexpr Duration kRetry = 10s;

}  // namespace

QosGroups::QosGroups(rt::Runtime& runtime, std::string root, SetGroup set, std::function<int64_t()> asked)
    : runtime_(runtime),
      root_(std::move(root)),
      set_(std::move(set)),
      asked_(std::move(asked)),
      changed_(runtime),
      tasks_(runtime, "qos groups") {}

QosGroups::~QosGroups() = default;

void QosGroups::Start(const runtime::CgroupResources& all) {
  if (!set_) return;
  changed_.Set();
  tasks_.Spawn("shares", [this, all] { Run(all); });
}

void QosGroups::Stop() { tasks_.StopAndJoin(); }

Ok QosGroups::Set(const std::string& path, const runtime::CgroupResources& resources) {
  Ok out;
  runtime_.Blocking([&] { out = set_(path, resources); });
  return out;
}

void QosGroups::Run(const runtime::CgroupResources& all) {
  bool levels_set = false;
  int64_t burstable = -1;  // what is set
  for (;;) {
    Ok set;
    if (!levels_set) {
      set = Set(root_, all);
      if (set.ok()) set = Set(root_ + "/besteffort", {.cpu_shares = CpuShares(0)});
      levels_set = set.ok();
    }
    const int64_t wanted = CpuShares(asked_());
    if (set.ok() && wanted != burstable) {
      set = Set(root_ + "/burstable", {.cpu_shares = wanted});
      if (set.ok()) burstable = wanted;
    }
    if (!set.ok()) LOG_WARN("the shares of the pods' levels are not set", {"error", set.status()});
    changed_.Reset();
    const Ok woken = changed_.Wait(set.ok() ? MonoTime::max() : runtime_.Mono() + kRetry);
    if (woken.Failed(Reason::kCancelled) || !runtime_.Sleep(kSettle).ok()) return;
  }
}

}  // namespace knarr::node
