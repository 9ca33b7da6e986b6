#include "store/core.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "base/log.h"

namespace knarr::store {

namespace {

constexpr size_t kKeyMax = 4096;
constexpr size_t kValueMax = 16 << 20;
constexpr size_t kOpsMax = 1024;
/// A group beyond either is written without waiting for more.
constexpr size_t kGroupMembersMax = 1024;
constexpr size_t kGroupBytesMax = 8 << 20;
/// So many changes between two checkpoints: At undoes no more than these.
constexpr size_t kCheckpointEvery = 8192;
/// Rows to forget ride along with a write once there are so many (each dirties a page of its own)…
constexpr size_t kForgetLeast = 256;
/// …and by themselves, after an explicit compaction, so many at a time.
constexpr size_t kForgetMost = 1000;
/// Values sealed anew in one flush.
constexpr size_t kResealMost = 100;
constexpr size_t kSweepAfter = 32;

Status AboutKey(Reason reason, const std::string& key, std::string message) {
  StatusDetails details;
  details.name = key;
  return Status(reason, std::move(message), std::move(details));
}

Ok CheckOps(const std::vector<Op>& ops) {
  if (ops.size() > kOpsMax) {
    return BadRequest("a transaction of " + std::to_string(ops.size()) + " changes: at most " +
                      std::to_string(kOpsMax));
  }
  std::set<std::string_view> keys;
  for (const Op& op : ops) {
    if (op.key.empty() || op.key.size() > kKeyMax) {
      return AboutKey(Reason::kBadRequest, op.key,
                      "a key of " + std::to_string(op.key.size()) + " bytes: 1 to " + std::to_string(kKeyMax));
    }
    if (!keys.insert(op.key).second) {
      return AboutKey(Reason::kBadRequest, op.key, "key " + op.key + " is changed twice in one transaction");
    }
    if (!op.value) continue;
    if (op.value->size() > kValueMax) {
      return AboutKey(Reason::kRequestEntityTooLarge, op.key,
                      "the value of " + op.key + " has " + std::to_string(op.value->size()) + " bytes: at most " +
                          std::to_string(kValueMax));
    }
    if (op.revision_offset != std::string::npos && op.revision_offset > op.value->size()) {
      return AboutKey(Reason::kBadRequest, op.key, "the revision's place lies behind the value of " + op.key);
    }
  }
  return {};
}

std::string WithRevision(std::string value, size_t offset, Revision revision) {
  if (offset == std::string::npos) return value;
  std::string number = std::to_string(revision);
  std::string spliced;
  spliced.reserve(value.size() + number.size());
  spliced.append(value, 0, offset);
  spliced.append(number);
  spliced.append(value, offset, std::string::npos);
  return spliced;
}

class WatchHandle : public Watch {
 public:
  WatchHandle(std::shared_ptr<Board> board, std::shared_ptr<Watcher> watcher)
      : board_(std::move(board)), watcher_(std::move(watcher)) {}
  ~WatchHandle() override {
    watcher_->Leave();
    board_->left.fetch_add(1, std::memory_order_relaxed);
  }
  Result<std::vector<EventPtr>> Next(size_t most, MonoTime until) override { return watcher_->Next(most, until); }
  Revision progress() const override { return watcher_->Progress(board_->delivered.load(std::memory_order_acquire)); }

