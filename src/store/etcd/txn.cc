#include <algorithm>

#include "base/log.h"
#include "store/etcd/engine.h"

namespace knarr::store::etcd {
namespace {

constexpr int64_t kLeaseSeconds = 60;
constexpr int32_t kRetryAfterSeconds = 1;
/// How long a failed comparison is waited for to be seen in the state.
constexpr Duration kRefreshMost = std::chrono::seconds(5);

constexpr std::string_view kNoSpace = "etcdserver: mvcc: database space exceeded";

bool Refused(const Status& status) {
  switch (status.reason()) {
    case Reason::kBadRequest:
    case Reason::kForbidden:
    case Reason::kUnauthorized:
    case Reason::kNotFound:
    case Reason::kExpired:
    case Reason::kConflict:
    case Reason::kMethodNotAllowed:
    case Reason::kRequestEntityTooLarge:
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<TxnResult> Engine::Txn(std::vector<Compare> compares, std::vector<Op> ops) {
  CHECK(world_.OnThisThread() && world_.current() != nullptr);
  TRY(CheckOps(ops));
  TRY(CheckKeys(compares, ops));
  TRY(Admit());
  inside_++;
  Sought sought{.compares = compares,
                .ops = ops,
                .number = ++number_,
                .until = world_.Mono() + options_.txn_timeout,
                .committed = 0,
                .lost = false};
  sought_[sought.number] = &sought;
  Result<TxnResult> result = RunTxn(sought);
  sought_.erase(sought.number);
  Leave();
  return result;
}

Ok Engine::CheckKeys(const std::vector<Compare>& compares, const std::vector<Op>& ops) const {
  const auto check = [&](const std::string& key) -> Ok {
    const bool good =
        key.size() > options_.root.size() && key.starts_with(options_.root) && key[options_.root.size()] != '~';
    return good ? Ok() : Ok(BadRequest("key " + key + " is not one of this store's"));
  };
  for (const Compare& compare : compares) TRY(check(compare.key));
  for (const Op& op : ops) TRY(check(op.key));
  return {};
}

Ok Engine::Admit() {
  TRY(world_.CheckCancelled());
  TRY(Admits());
  if (inside_ < options_.queue_max) return {};
  if (waiting_ >= options_.waiting_max) {
    return Status(Reason::kTooManyRequests,
                  "too many changes wait for etcd (" + std::to_string(inside_ + waiting_) + "), please try again later")
        .WithRetryAfter(kRetryAfterSeconds);
  }
  waiting_++;
  const Ok waited = room_.WaitUntil([this] { return inside_ < options_.queue_max || closing_ || broken_; });
  waiting_--;
  TRY(waited);
  return Admits();
}

Result<TxnResult> Engine::RunTxn(Sought& sought) {
  Pause pause(world_);
  while (true) {
    TRY(Usable());
    const Ok ready = EnsureEpoch(sought.until);
    if (!ready.ok()) {
      TRY(world_.CheckCancelled());
      return Unavailable("the change was not saved: " + ready.status().message());
    }
    Result<std::optional<TxnResult>> outcome = TryOnce(sought);
    if (!outcome.ok()) return outcome.status();
    if (outcome->has_value()) return std::move(**outcome);
    // Between two tries it certainly did not happen: who is cancelled may go.
    TRY(pause.Wait());
  }
}

Result<std::optional<TxnResult>> Engine::TryOnce(Sought& sought) {
  // What was asked of etcd happens or not whoever waits for it: the outcome must be known.
  rt::Shield shield(world_);
  Outgoing outgoing = TRY(Prepare(sought));
  bool sent = false;
  const Result<TxnResponse> answer = api_->Txn(outgoing.request, sent);
  if (answer.ok()) {
    if (!answer->succeeded) return Failed(sought, outgoing, *answer);
    writes_++;
    return std::optional(outgoing.writes ? Finish(sought, answer->header.revision) : Unchanged(sought));
  }
  if (Refused(answer.status())) return answer.status();
  if (answer.Failed(Reason::kTooManyRequests)) {
    // Its quota of space is used up, or it is busy for a moment.
    const std::string& why = answer.status().message();
    const size_t full = why.find(kNoSpace);
    // As Kubernetes' API server says it.
    if (full != std::string::npos) return Status(Reason::kUnknown, why.substr(full)).WithCode(500);
    if (world_.Mono() >= sought.until) return Unavailable("the change was not saved: " + why);
    return std::optional<TxnResult>();
  }
  if (sent) {
    const Result<bool> committed = Resolve(sought, outgoing.epoch);
    if (!committed.ok()) {
      return Timeout("it is not known whether the change was saved: " + answer.status().message() + "; " +
                     committed.status().message());
    }
    if (*committed) {
      writes_++;
      return std::optional(Finish(sought, sought.committed));
    }
  }
  if (world_.Mono() >= sought.until) return Unavailable("the change was not saved: " + answer.status().message());
  return std::optional<TxnResult>();
}

Result<Engine::Outgoing> Engine::Prepare(const Sought& sought) const {
  Outgoing out{.request = {}, .epoch = epoch_, .assumed = {}, .writes = false};
  TxnRequest& request = out.request;
  const auto compare = [&](std::string key, Revision revision) {
    request.otherwise.push_back({.kind = Operation::Kind::kLook, .key = key, .value = {}, .lease = 0});
    request.comparisons.push_back({std::move(key), revision});
  };
  const Mark mark{writer_, sought.number};
  bool marked = false;
  for (const Compare& given : sought.compares) compare(KeyIn(given.key), given.mod_revision);
  for (const Op& op : sought.ops) {
    std::string key = KeyIn(op.key);
    if (op.value.has_value()) {
      std::string bytes = TRY(Wrap(options_.sealer.get(), op.key, *op.value, op.revision_offset, mark));
      request.then.push_back({Operation::Kind::kPut, std::move(key), std::move(bytes), 0});
      marked = true;
    } else if (timeline_->tree().Find(op.key) != nullptr) {
      request.then.push_back({Operation::Kind::kDelete, std::move(key), {}, 0});
    } else {
      // To delete what is not there is no change; that it is not there must hold.
      out.assumed.push_back({op.key, 0});
    }
  }
  for (const Compare& assumed : out.assumed) compare(KeyIn(assumed.key), 0);
  compare(epoch_key_, epoch_);
  out.writes = !request.then.empty();
  if (out.writes && !marked) {
    std::string bytes = TRY(Wrap(nullptr, {}, {}, std::string::npos, mark));
    request.then.push_back({Operation::Kind::kPut, OwnKey("mark"), std::move(bytes), 0});
  }
  return out;
}

Result<std::optional<TxnResult>> Engine::Failed(const Sought& sought, const Outgoing& outgoing,
                                                const TxnResponse& answer) {
  if (answer.found.size() != outgoing.request.comparisons.size()) {
    return Internal("etcd: a failed transaction without what it found");
  }
  for (size_t i = 0; i < sought.compares.size(); ++i) {
    const Compare& compare = sought.compares[i];
    const Revision found = answer.found[i].mod_revision;
    if (found == compare.mod_revision) continue;
    Refresh(compare.key, found, answer.header.revision);
    return CompareFailed(compare, found);
  }
  for (size_t i = 0; i < outgoing.assumed.size(); ++i) {
    const Revision found = answer.found[sought.compares.size() + i].mod_revision;
    if (found != 0) Refresh(outgoing.assumed[i].key, found, answer.header.revision);
  }
  const bool same = answer.found.back().mod_revision == outgoing.epoch;
  if (!same && epoch_ == outgoing.epoch) epoch_ = 0;
  if (world_.Mono() < sought.until) return std::optional<TxnResult>();
  return Unavailable("the change was not saved: too many others were faster");
}

void Engine::Refresh(const std::string& key, Revision found, Revision at) {
  const MonoTime until = world_.Mono() + kRefreshMost;
  if (found > 0) {
    // Later than that, the caller sees an older state and fails once more: no harm but the time.
    (void)Reach(found, until);
    return;
  }
  while (true) {
    const store::Item* item = timeline_->tree().Find(key);
    if (item == nullptr || item->mod_revision > at) return;
    if (!Reach(timeline_->revision() + 1, until).ok()) return;
  }
}

Result<bool> Engine::Resolve(Sought& sought, Revision epoch) {
  if (epoch_ == epoch) epoch_ = 0;
  // Behind the new epoch nothing of the old one is committed any more.
  Revision fence = 0;
  while (fence == 0) {
    TRY(EnsureEpoch(sought.until));
    fence = epoch_;
  }
  TRY(Reach(fence, std::max(sought.until, world_.Mono() + kRefreshMost)));
  if (sought.committed != 0) return true;
  if (sought.lost) return Unavailable("history was compacted before this server saw it");
  return false;
}

TxnResult Engine::Finish(const Sought& sought, Revision revision) {
  if (!Reach(revision, sought.until).ok()) return Told(sought, revision);
  const History::View& history = timeline_->history();
  TxnResult result{.revision = revision, .written = {}};
  const size_t first = history.After(revision - 1);
  for (const Op& op : sought.ops) {
    const Change* change = nullptr;
    for (size_t i = first; i < history.size() && history.at(i).revision == revision; ++i) {
      if (history.at(i).after->key() == op.key) change = &history.at(i);
    }
    if (change == nullptr && op.value.has_value()) return Told(sought, revision);
    if (change == nullptr) {
      result.written.push_back({op.key, nullptr, 0, 0});
    } else if (change->after->value == nullptr) {
      result.written.push_back({op.key, change->before->value, change->before->create_revision, revision});
    } else {
      result.written.push_back(change->after->ToKeyValue());
    }
  }
  return result;
}

/// Of a transaction that changes nothing, which takes no revision.
TxnResult Engine::Unchanged(const Sought& sought) const {
  TxnResult result{.revision = timeline_->revision(), .written = {}};
  for (const Op& op : sought.ops) result.written.push_back({op.key, nullptr, 0, 0});
  return result;
}

/// The result from what was asked, when the feed does not bring it in time: it is saved, only not yet seen here.
TxnResult Engine::Told(const Sought& sought, Revision revision) {
  TxnResult result{.revision = revision, .written = {}};
  for (const Op& op : sought.ops) {
    if (!op.value.has_value()) {
      result.written.push_back({op.key, nullptr, 0, revision});
      continue;
    }
    auto value = std::make_shared<const std::string>(WithRevision(*op.value, op.revision_offset, revision));
    result.written.push_back({op.key, std::move(value), revision, revision});
  }
  return result;
}

Ok Engine::EnsureEpoch(MonoTime until) {
  if (epoch_ != 0) return {};
  const auto guard = TRY(epoch_mutex_.Lock());
  Pause pause(world_);
  while (epoch_ == 0) {
    TRY(Usable());
    const Ok made = MakeEpoch();
    if (made.ok()) break;
    if (Refused(made.status()) || world_.Mono() >= until) return made.status();
    TRY(pause.Wait());
  }
  return {};
}

Ok Engine::MakeEpoch() {
  if (lease_ == 0) lease_ = TRY(api_->LeaseGrant(kLeaseSeconds)).id;
  TxnRequest request;
  request.then.push_back({Operation::Kind::kPut, epoch_key_, {}, lease_});
  bool sent = false;
  const Result<TxnResponse> answer = api_->Txn(request, sent);
  if (answer.Failed(Reason::kNotFound)) {
    lease_ = 0;  // it ran out
    return Unavailable(answer.status().message());
  }
  if (!answer.ok()) return answer.status();
  epoch_ = answer->header.revision;
  return {};
}

}  // namespace knarr::store::etcd
