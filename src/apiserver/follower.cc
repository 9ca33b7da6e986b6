#include "apiserver/follower.h"

#include "base/log.h"

namespace knarr::apiserver {
namespace {

// Between attempts to follow the store again after it cut us off.
constexpr Duration kRetry = std::chrono::seconds(1);
constexpr Duration kWaitMax = std::chrono::seconds(1);

}  // namespace

Follower::Follower(rt::Runtime& world, store::Store& store, FollowerOptions options)
    : world_(world), store_(store), options_(std::move(options)), taken_(world), tasks_(world, options_.name) {}

void Follower::Load() {
  const std::shared_ptr<const store::Snapshot> snapshot = store_.Latest();
  options_.load(*snapshot);
  loaded_ = snapshot->revision();
  taken_.NotifyAll();
}

void Follower::Start() {
  Load();
  tasks_.Spawn("follow", [this] {
    for (;;) {
      auto watch = store_.StartWatch(world_, {options_.prefix, loaded_});
      if (watch.ok()) {
        watch_ = std::move(*watch);
        Follow();
        watch_.reset();
      }
      if (!world_.Sleep(kRetry).ok()) return;
      Load();
    }
  });
}

void Follower::Follow() {
  for (;;) {
    const auto batch = watch_->Next();
    if (!batch.ok()) {
      if (!batch.Failed(Reason::kCancelled)) {
        LOG_WARN("the store is read again", {"for", options_.name}, {"error", batch.status()});
      }
      return;
    }
    // Between Next and here nothing waits: what the watch has handed out counts as taken.
    if (!batch->empty()) options_.apply(*batch);
    taken_.NotifyAll();
  }
}

void Follower::WaitFor(store::Revision revision) {
  if (tasks_.size() == 0) return;
  // Who is cancelled meanwhile, or has waited long enough, goes on with what there is.
  (void)taken_.WaitUntil([&] { return seen() >= revision; }, world_.Mono() + kWaitMax);
}

}  // namespace knarr::apiserver
