#pragma once

// For tests only: an etcd cluster in memory that several engines share, on virtual time, with faults: answers that get
// lost, requests that are carried out late or never, watches that break.

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "rt/sync.h"
#include "store/etcd/api.h"

namespace knarr::store::etcd {

/// What becomes of a request.
enum class Fate : uint8_t { kGood, kUnsent, kNever, kAnswerLost, kLate };

class TestCluster {
 public:
  explicit TestCluster(rt::Runtime& world) : changed(world), world_(world), late_(world, "late requests") {}
  ~TestCluster() { late_.StopAndJoin(); }

  /// Asked for each request that changes something.
  std::function<Fate()> fate = [] { return Fate::kGood; };
  /// How long a call takes; none: it only lets others run.
  std::function<Duration()> delay = [] { return Duration{}; };
  bool gone = false;  ///< no member answers
  Duration late_most = std::chrono::seconds(20);
  bool repeats = false;        ///< a watch begins with a little of what came before it
  size_t page_max = SIZE_MAX;  ///< a range of more is too large

  int64_t revision = 0;
  int64_t compacted = 0;
  size_t compactions = 0;
  std::map<std::string, Item> items;
  std::map<int64_t, std::vector<WatchEvent>> history;
  rt::WaitQueue changed;
  uint64_t watch_epoch = 0;  ///< raise it (and notify) to break every watch
  std::map<int64_t, std::vector<std::string>> leases;

  void BreakWatches() {
    watch_epoch++;
    changed.NotifyAll();
  }

  void EndLease(int64_t id) {
    std::vector<Operation> operations;
    for (const std::string& key : leases[id]) operations.push_back({Operation::Kind::kDelete, key, {}, 0});
    leases.erase(id);
    Apply(operations);
  }

  /// Of another user of the cluster.
  void PutElsewhere() { Apply({{Operation::Kind::kPut, "elsewhere", "x", 0}}); }

  Header header() const { return {1, 1, revision}; }

  TxnResponse Commit(const TxnRequest& request) {
    TxnResponse out;
    out.succeeded = true;
    for (const Comparison& each : request.comparisons) {
      const auto at = items.find(each.key);
      if ((at == items.end() ? 0 : at->second.mod_revision) != each.mod_revision) out.succeeded = false;
    }
    const std::vector<Operation>& operations = out.succeeded ? request.then : request.otherwise;
    Apply(operations);
    for (const Operation& each : operations) {
      if (each.kind != Operation::Kind::kLook) continue;
      const auto at = items.find(each.key);
      out.found.push_back(at == items.end() ? Item() : Item{each.key, {}, at->second.mod_revision});
    }
    out.header = header();
    return out;
  }

  void Later(TxnRequest request) {
    const Duration wait{static_cast<int64_t>(world_.Random() % static_cast<uint64_t>(late_most.count()))};
    late_.Spawn("late", [this, wait, request = std::move(request)] {
      if (world_.Sleep(wait).ok()) (void)Commit(request);
    });
  }

  void Settle() { late_.Join(); }

 private:
  void Apply(const std::vector<Operation>& operations) {
    std::vector<WatchEvent> events;
    for (const Operation& each : operations) {
      if (each.kind == Operation::Kind::kPut) {
        Item& item = items[each.key];
        item = {each.key, each.value, revision + 1};
        if (each.lease != 0) leases[each.lease].push_back(each.key);
        events.push_back({true, item});
      } else if (each.kind == Operation::Kind::kDelete && items.erase(each.key) > 0) {
        events.push_back({false, {each.key, {}, revision + 1}});
      }
    }
    if (events.empty()) return;
    history[++revision] = std::move(events);
    changed.NotifyAll();
  }

  rt::Runtime& world_;
  rt::TaskGroup late_;
};

class TestWatch : public WatchStream {
 public:
  TestWatch(TestCluster& cluster, WatchRequest request)
      : cluster_(cluster), request_(std::move(request)), epoch_(cluster.watch_epoch) {
    // As members of 3.4 do at times.
    if (cluster_.repeats && request_.start_revision > cluster_.compacted + 2) request_.start_revision -= 2;
  }
  Result<WatchResponse> Next() override {
    if (!std::exchange(created_, true)) return WatchResponse{.header = cluster_.header(), .created = true};
    if (!rest_.events.empty()) return std::exchange(rest_, {});
    while (true) {
      if (epoch_ != cluster_.watch_epoch) return Unavailable("the watch broke");
      if (request_.start_revision <= cluster_.compacted) {
        return WatchResponse{.header = cluster_.header(), .canceled = true, .compact_revision = cluster_.compacted + 1};
      }
      for (auto at = cluster_.history.lower_bound(request_.start_revision); at != cluster_.history.end(); ++at) {
        request_.start_revision = at->first + 1;
        WatchResponse out{.header = cluster_.header()};
        for (const WatchEvent& event : at->second) {
          if (event.item.key >= request_.key && event.item.key < request_.end) out.events.push_back(event);
        }
        if (!out.events.empty()) return Parts(std::move(out));
      }
      TRY(cluster_.changed.Wait());
    }
  }

