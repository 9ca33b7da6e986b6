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
/// Rows to forget that go with one batch, while the log has room for them.
constexpr size_t kForgetMost = 512;
/// Without room, those that came since the batch in front, so that they never become more and more: as many as so many
/// changes can give up. What a compaction gave up waits.
constexpr size_t kForgetPerChange = 2;
/// Values sealed anew in one flush.
constexpr size_t kResealMost = 100;
/// The part of the live bytes that history may take on the disk: what is forgotten sooner need not be brought from the
/// journal to the database.
constexpr size_t kDiskHistoryFraction = 16;
constexpr int32_t kRetryAfterSeconds = 1;

/// What a change has on the disk beyond the current state.
size_t DiskBytes(const Change& change) {
  size_t bytes = change.before ? change.before->key().size() + change.before->value->size() : 0;
  if (!change.after->value) bytes += change.after->key().size();
  return bytes;
}

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
      disk_compacted_(recovered.compacted),
      forget_(recovered.forget.begin(), recovered.forget.end()),
      stale_(std::move(recovered.stale)),
      turn_(world),
      room_(world),
      idle_(world),
      heal_(world) {
  const History::View& history = timeline_.history();
  for (size_t i = 0; i < history.size(); i++) disk_history_bytes_ += DiskBytes(history.at(i));
  log_->OnChange([this] {
    if (!closed_ && (!log_->Health().ok() || IdleWork())) StartFlush();
  });
  TrimTo(timeline_.Bound());
  ForgetTo(DiskBound());
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
  const Inside inside(*this);
  return RunTxn(compares, std::move(ops));
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
  if (waiting_ >= options_.waiting_max) {
    return Status(Reason::kTooManyRequests, "too many changes wait for the disk (" +
                                                std::to_string(queued_ + waiting_) + "), please try again later")
        .WithRetryAfter(kRetryAfterSeconds);
  }
  waiting_++;
  const Ok waited = room_.WaitUntil([this] { return queued_ < options_.queue_max || closed_ || broken_; });
  waiting_--;
  TRY(std::move(waited));
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
    FlushTurn();
    // Those whose change is on the disk go on meanwhile. Of what they write, rows to be forgotten should be a part: a
    // batch of their own would only let it wait.
    if (IdleWork()) world_.Yield();
  } while (!groups_.empty() || IdleWork());
  flushing_ = false;
  idle_.NotifyAll();
}

void Core::FlushTurn() {
  // Nobody cancels this fiber.
  const auto turn = MUST(turn_.Lock());
  // A repair that had the turn may have failed: until it is healed nobody may touch the log.
  if (!broken_) FlushOne();
  const bool done = forget_.empty() && stale_.empty();
  if (!broken_) {
    log_->Tidy({.bytes = timeline_.value_bytes(), .keys = timeline_.tree().size()}, tidy_up_ && done);
  }
  if (done) tidy_up_ = false;
}

bool Core::IdleWork() const {
  if (!tidy_up_ || closed_ || broken_) return false;
  // Without room the log says when there is some again.
  return forget_.empty() || !stale_.empty() || log_->ForgetRoom() > 0;
}

