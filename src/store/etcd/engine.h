#pragma once

// The store over an etcd cluster, which several servers share.
//
// In memory there is the same as in the embedded engine: a Timeline with the newest state, its history and the
// watchers. It is fed by one watch of etcd over everything below the prefix: whatever any server wrote, this one's own
// writes too, arrives there once and in order, so all servers go through the same states. A transaction goes to etcd
// with its comparisons, and returns when the feed has brought what it wrote. Revisions are etcd's.
//
// An answer that got lost. Each transaction also compares a key of this server alone, its epoch. When it is not known
// whether one was committed, the server changes its epoch: behind that, whatever still lies in some member's queue
// can't be committed any more. What the feed has brought until then decides; changes carry a mark of who made them. The
// epoch's key hangs on a lease, so that it goes when the server does.
//
// Freshness. Latest() is what the feed has brought: newest, but for its delay. CatchUp asks the cluster for its
// revision and waits until the feed is there.
//
// Keys with "~" behind the prefix are the engine's own: epochs, the mark of deletes, the fence, the compactor's.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "rt/sync.h"
#include "store/etcd/api.h"
#include "store/etcd/envelope.h"
#include "store/timeline.h"

namespace knarr::store::etcd {

struct EngineOptions {
  std::string prefix = "/knarr/";  ///< of everything in etcd; ends with a slash
  std::string root;                ///< what the store's keys begin with, which the prefix stands for
  HistoryLimits history;
  /// Transactions under way; beyond it Txn waits its turn…
  size_t queue_max = 4096;
  /// …if no more than these do.
  size_t waiting_max = 4096;
  std::shared_ptr<const Sealer> sealer;
  /// How often one of the servers compacts etcd's history up to where it was the last time; zero: never.
  Duration compaction_interval = std::chrono::minutes(5);
  Duration open_timeout = std::chrono::seconds(60);
  /// How long the outcome of a transaction is sought before it is called unknown.
  Duration txn_timeout = std::chrono::seconds(30);
};

class Engine : public Store {
 public:
  /// Reads the state, which takes as long as etcd does. InternalError when a value can't be read.
  static Result<std::unique_ptr<Store>> Open(rt::Runtime& world, EngineOptions options, std::unique_ptr<Api> api);
  ~Engine() override;

  std::shared_ptr<const Snapshot> Latest() const override { return timeline_->board()->Read()->latest; }
  Result<std::shared_ptr<const Snapshot>> At(Revision revision) const override {
    return timeline_->board()->At(revision);
  }
  Result<TxnResult> Txn(std::vector<Compare> compares, std::vector<Op> ops) override;
  std::optional<KeyValue> Newest(std::string_view key) const override;
  Ok CatchUp(rt::Runtime& here) override;
  Result<std::unique_ptr<Watch>> StartWatch(rt::Runtime& runtime, WatchOptions options) override {
    return Board::StartWatch(timeline_->board(), runtime, std::move(options));
  }
  Result<Changes> ChangesAfter(Revision after, std::string_view prefix, size_t most) const override {
    return timeline_->board()->ChangesAfter(after, prefix, most);
  }
  Ok Compact(Revision revision) override;
  StoreStats stats() const override { return timeline_->board()->Read()->stats; }
  void Close() override;

 private:
  /// Waits between tries, longer each time.
  class Pause {
   public:
    explicit Pause(rt::Runtime& world) : world_(world) {}
    Ok Wait();
    void Reset() { next_ = kFirst; }

   private:
    static constexpr Duration kFirst = std::chrono::milliseconds(20);
    static constexpr Duration kMost = std::chrono::seconds(2);
    rt::Runtime& world_;
    Duration next_ = kFirst;
  };
  struct Loaded {
    Tree tree;
    Revision revision = 0;
    size_t value_bytes = 0;
  };
  /// A transaction whose outcome is sought; on its fiber's stack.
  struct Sought {
    const std::vector<Compare>& compares;
    const std::vector<Op>& ops;
    uint64_t number = 0;
    MonoTime until;
    Revision committed = 0;  ///< what the feed has brought
    bool lost = false;       ///< a stretch of the feed is missing in which it may have been
  };
  struct Waiter {
    rt::Fiber* fiber = nullptr;
    bool done = false;
  };
  /// A transaction as it goes to etcd.
  struct Outgoing {
    TxnRequest request;
    Revision epoch = 0;
    std::vector<Compare> assumed;  ///< besides the caller's: what we think is not there to be deleted
    bool writes = false;
  };