 private:
  std::shared_ptr<Board> board_;
  std::shared_ptr<Watcher> watcher_;
};

}  // namespace

Core::Core(rt::Runtime& world, CoreOptions options, std::unique_ptr<Log> log, Recovered recovered)
    : world_(world),
      options_(options),
      log_(std::move(log)),
      newest_(recovered.tree),
      newest_revision_(recovered.revision),
      newest_value_bytes_(recovered.value_bytes),
      row_next_(recovered.row_next),
      latest_(std::make_shared<TreeSnapshot>(std::move(recovered.tree), recovered.revision)),
      value_bytes_(recovered.value_bytes),
      compacted_(recovered.compacted),
      forget_(recovered.forget.begin(), recovered.forget.end()),
      stale_(std::move(recovered.stale)),
      room_(world),
      idle_(world) {
  for (Change& change : recovered.history) {
    history_bytes_ += ChangeBytes(change);
    history_.Append(std::move(change));
  }
  board_->delivered.store(newest_revision_);
  TrimTo(Bound());
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

Result<std::unique_ptr<Watch>> Core::StartWatch(rt::Runtime& runtime, WatchOptions options) {
  std::shared_ptr<Watcher> watcher = TRY(board_->Join(runtime, std::move(options)));
  return std::unique_ptr<Watch>(std::make_unique<WatchHandle>(board_, std::move(watcher)));
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
    std::string is = found == 0 ? "does not exist" : "is at revision " + std::to_string(found);
    std::string expected = compare.mod_revision == 0 ? "none" : "revision " + std::to_string(compare.mod_revision);
    return AboutKey(Reason::kConflict, compare.key, "key " + compare.key + " " + is + ", expected " + expected);
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

KeyValue Core::ApplyDelete(const Op& op, Revision revision, MonoTime now, Group& group) {
  ItemRef before = newest_.Erase(op.key);
  if (!before) return KeyValue{op.key, nullptr, 0, 0};
  newest_value_bytes_ -= before->value->size();
  ItemRef after = ItemRef::Make(op.key);
  after->create_revision = before->create_revision;
  after->mod_revision = revision;
  after->row = row_next_++;
  KeyValue written{op.key, before->value, before->create_revision, revision};
  auto event = std::make_shared<const Event>(
      Event{Event::Type::kDelete, op.key, nullptr, before->value, revision, {}, before->digest()});
  group.bytes += op.key.size();
  group.changes.push_back({revision, now, std::move(before), std::move(after), std::move(event)});
  return written;
}

KeyValue Core::Apply(Op op, Revision revision, MonoTime now, Group& group) {
  if (!op.value) return ApplyDelete(op, revision, now, group);
  std::string value = WithRevision(std::move(*op.value), op.revision_offset, revision);
  group.bytes += op.key.size() + value.size();
  newest_value_bytes_ += value.size();

  Item* present = newest_.Find(op.key);
  ItemRef item = ItemRef::Make(op.key);
  item->create_revision = present == nullptr ? revision : present->create_revision;
  item->mod_revision = revision;
  item->row = row_next_++;
  item->value = std::make_shared<const std::string>(std::move(value));
  if (op.digest.known()) item->SetDigest(op.digest);
  ItemRef before = newest_.Put(item);
  Bytes previous = before ? before->value : nullptr;
  if (previous) newest_value_bytes_ -= previous->size();
  KeyValue written{op.key, item->value, item->create_revision, revision};
  auto event =
      std::make_shared<const Event>(Event{Event::Type::kPut, std::move(op.key), item->value, std::move(previous),
                                          revision, op.digest, before ? before->digest() : Digest{}});
  group.changes.push_back({revision, now, std::move(before), std::move(item), std::move(event)});
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
  batch.compacted = compacted_;
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
    for (const Change& change : group.changes) {
      history_bytes_ += ChangeBytes(change);
      history_.Append(change);
    }
    latest_ = std::make_shared<TreeSnapshot>(std::move(group.tree), group.revision);
    value_bytes_ = group.value_bytes;
    since_checkpoint_ += group.changes.size();
    if (since_checkpoint_ >= kCheckpointEvery) {
      since_checkpoint_ = 0;
      auto more = std::make_shared<Published::Checkpoints>(*checkpoints_);
      more->push_back(latest_);
      checkpoints_ = std::move(more);
    }
    TrimTo(Bound());
  }
  Publish();
  for (Pending* member : group.members) {
    member->done = true;
    world_.Unpark(member->fiber);
  }
  if (!group.members.empty()) room_.NotifyAll();
  Deliver(group.changes);
}

void Core::Fail(const Group& in_flight, const Status& why) {
  Status failure = Unavailable("the change was not saved: " + why.message());
  if (why.Is(Reason::kServerTimeout)) {
    LOG_ERROR("store: a write failed; later ones will be tried", {"error", why});
  } else {
    LOG_ERROR("store: a write failed; the store is read-only until a restart", {"error", why});
    broken_ = Unavailable("the store is read-only since a write failed: " + why.message());
  }
  newest_ = latest_->tree();
  newest_revision_ = latest_->revision();
  newest_value_bytes_ = value_bytes_;
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
  auto next = std::make_shared<Published>();
  next->latest = latest_;
  next->history = history_.view();
  next->compacted = compacted_;
  next->checkpoints = checkpoints_;
  next->stats.revision = latest_->revision();
  next->stats.compacted = compacted_;
  next->stats.keys = latest_->tree().size();
  next->stats.value_bytes = value_bytes_;
  next->stats.history_events = history_.view().size();
  next->stats.disk_bytes = log_->disk_bytes();
  next->stats.commits = commits_;
  next->stats.writes = writes_;
  for (auto& watcher : board_->Publish(std::move(next))) watches_.Add(std::move(watcher));
}

void Core::Deliver(const std::vector<Change>& changes) {
  std::vector<std::shared_ptr<Watcher>> ready;
  for (const Change& change : changes) watches_.Deliver(change.event, &ready);
  board_->delivered.store(latest_->revision(), std::memory_order_release);
  for (const auto& watcher : ready) watcher->Wake();
  if (board_->left.load(std::memory_order_relaxed) < kSweepAfter) return;
  board_->left.store(0, std::memory_order_relaxed);
  watches_.Sweep();
}

Revision Core::Bound() const {
  const History::View& view = history_.view();
  MonoTime now = world_.Mono();
  size_t drop = 0;
  size_t bytes = history_bytes_;
  while (drop < view.size()) {
    const Change& change = view.at(drop);
    bool over = view.size() - drop > options_.history_events_max || bytes > options_.history_bytes_max ||
                now - change.time > options_.history_age_max;
    if (!over) break;
    bytes -= ChangeBytes(change);
    drop++;
  }
  return drop == 0 ? compacted_ : view.at(drop - 1).revision;
}

void Core::TrimTo(Revision revision) {
  if (revision <= compacted_) return;
  const History::View& view = history_.view();
  size_t count = view.After(revision);
  for (size_t i = 0; i < count; i++) {
    const Change& change = view.at(i);
    history_bytes_ -= ChangeBytes(change);
    // In this order: a delete's own row must outlive the value it hides, or a crash between would bring that back.
    if (change.before) forget_.push_back(change.before->row);
    if (!change.after->value) forget_.push_back(change.after->row);
  }
  history_.Trim(count);
  compacted_ = revision;
  if (!checkpoints_->empty() && checkpoints_->front()->revision() < revision) {
    auto kept = std::make_shared<Published::Checkpoints>(*checkpoints_);
    std::erase_if(*kept, [&](const auto& checkpoint) { return checkpoint->revision() < revision; });
    checkpoints_ = std::move(kept);
  }
}

Ok Core::Compact(Revision revision) {
  CHECK(world_.OnThisThread());
  TRY(Writable());
  if (revision > latest_->revision()) {
    return BadRequest("revision " + std::to_string(revision) + " is still to come: the newest is " +
                      std::to_string(latest_->revision()));
  }
  if (revision <= compacted_) return {};
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
  Status why = Unavailable("the store is closed");
  for (const auto& watcher : board_->Close()) watcher->End(why, false);
  watches_.EndAll(why);
  log_->Close();
}

}  // namespace knarr::store