 private:
  /// A revision of several keys comes in two parts.
  Result<WatchResponse> Parts(WatchResponse whole) {
    if (whole.events.size() < 2) return whole;
    rest_.header = whole.header;
    rest_.events.assign(whole.events.begin() + 1, whole.events.end());
    whole.events.resize(1);
    whole.fragment = true;
    return whole;
  }

  TestCluster& cluster_;
  WatchRequest request_;
  const uint64_t epoch_;
  bool created_ = false;
  WatchResponse rest_;
};

/// One server's way to the cluster.
class TestApi : public Api {
 public:
  TestApi(rt::Runtime& world, TestCluster& cluster) : world_(world), cluster_(cluster) {}

  Result<RangeResponse> Range(const RangeRequest& request) override {
    TRY(Take());
    RangeResponse out{.header = cluster_.header()};
    if (request.revision != 0 && request.revision <= cluster_.compacted) return Expired("compacted");
    const std::string end = request.end.empty() ? request.key + '\0' : request.end;
    for (auto at = cluster_.items.lower_bound(request.key); at != cluster_.items.end() && at->first < end; ++at) {
      // Tests read while nobody writes; a revision in the past is not kept here.
      if (request.limit != 0 && static_cast<int64_t>(out.items.size()) == request.limit) {
        out.more = true;
        break;
      }
      out.items.push_back(at->second);
      if (out.items.size() > cluster_.page_max) return Status(Reason::kRequestEntityTooLarge, "too large");
    }
    TRY(Take());  // the answer is under way, and ages
    return out;
  }

  Result<TxnResponse> Txn(const TxnRequest& request, bool& sent) override {
    sent = false;
    const Fate fate = cluster_.fate();
    if (fate == Fate::kUnsent) return Unavailable("no member");
    sent = true;
    if (fate == Fate::kNever || fate == Fate::kLate) {
      if (fate == Fate::kLate) cluster_.Later(request);
      TRY(Take());
      return Unavailable("the connection broke");
    }
    TRY(Take());
    for (const Operation& each : request.then) {
      if (each.lease != 0 && !cluster_.leases.contains(each.lease)) return NotFound("requested lease not found");
    }
    TxnResponse answer = cluster_.Commit(request);
    if (fate == Fate::kAnswerLost) return Timeout("no answer");
    TRY(Take());
    return answer;
  }

  Ok Compact(int64_t revision) override {
    TRY(Take());
    if (revision <= cluster_.compacted) return Expired("compacted");
    cluster_.compacted = revision;
    cluster_.compactions++;
    cluster_.history.erase(cluster_.history.begin(), cluster_.history.upper_bound(revision));
    return {};
  }

  Result<std::unique_ptr<WatchStream>> Watch(const WatchRequest& request) override {
    TRY(Take());
    return std::unique_ptr<WatchStream>(std::make_unique<TestWatch>(cluster_, request));
  }

  Result<LeaseResponse> LeaseGrant(int64_t seconds) override {
    TRY(Take());
    const int64_t id = static_cast<int64_t>(world_.Random() >> 2) | 1;
    cluster_.leases[id];
    return LeaseResponse{cluster_.header(), id, seconds};
  }
  Result<LeaseResponse> LeaseKeepAlive(int64_t id) override {
    TRY(Take());
    return LeaseResponse{cluster_.header(), id, cluster_.leases.contains(id) ? 60 : 0};
  }
  Ok LeaseRevoke(int64_t id) override {
    TRY(Take());
    cluster_.EndLease(id);
    return {};
  }
  void Close() override {}

 private:
  Ok Take() {
    if (cluster_.gone) {
      TRY(world_.Sleep(std::chrono::seconds(5)));
      return Unavailable("no member can be reached");
    }
    const Duration delay = cluster_.delay();
    if (delay > Duration{}) return world_.Sleep(delay);
    world_.Yield();
    return {};
  }

  rt::Runtime& world_;
  TestCluster& cluster_;
};

}  // namespace knarr::store::etcd
