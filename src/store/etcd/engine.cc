#include "store/etcd/engine.h"

#include <algorithm>

#include "base/log.h"

namespace knarr::store::etcd {
namespace {

constexpr int64_t kPage = 500;
constexpr Duration kFarewell = std::chrono::seconds(1);
/// How long Close waits for what is under way.
constexpr Duration kDrainMost = std::chrono::seconds(5);

}  // namespace

Ok Engine::Pause::Wait() {
  // Servers that lost a member together do not come back together.
  const Duration jitter = Duration(static_cast<int64_t>(world_.Random() % static_cast<uint64_t>(next_.count() / 2)));
  TRY(world_.Sleep(next_ + jitter));
  next_ = std::min(next_ * 2, kMost);
  return {};
}

Engine::Engine(rt::Runtime& world, EngineOptions options, std::unique_ptr<Api> api)
    : world_(world),
      options_(std::move(options)),
      api_(std::move(api)),
      end_(PrefixEnd(options_.prefix)),
      writer_(world.Random() | 1),
      epoch_key_(OwnKey("epoch/" + std::to_string(writer_))),
      epoch_mutex_(world),
      asked_(world),
      fenced_(world),
      room_(world),
      idle_(world),
      tasks_(world, "etcd store") {}

Engine::~Engine() { Close(); }

Result<std::unique_ptr<Store>> Engine::Open(rt::Runtime& world, EngineOptions options, std::unique_ptr<Api> api) {
  if (options.prefix.size() < 2 || !options.prefix.ends_with('/')) {
    return BadRequest("etcd: the prefix \"" + options.prefix + "\" does not end with a slash");
  }
  std::unique_ptr<Engine> engine(new Engine(world, std::move(options), std::move(api)));
  // Who may not write learns it at once.
  TRY(engine->EnsureEpoch(world.Mono() + engine->options_.open_timeout));
  TRY(engine->FirstLoad());
  engine->tasks_.Spawn("feed", [self = engine.get()] { self->Feed(); });
  engine->tasks_.Spawn("lease", [self = engine.get()] { self->KeepLease(); });
  if (engine->options_.compaction_interval > Duration{}) {
    engine->tasks_.Spawn("compact", [self = engine.get()] { self->CompactSometimes(); });
  }
  return std::unique_ptr<Store>(std::move(engine));
}

Ok Engine::FirstLoad() {
  const MonoTime until = world_.Mono() + options_.open_timeout;
  Pause pause(world_);
  while (true) {
    Result<Loaded> loaded = Load();
    if (loaded.ok()) {
      Timeline::Start start{.tree = std::move(loaded->tree),
                            .revision = loaded->revision,
                            .compacted = loaded->revision,
                            .value_bytes = loaded->value_bytes};
      timeline_ = std::make_unique<Timeline>(world_, options_.history, std::move(start));
      Publish();
      return {};
    }
    if (broken_) return *broken_;
    const bool refused =
        loaded.Failed(Reason::kUnauthorized) || loaded.Failed(Reason::kForbidden) || loaded.Failed(Reason::kBadRequest);
    if (refused || world_.Mono() >= until) return loaded.status();
    LOG_WARN("etcd: the state can't be read; trying again", {"error", loaded.status()});
    TRY(pause.Wait());
  }
}

Result<Engine::Loaded> Engine::Load() {
  Loaded out;
  int64_t limit = kPage;
  std::string from = options_.prefix;
  while (true) {
    Result<RangeResponse> page = api_->Range({.key = from, .end = end_, .limit = limit, .revision = out.revision});
    if (page.Failed(Reason::kRequestEntityTooLarge) && limit > 1) {
      limit = std::max<int64_t>(1, limit / 8);
      continue;
    }
    if (!page.ok()) return page.status();
    if (out.revision == 0) out.revision = page->header.revision;
    for (Item& item : page->items) {
      if (item.key < from || !item.key.starts_with(options_.prefix)) return Unavailable("etcd: a key out of order");
      from = item.key + '\0';
      TRY(Take(std::move(item), out));
    }
    if (!page->more) return out;
    if (page->items.empty()) return Unavailable("etcd: an empty page that is not the last");
  }
}

Ok Engine::Take(Item item, Loaded& into) {
  if (IsOwn(item.key)) return {};
  std::string key = KeyOut(item.key);
  Result<Unwrapped> value = Unwrap(options_.sealer.get(), key, item.value, item.mod_revision);
  if (!value.ok()) {
    Break(value.status());
    return *broken_;
  }
  (void)Recognize(value->mark, item.mod_revision);
  into.value_bytes += value->value.size();
  ChangeAt at{item.mod_revision, MonoTime{}, 0};
  (void)PutInto(into.tree, std::move(key), std::make_shared<const std::string>(std::move(value->value)), {}, at);
  return {};
}

Ok Engine::Admits() const {
  if (closing_) return Unavailable("the store is closed");
  return Usable();
}

Ok Engine::Usable() const {
  if (closed_) return Unavailable("the store is closed");
  if (broken_) return *broken_;
  return {};
}

void Engine::Break(const Status& why) {
  LOG_ERROR("etcd: the store can't go on", {"error", why});
  broken_ = Unavailable(why.message());
  WakeReached(true);
}

std::string Engine::KeyIn(std::string_view key) const {
  std::string out = options_.prefix;
  out.append(key.substr(options_.root.size()));
  return out;
}

std::string Engine::KeyOut(std::string_view key) const {
  std::string out = options_.root;
  out.append(key.substr(options_.prefix.size()));
  return out;
}

bool Engine::IsOwn(std::string_view key) const { return key.substr(options_.prefix.size()).starts_with('~'); }

std::optional<KeyValue> Engine::Newest(std::string_view key) const {
  CHECK(world_.OnThisThread());
  store::Item* item = timeline_->tree().Find(key);
  if (item == nullptr) return std::nullopt;
  return item->ToKeyValue();
}

void Engine::Publish() {
  StoreStats own;
  own.commits = commits_;
  own.writes = writes_;
  timeline_->Publish(std::move(own));
}

Ok Engine::Reach(Revision revision, MonoTime until) {
  if (timeline_->revision() >= revision) return {};
  TRY(Usable());
  Waiter waiter{world_.current()};
  const auto place = waiters_.emplace(revision, &waiter);
  while (!waiter.done) {
    const Ok parked = world_.Park(until);
    if (parked.ok() || waiter.done) continue;
    waiters_.erase(place);
    return parked.status();
  }
  if (timeline_->revision() >= revision) return {};
  return Unavailable("the store ended meanwhile");
}

void Engine::WakeReached(bool all) {
  while (!waiters_.empty() && (all || waiters_.begin()->first <= timeline_->revision())) {
    Waiter* waiter = waiters_.begin()->second;
    waiters_.erase(waiters_.begin());
    waiter->done = true;
    world_.Unpark(waiter->fiber);
  }
}

Ok Engine::Compact(Revision revision) {
  CHECK(world_.OnThisThread());
  TRY(Admits());
  if (revision > timeline_->revision()) {
    return BadRequest("revision " + std::to_string(revision) + " is still to come: the newest is " +
                      std::to_string(timeline_->revision()));
  }
  if (revision <= timeline_->compacted()) return {};
  const Ok compacted = api_->Compact(revision);
  // Somebody did so, or went further.
  if (!compacted.ok() && !compacted.Failed(Reason::kExpired)) return compacted.status();
  timeline_->TrimTo(revision);
  Publish();
  return {};
}

void Engine::Leave() {
  inside_--;
  room_.NotifyOne();
  if (closing_ && inside_ == 0) idle_.NotifyAll();
}

void Engine::Close() {
  if (std::exchange(closing_, true)) return;
  CHECK(world_.current() != nullptr);
  rt::Shield shield(world_);
  room_.NotifyAll();
  // The feed goes on meanwhile, which brings them to their end.
  const MonoTime until = world_.Mono() + kDrainMost;
  while (inside_ > 0 && idle_.Wait(until).ok()) continue;
  closed_ = true;
  WakeReached(true);
  tasks_.StopAndJoin();
  while (inside_ > 0) (void)idle_.Wait();
  if (lease_ != 0) {
    // It would end by itself; this is a courtesy.
    rt::CancelScope scope(world_, kFarewell);
    const Ok revoked = api_->LeaseRevoke(lease_);
    if (!revoked.ok()) LOG_DEBUG("etcd: the lease is left to its end", {"error", revoked.status()});
  }
  if (timeline_ != nullptr) timeline_->Close();
  api_->Close();
}

}  // namespace knarr::store::etcd
