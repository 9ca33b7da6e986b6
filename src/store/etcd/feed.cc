#include <algorithm>

#include "base/log.h"
#include "store/etcd/engine.h"

namespace knarr::store::etcd {
namespace {

/// Parts of one revision that are kept until it is whole.
constexpr size_t kPartsMax = 100000;

}  // namespace

void Engine::Feed() {
  Pause pause(world_);
  bool told = false;
  while (world_.CheckCancelled().ok() && !broken_) {
    const uint64_t before = commits_;
    Ok ended = Follow(pause);
    if (ended.Failed(Reason::kExpired)) ended = Reload();
    if (commits_ != before) told = false;
    if (ended.ok() || ended.Failed(Reason::kCancelled)) continue;
    if (!std::exchange(told, true)) LOG_WARN("etcd: the watch ended; it is begun again", {"error", ended.status()});
    (void)pause.Wait();
  }
}

Ok Engine::Follow(Pause& pause) {
  const std::unique_ptr<WatchStream> stream =
      TRY(api_->Watch({.key = options_.prefix, .end = end_, .start_revision = timeline_->revision() + 1}));
  std::vector<WatchEvent> parts;
  while (true) {
    WatchResponse response = TRY(stream->Next());
    if (response.canceled) {
      if (response.compact_revision > 0) {
        return Expired("changes after revision " + std::to_string(timeline_->revision()) + " are compacted");
      }
      return Unavailable("etcd ended the watch: " + response.cancel_reason);
    }
    pause.Reset();
    if (response.created && response.events.empty()) continue;
    commits_++;
    const bool whole = parts.empty();
    std::ranges::move(response.events, std::back_inserter(parts));
    if (response.fragment) {
      if (parts.size() > kPartsMax) return Unavailable("etcd: a revision without an end");
      continue;
    }
    if (parts.empty() && whole) {
      // Nothing happened below the prefix up to here.
      if (response.header.revision <= timeline_->revision()) continue;
      Advance({timeline_->tree(), response.header.revision, timeline_->value_bytes()}, {});
      continue;
    }
    TRY(Apply(std::exchange(parts, {})));
  }
}

Ok Engine::Reload() {
  Loaded loaded = TRY(Load());
  if (loaded.revision < timeline_->revision()) return Unavailable("etcd: an older state than the one that is known");
  LOG_WARN("etcd: history was compacted that was not seen here; watches begin again", {"from", timeline_->revision()},
           {"to", loaded.revision});
  for (const auto& [number, sought] : sought_) {
    if (sought->committed == 0) sought->lost = true;
  }
  timeline_->Restart(std::move(loaded.tree), loaded.revision, loaded.value_bytes,
                     Expired("changes were compacted before this server saw them"));
  WakeReached(false);
  return {};
}

Ok Engine::Apply(std::vector<WatchEvent> events) {
  const Revision before = timeline_->revision();
  const MonoTime now = world_.Mono();
  Loaded state{timeline_->tree(), before, timeline_->value_bytes()};
  std::vector<Change> changes;
  changes.reserve(events.size());
  for (WatchEvent& event : events) {
    // Members are known to send the end of what they sent before once more.
    if (event.item.mod_revision <= before) continue;
    if (event.item.mod_revision < state.revision) return Unavailable("etcd: changes out of order");
    state.revision = event.item.mod_revision;
    TRY(ApplyOne(std::move(event), now, state, changes));
  }
  if (state.revision > before) Advance(std::move(state), changes);
  return {};
}

Ok Engine::ApplyOne(WatchEvent event, MonoTime now, Loaded& state, std::vector<Change>& changes) {
  const Revision revision = event.item.mod_revision;
  if (!event.item.key.starts_with(options_.prefix)) return Unavailable("etcd: a change of a key not asked for");
  const bool own = IsOwn(event.item.key);
  const ChangeAt at{revision, now, 0};
  if (!event.put) {
    if (own) return {};
    std::optional<Change> change = EraseFrom(state.tree, KeyOut(event.item.key), at);
    if (!change.has_value()) return {};
    state.value_bytes -= change->before->value->size();
    changes.push_back(std::move(*change));
    return {};
  }
  if (own && event.item.key != OwnKey("mark")) return {};
  std::string key = own ? std::string() : KeyOut(event.item.key);
  Result<Unwrapped> value = Unwrap(own ? nullptr : options_.sealer.get(), key, event.item.value, revision);
  if (!value.ok()) {
    Break(value.status());
    return *broken_;
  }
  const Sought* sought = Recognize(value->mark, revision);
  if (own) return {};
  Digest digest;
  if (sought != nullptr) {
    const auto op = std::ranges::find(sought->ops, key, &Op::key);
    if (op != sought->ops.end()) digest = op->digest;
  }
  state.value_bytes += value->value.size();
  Change change =
      PutInto(state.tree, std::move(key), std::make_shared<const std::string>(std::move(value->value)), digest, at);
  if (change.before) state.value_bytes -= change.before->value->size();
  changes.push_back(std::move(change));
  return {};
}

void Engine::Advance(Loaded state, const std::vector<Change>& changes) {
  timeline_->Append(changes, std::move(state.tree), state.revision, state.value_bytes);
  if (!changes.empty()) timeline_->TrimTo(timeline_->Bound());
  Publish();
  WakeReached(false);
  timeline_->Deliver(changes);
}

Engine::Sought* Engine::Recognize(const Mark& mark, Revision revision) {
  if (mark.writer != writer_) return nullptr;
  const auto found = sought_.find(mark.number);
  if (found == sought_.end()) return nullptr;
  found->second->committed = revision;
  return found->second;
}

}  // namespace knarr::store::etcd
