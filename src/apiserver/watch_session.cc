#include "apiserver/watch_session.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/errors.h"
#include "apiserver/local.h"
#include "apiserver/object_io.h"
#include "apiserver/served_form.h"

namespace knarr::apiserver {
namespace {

using client::WatchEventType;

constexpr Duration kBookmarkEvery = std::chrono::minutes(1);
constexpr Duration kTimeoutLeast = std::chrono::minutes(30);
constexpr size_t kPresentBatch = 256;

}  // namespace

WatchSession::WatchSession(RequestContext& context, store::Store& store, const Resource& resource, WatchRequest request)
    : runtime_(context.runtime),
      local_(context.local),
      store_(store),
      resource_(resource),
      request_(std::move(request)),
      filter_(resource, request_.selection),
      prefix_(resource.Prefix(request_.ns)) {
  const MonoTime now = runtime_.Mono();
  const auto spread = [&] { return Duration(static_cast<int64_t>(runtime_.Random() % kTimeoutLeast.count())); };
  const Duration timeout = request_.timeout.has_value() ? *request_.timeout : kTimeoutLeast + spread();
  end_ = timeout > MonoTime::max() - now ? MonoTime::max() : now + timeout;
  bookmark_at_ = request_.bookmarks ? now + kBookmarkEvery : MonoTime::max();
}

Result<std::unique_ptr<WatchSession>> WatchSession::Start(RequestContext& context, store::Store& store,
                                                          const Resource& resource, WatchRequest request) {
  std::unique_ptr<WatchSession> session(new WatchSession(context, store, resource, std::move(request)));
  TRY(session->Begin());
  return session;
}

Ok WatchSession::Begin() {
  const store::Revision asked = TRY(ParseResourceVersion(request_.resource_version));
  const bool present = request_.send_initial_events.value_or(asked == 0);
  // Whoever does not name a state means the newest; "0" any, and one that is there needs no waiting for.
  const bool newest = request_.resource_version.empty() || (present && asked > store_.Latest()->revision());
  if (newest) TRY(store_.CatchUp(runtime_));
  const auto snapshot = store_.Latest();
  // A state that is still to come can't be shown; changes behind it come when they come.
  if (present && asked > snapshot->revision()) return TooLargeResourceVersionError(asked, snapshot->revision());
  store::Revision after = asked;
  if (present) {
    TakePresent(*snapshot);
    after = snapshot->revision();
  } else if (asked == 0) {
    after = snapshot->revision();
  }
  const auto too_old = [&](const Status& status) -> Ok {
    if (!status.Is(Reason::kExpired)) return status;
    return Expired(fmt::format("too old resource version: {} ({})", after, snapshot->revision()));
  };
  // The hub is everybody's: it must not begin in the future.
  auto hub = local_.Hub(resource_, std::min(after, snapshot->revision()));
  if (!hub.ok()) return too_old(hub.status());
  cursor_ = std::make_unique<WatchCursor>(runtime_, store_, std::move(*hub), resource_, after,
                                          [this](const store::Event& event) { return MayConcern(event); });
  const Ok reachable = cursor_->Open();
  if (!reachable.ok()) return too_old(reachable.status());
  given_ = after;
  return {};
}

void WatchSession::TakePresent(const store::Snapshot& snapshot) {
  snapshot.VisitEntries(prefix_, "", [&](const store::Entry& entry) {
    if (request_.selection.empty() || filter_.Matches(entry)) {
      present_.push_back({WatchEventType::kAdded, ServedBytes(resource_, entry.value()), nullptr, false});
    }
    return true;
  });
  if (request_.bookmarks && request_.send_initial_events.value_or(false)) {
    present_.push_back(Bookmark(snapshot.revision(), true));
  }
}

WatchItem WatchSession::Bookmark(store::Revision revision, bool end_of_initial) const {
  const std::string_view annotations =
      end_of_initial ? R"(,"annotations":{"k8s.io/initial-events-end":"true"})" : std::string_view();
  std::string json = fmt::format(R"({{"kind":"{}","apiVersion":"{}","metadata":{{"resourceVersion":"{}"{}}}}})",
                                 kind().kind, kind().api_version, revision, annotations);
  return {WatchEventType::kBookmark, std::make_shared<const std::string>(std::move(json)), nullptr, false};
}

bool WatchSession::MayConcern(const store::Event& event) const {
  if (!event.key.starts_with(prefix_)) return false;
  if (request_.selection.empty()) return true;
  return (event.value != nullptr && filter_.MayMatch(event.key, event.digest)) ||
         (event.previous != nullptr && filter_.MayMatch(event.key, event.previous_digest));
}

std::optional<WatchItem> WatchSession::See(const ChangePtr& change) {
  const store::Event& event = change->event();
  if (!event.key.starts_with(prefix_)) return std::nullopt;
  const auto matches = [&](bool was) {
    if ((was ? event.previous : event.value) == nullptr) return false;
    if (request_.selection.empty()) return true;
    return filter_.Matches(event.key, was ? event.previous_digest : event.digest,
                           [&]() -> const ObjectAttributes& { return change->attributes(was); });
  };
  const bool now = event.type == store::Event::Type::kPut && matches(false);
  const bool before = matches(true);
  if (now) {
    return WatchItem{before ? WatchEventType::kModified : WatchEventType::kAdded, change->bytes(false), change, false};
  }
  if (before) return WatchItem{WatchEventType::kDeleted, change->bytes(true), change, true};
  return std::nullopt;
}

Result<std::vector<WatchItem>> WatchSession::Next() {
  std::vector<WatchItem> out;
  while (!present_.empty() && out.size() < kPresentBatch) {
    out.push_back(std::move(present_.front()));
    present_.pop_front();
  }
  if (!out.empty() || runtime_.Mono() >= end_) return out;
  for (;;) {
    const std::vector<ChangePtr> changes = TRY(cursor_->Next(std::min(end_, bookmark_at_)));
    for (const ChangePtr& change : changes) {
      if (std::optional<WatchItem> item = See(change)) out.push_back(std::move(*item));
    }
    if (!changes.empty()) given_ = changes.back()->event().revision;
    const MonoTime now = runtime_.Mono();
    const bool over = now >= end_;
    if (request_.bookmarks && (now >= bookmark_at_ || (over && cursor_->progress() > given_))) {
      bookmark_at_ = now + kBookmarkEvery;
      out.push_back(Bookmark(std::max(given_, cursor_->progress()), false));
    }
    if (!out.empty() || over) return out;
  }
}

}  // namespace knarr::apiserver