  Engine(rt::Runtime& world, EngineOptions options, std::unique_ptr<Api> api);

  // engine.cc
  /// Whether a call may begin.
  Ok Admits() const;
  /// Whether one that did may go on.
  Ok Usable() const;
  std::string KeyIn(std::string_view key) const;
  std::string OwnKey(std::string_view name) const { return options_.prefix + "~" + std::string(name); }
  bool IsOwn(std::string_view key) const;
  std::string KeyOut(std::string_view key) const;
  Result<Loaded> Load();
  Ok FirstLoad();
  Ok Take(Item item, Loaded& into);
  void Publish();
  void Break(const Status& why);
  /// Until the feed has brought the revision.
  Ok Reach(Revision revision, MonoTime until);
  void WakeReached(bool all);

  // feed.cc
  void Feed();
  Ok Follow(Pause& pause);
  Ok Reload();
  Ok Apply(std::vector<WatchEvent> events);
  Ok ApplyOne(WatchEvent event, MonoTime now, Loaded& state, std::vector<Change>& changes);
  void Advance(Loaded state, const std::vector<Change>& changes);
  /// Something that a transaction of ours wrote was committed.
  Sought* Recognize(const Mark& mark, Revision revision);

  // txn.cc
  Ok CheckKeys(const std::vector<Compare>& compares, const std::vector<Op>& ops) const;
  Ok Admit();
  Result<TxnResult> RunTxn(Sought& sought);
  /// nullopt: it certainly did not happen, and may be tried again.
  Result<std::optional<TxnResult>> TryOnce(Sought& sought);
  Result<Outgoing> Prepare(const Sought& sought) const;
  Result<std::optional<TxnResult>> Failed(const Sought& sought, const Outgoing& outgoing, const TxnResponse& answer);
  /// After a failed comparison: until the state shows why.
  void Refresh(const std::string& key, Revision found, Revision at);
  /// Whether a transaction was committed whose answer got lost.
  Result<bool> Resolve(Sought& sought, Revision epoch);
  TxnResult Finish(const Sought& sought, Revision revision);
  TxnResult Unchanged(const Sought& sought) const;
  static TxnResult Told(const Sought& sought, Revision revision);
  Ok EnsureEpoch(MonoTime until);
  Ok MakeEpoch();

  // upkeep.cc
  void KeepLease();
  void CompactSometimes();
  Ok CompactOnce(Revision& seen, Revision& last);

  // fence.cc
  Ok CatchUpHere(MonoTime until);
  void Leave();
  Result<Revision> AskRevision(MonoTime until);
  Result<Revision> WriteFence(MonoTime until);
  /// One question answers everybody who came before it was asked.
  struct Shared {
    explicit Shared(rt::Runtime& world) : queue(world) {}
    uint64_t begun = 0;
    uint64_t ended = 0;
    bool running = false;
    Result<Revision> answer = Revision{0};
    rt::WaitQueue queue;
  };
  Result<Revision> Share(Shared& shared, MonoTime until, Result<Revision> (Engine::*ask)(MonoTime until));

  rt::Runtime& world_;
  const EngineOptions options_;
  const std::unique_ptr<Api> api_;
  const std::string end_;  ///< of the range of all keys
  const uint64_t writer_;
  const std::string epoch_key_;
  std::unique_ptr<Timeline> timeline_;

  std::multimap<Revision, Waiter*> waiters_;
  std::unordered_map<uint64_t, Sought*> sought_;  ///< by number
  uint64_t number_ = 0;

  rt::Mutex epoch_mutex_;
  Revision epoch_ = 0;  ///< 0: to be made
  int64_t lease_ = 0;

  Shared asked_;
  Shared fenced_;
  std::string trouble_;  ///< why the last question failed

  uint64_t commits_ = 0;  ///< responses of the feed
  uint64_t writes_ = 0;
  bool closing_ = false;  ///< nothing begins any more
  bool closed_ = false;   ///< and what is under way ends
  std::optional<Status> broken_;
  size_t waiting_ = 0;  ///< for room
  size_t inside_ = 0;   ///< fibers in Txn and CatchUp
  rt::WaitQueue room_;
  rt::WaitQueue idle_;
  rt::TaskGroup tasks_;
};

}  // namespace knarr::store::etcd