std::vector<int64_t> Core::TakeForgotten(size_t changes) {
  const size_t came = forget_.size() - std::min(forget_.size(), forget_left_);
  const size_t most =
      std::max(std::min(log_->ForgetRoom(), kForgetMost), std::min(came, kForgetPerChange * changes));
  const auto count = static_cast<ptrdiff_t>(std::min(forget_.size(), most));
  std::vector<int64_t> rows(forget_.begin(), forget_.begin() + count);
  forget_.erase(forget_.begin(), forget_.begin() + count);
  forget_left_ = forget_.size();
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
  const Ok fit = log_->Health();
  if (!fit.ok()) {
    tidy_up_ = false;
    Fail({}, fit.status());
    return;
  }
  Group group;
  if (!groups_.empty()) {
    if (groups_.size() == 1) Seal(groups_.front());
    group = std::move(groups_.front());
    groups_.pop_front();
  }
  Log::Batch batch;
  batch.records.reserve(group.changes.size());
  for (const Change& change : group.changes) batch.records.push_back(change.after);
  // They go with something else, unless a compaction asks for it.
  if (!batch.records.empty() || tidy_up_) batch.forget = TakeForgotten(batch.records.size());
  batch.compacted = disk_compacted_;
  TakeStale(batch);
  const bool compacted = std::exchange(mark_compacted_, false);
  if (!batch.records.empty() || !batch.forget.empty() || !batch.reseal.empty() || compacted) {
    Ok written = log_->Append(batch);
    if (!written.ok()) {
      forget_.insert(forget_.begin(), batch.forget.begin(), batch.forget.end());
      stale_.insert(stale_.end(), batch.reseal.begin(), batch.reseal.end());
      tidy_up_ = false;
      Fail(group, written.status());
      return;
    }
    commits_++;
  }
  Commit(std::move(group));
}

void Core::Commit(Group group) {
  queued_ -= group.members.size();
  writes_ += group.members.size();
  if (!group.changes.empty()) {
    for (const Change& change : group.changes) disk_history_bytes_ += DiskBytes(change);
    timeline_.Append(group.changes, std::move(group.tree), group.revision, group.value_bytes);
    TrimTo(timeline_.Bound());
    ForgetTo(DiskBound());
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
  // What was surely not written, a client may send again without a thought.
  const bool surely = why.Is(Reason::kServerTimeout);
  const Status told = why.WithContext(surely ? "the change was not saved" : "the change may not have been saved");
  const Status failure =
      why.code() != kInsufficientStorage ? Unavailable(told.message()) : NoSpace(surely ? why : told);
  SetBroken(why);
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
  Publish();
  StartHealing();
}

void Core::Publish() {
  StoreStats own;
  own.disk_bytes = log_->disk_bytes();
  own.commits = commits_;
  own.writes = writes_;
  timeline_.Publish(std::move(own), broken_ ? Ok(*broken_) : Ok());
}

void Core::TrimTo(Revision revision) {
  ForgetTo(revision);
  timeline_.TrimTo(revision);
}

Revision Core::DiskBound() const {
  const size_t most = std::max(options_.disk_history_bytes_min, timeline_.value_bytes() / kDiskHistoryFraction);
  size_t bytes = disk_history_bytes_;
  if (bytes <= most) return disk_compacted_;
  const History::View& view = timeline_.history();
  size_t at = view.After(disk_compacted_);
  while (at < view.size() && bytes > most) bytes -= DiskBytes(view.at(at++));
  return at == 0 ? disk_compacted_ : std::max(disk_compacted_, view.at(at - 1).revision);
}

void Core::ForgetTo(Revision revision) {
  if (revision <= disk_compacted_) return;
  const History::View& view = timeline_.history();
  const size_t end = view.After(revision);
  for (size_t i = view.After(disk_compacted_); i < end; i++) {
    const Change& change = view.at(i);
    disk_history_bytes_ -= DiskBytes(change);
    // In this order: a delete's own row must outlive the value it hides, or a crash between would bring that back.
    if (change.before) forget_.push_back(change.before->row);
    if (!change.after->value) forget_.push_back(change.after->row);
  }
  disk_compacted_ = revision;
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
  mark_compacted_ = true;
  StartFlush();
  return {};
}

void Core::Close() {
  if (closed_) return;
  closed_ = true;
  room_.NotifyAll();
  heal_.NotifyAll();
  if (world_.current() != nullptr) {
    rt::Shield shield(world_);
    // Shielded: it can't fail.
    while (flushing_ || healing_ || inside_ > 0) (void)idle_.Wait();
  }
  CHECK(!flushing_ && !healing_ && inside_ == 0);
  timeline_.Close();
  log_->Close();
}

}  // namespace knarr::store
