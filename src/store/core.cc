#include "store/core.h"

#include <algorithm>
#include <iterator>

#include "base/log.h"
#include "store/ops.h"

namespace knarr::store {

namespace {

/// A group beyond either is written without waiting for more.
constexpr size_t kGroupMembersMax = 1024;
constexpr size_t kGroupBytesMax = 8 << 20;
/// Rows to forget ride along with a write once there are so many (each dirties a page of its own)…
constexpr size_t kForgetLeast = 256;
/// …and by themselves, after an explicit compaction, so many at a time.
constexpr size_t kForgetMost = 1000;
/// Values sealed anew in one flush.
constexpr size_t kResealMost = 100;

}  // namespace

Core::Core(rt::Runtime& world, CoreOptions options, std::unique_ptr<Log> log, Recovered recovered)
    : world_(world),
      options_(options),
      log_(std::move(log)),
      newest_(recovered.tree),
      newest_revision_(recovered.revision),
      newest_value_bytes_(recovered.value_bytes),
      row_next_(recovered.row_next),
      timeline_(world, options.history,
                {.tree = std::move(recovered.tree),
                 .revision = recovered.revision,
                 .compacted = recovered.compacted,
                 .value_bytes = recovered.value_bytes,
                 .history = std::move(recovered.history)}),
      forget_(recovered.forget.begin(), recovered.forget.end()),
      stale_(std::move(recovered.stale)),
      room_(world),
      idle_(world) {
  TrimTo(timeline_.Bound());
  Publish();
  if (!stale_.empty()) {
    tidy_up_ = true;
    StartFlush();
  }
}

Core::~Core() {
  if (!closed_) Close();
}

std::optional<KeyValue> Core::Newest(std::string_view key) const {
  CHECK(world_.OnThisThread());
  Item* item = newest_.Find(key);
  if (item == nullptr) return std::nullopt;
  return item->ToKeyValue();
}

Result<TxnResult> Core::Txn(std::vector<Compare> compares, std::vector<Op> ops) {
  CHECK(world_.OnThisThread() && world_.current() != nullptr);
  inside_++;
  Result<TxnResult> result = RunTxn(compares, std::move(ops));
  inside_--;
  if (closed_ && inside_ == 0) idle_.NotifyAll();
  return result;
}

Result<TxnResult> Core::RunTxn(const std::vector<Compare>& compares, std::vector<Op> ops) {
  TRY(CheckOps(ops));
  TRY(Admit());
  TRY(Check(compares));

  Group& group = OpenGroup();
  TxnResult result;
  bool changes = std::ranges::any_of(ops, [&](const Op& op) { return op.value || newest_.Find(op.key) != nullptr; });
  if (changes) newest_revision_++;
  result.revision = newest_revision_;
  result.written.reserve(ops.size());
  MonoTime now = world_.Mono();
  for (Op& op : ops) result.written.push_back(Apply(std::move(op), result.revision, now, group));

  Pending pending;
  pending.fiber = world_.current();
  group.members.push_back(&pending);
  queued_++;
  StartFlush();
  // The outcome is on its way and must be known: whoever cancels this fiber waits for it, a flush long.
  rt::Shield shield(world_);
  while (!pending.done) (void)world_.Park();
  if (pending.failure) return *pending.failure;
  return result;
}

Ok Core::Writable() const {
  if (closed_) return Unavailable("the store is closed");
  if (broken_) return *broken_;
  return {};
}

Ok Core::Admit() {
  TRY(world_.CheckCancelled());
  TRY(Writable());
  if (queued_ < options_.queue_max) return {};
  TRY(room_.WaitUntil([this] { return queued_ < options_.queue_max || closed_ || broken_; }));
  return Writable();
}

Ok Core::Check(const std::vector<Compare>& compares) const {
  for (const Compare& compare : compares) {
    Item* item = newest_.Find(compare.key);
    Revision found = item == nullptr ? 0 : item->mod_revision;
    if (found == compare.mod_revision) continue;
    return CompareFailed(compare, found);
  }
  return {};
}

Core::Group& Core::OpenGroup() {
  if (!groups_.empty()) {
    Group& last = groups_.back();
    if (last.members.size() < kGroupMembersMax && last.bytes < kGroupBytesMax) return last;
    Seal(last);
  }
  return groups_.emplace_back();
}

void Core::Seal(Group& group) const {
  group.tree = newest_;
  group.revision = newest_revision_;
  group.value_bytes = newest_value_bytes_;
}

KeyValue Core::Apply(Op op, Revision revision, MonoTime now, Group& group) {
  group.bytes += op.key.size();
  const ChangeAt at{revision, now, row_next_};
  if (!op.value) {
    std::optional<Change> change = EraseFrom(newest_, op.key, at);
    if (!change) return KeyValue{std::move(op.key), nullptr, 0, 0};
    row_next_++;
    newest_value_bytes_ -= change->before->value->size();
    KeyValue written{std::move(op.key), change->before->value, change->before->create_revision, revision};
    group.changes.push_back(std::move(*change));
    return written;
  }
  auto value = std::make_shared<const std::string>(WithRevision(std::move(*op.value), op.revision_offset, revision));
  group.bytes += value->size();
  newest_value_bytes_ += value->size();
  row_next_++;
  Change change = PutInto(newest_, std::move(op.key), std::move(value), op.digest, at);
  if (change.before) newest_value_bytes_ -= change.before->value->size();
  KeyValue written = change.after->ToKeyValue();
  group.changes.push_back(std::move(change));
  return written;
}

void Core::StartFlush() {
  if (flushing_) return;
  flushing_ = true;
  world_.Post([this] { FlushAll(); });
}

void Core::FlushAll() {
  // Once at least: a compaction just before Close leaves its mark.
  do {
    FlushOne();
  } while (!groups_.empty() || IdleWork());
  flushing_ = false;
  idle_.NotifyAll();
}

std::vector<int64_t> Core::TakeForgotten(size_t records) {
  size_t count = 0;
  if (tidy_up_) {
    count = kForgetMost;
  } else if (forget_.size() >= kForgetLeast) {
    count = std::max(kForgetLeast, 4 * records);
  }
  count = std::min(count, forget_.size());
  auto end = forget_.begin() + static_cast<ptrdiff_t>(count);
  std::vector<int64_t> rows(forget_.begin(), end);
  forget_.erase(forget_.begin(), end);
  return rows;
}

void Core::TakeStale(Log::Batch& batch) {
  const size_t count = std::min(stale_.size(), kResealMost);
  if (count == 0) return;
  const auto begin = stale_.end() - static_cast<ptrdiff_t>(count);
  batch.reseal.assign(begin, stale_.end());
  stale_.erase(begin, stale_.end());
  batch.scrub = stale_.empty();
}

void Core::FlushOne() {
  Group group;
  if (!groups_.empty()) {
    if (groups_.size() == 1) Seal(groups_.front());
    group = std::move(groups_.front());
    groups_.pop_front();
  }
  Log::Batch batch;
  batch.records.reserve(group.changes.size());
  for (const Change& change : group.changes) batch.records.push_back(change.after);
  batch.forget = TakeForgotten(batch.records.size());
  batch.compacted = timeline_.compacted();
  TakeStale(batch);
  if (!batch.records.empty() || !batch.forget.empty() || !batch.reseal.empty() || tidy_up_) {
    Ok written = log_->Append(batch);
    if (!written.ok()) {
      forget_.insert(forget_.begin(), batch.forget.begin(), batch.forget.end());
      stale_.insert(stale_.end(), batch.reseal.begin(), batch.reseal.end());
      tidy_up_ = false;
      Fail(group, written.status());
      return;
    }
    commits_++;
    if (forget_.empty() && stale_.empty() && !log_->spacious()) tidy_up_ = false;
  }
  Commit(std::move(group));
}

void Core::Commit(Group group) {
  queued_ -= group.members.size();
  writes_ += group.members.size();
  if (!group.changes.empty()) {
    timeline_.Append(group.changes, std::move(group.tree), group.revision, group.value_bytes);
    TrimTo(timeline_.Bound());
  }
  Publish();
  for (Pending* member : group.members) {
    member->done = true;
    world_.Unpark(member->fiber);
  }
  if (!group.members.empty()) room_.NotifyAll();
  timeline_.Deliver(group.changes);
}

void Core::Fail(const Group& in_flight, const Status& why) {
  Status failure = Unavailable("the change was not saved: " + why.message());
  if (why.Is(Reason::kServerTimeout)) {
    LOG_ERROR("store: a write failed; later ones will be tried", {"error", why});
  } else {
    LOG_ERROR("store: a write failed; the store is read-only until a restart", {"error", why});
    broken_ = Unavailable("the store is read-only since a write failed: " + why.message());
  }
  newest_ = timeline_.tree();
  newest_revision_ = timeline_.revision();
  newest_value_bytes_ = timeline_.value_bytes();
  auto fail = [&](const Group& group) {
    for (Pending* member : group.members) {
      member->failure = failure;
      member->done = true;
      world_.Unpark(member->fiber);
    }
  };
  fail(in_flight);
  for (const Group& group : groups_) fail(group);
  groups_.clear();
  queued_ = 0;
  room_.NotifyAll();
}

void Core::Publish() {
  StoreStats own;
  own.disk_bytes = log_->disk_bytes();
  own.commits = commits_;
  own.writes = writes_;
  timeline_.Publish(std::move(own));
}

void Core::TrimTo(Revision revision) {
  timeline_.TrimTo(revision, [this](const Change& change) {
    // In this order: a delete's own row must outlive the value it hides, or a crash between would bring that back.
    if (change.before) forget_.push_back(change.before->row);
    if (!change.after->value) forget_.push_back(change.after->row);
  });
}

Ok Core::Compact(Revision revision) {
  CHECK(world_.OnThisThread());
  TRY(Writable());
  if (revision > timeline_.revision()) {
    return BadRequest("revision " + std::to_string(revision) + " is still to come: the newest is " +
                      std::to_string(timeline_.revision()));
  }
  if (revision <= timeline_.compacted()) return {};
  TrimTo(revision);
  Publish();
  tidy_up_ = true;
  StartFlush();
  return {};
}

void Core::Close() {
  if (closed_) return;
  closed_ = true;
  room_.NotifyAll();
  if (world_.current() != nullptr) {
    rt::Shield shield(world_);
    // Shielded: it can't fail.
    while (flushing_ || inside_ > 0) (void)idle_.Wait();
  }
  CHECK(!flushing_ && inside_ == 0);
  timeline_.Close();
  log_->Close();
}

}  // namespace knarr::store
