#include "apiserver/watch_hub.h"

#include <algorithm>

#include "apiserver/object_io.h"
#include "apiserver/served_form.h"
#include "base/log.h"

namespace knarr::apiserver {
namespace {

constexpr size_t kRingMax = 2048;
// Changes older than this leave the ring: whoever needs them still reads them from the store.
constexpr Duration kRingAge = std::chrono::seconds(30);
constexpr size_t kBatch = 256;

}  // namespace

const store::Bytes& Change::bytes(bool was) const {
  store::Bytes& slot = was ? bytes_was_ : bytes_;
  if (slot == nullptr) {
    slot = ServedBytes(resource_, was ? WithResourceVersion(*event_->previous, event_->revision) : event_->value);
  }
  return slot;
}

const api::ObjectPtr& Change::object(bool was) const {
  api::ObjectPtr& slot = was ? object_was_ : object_;
  if (slot == nullptr) slot = api::Object::FromBytes(bytes(was));
  return slot;
}

const ObjectAttributes& Change::attributes(bool was) const {
  std::unique_ptr<const ObjectAttributes>& slot = was ? attributes_was_ : attributes_;
  if (slot == nullptr) slot = ObjectAttributes::Of(*resource_.stored, was ? event_->previous : event_->value);
  return *slot;
}

Result<std::unique_ptr<WatchHub>> WatchHub::Start(rt::Runtime& runtime, store::Store& store, const Resource& resource,
                                                  store::Revision after) {
  auto watch = TRY(store.StartWatch(runtime, {resource.prefix, after}));
  // The hub serves everybody: it must not end with the request that happened to be the first to ask for it.
  const rt::Shield shield(runtime);
  std::unique_ptr<WatchHub> hub(new WatchHub(runtime, resource, std::move(watch), after));
  hub->tasks_.Spawn("watch-hub", [raw = hub.get()] { raw->Run(); });
  return hub;
}

WatchHub::WatchHub(rt::Runtime& runtime, const Resource& resource, std::unique_ptr<store::Watch> watch,
                   store::Revision after)
    : runtime_(runtime),
      resource_(resource),
      watch_(std::move(watch)),
      tasks_(runtime, "watch-hub"),
      ring_after_(after) {}

WatchHub::~WatchHub() = default;

void WatchHub::Stop() { tasks_.StopAndJoin(); }

void WatchHub::Run() {
  for (;;) {
    Result<std::vector<store::EventPtr>> batch = watch_->Next(kBatch);
    if (!batch.ok()) {
      if (!batch.Failed(Reason::kCancelled)) {
        LOG_DEBUG("watch hub ended", {"error", batch.status()});
      }
      break;
    }
    const MonoTime now = runtime_.Mono();
    for (store::EventPtr& event : *batch) {
      ring_.push_back(std::make_shared<const Change>(resource_, std::move(event)));
      times_.push_back(now);
    }
    while (!ring_.empty() && (ring_.size() > kRingMax || now - times_.front() > kRingAge)) {
      ring_after_ = ring_.front()->event().revision;
      ring_.pop_front();
      times_.pop_front();
      ++first_;
    }
    Wake();
  }
  ended_ = true;
  Wake();
}

void WatchHub::Wake() {
  for (WatchCursor* cursor : waiting_) {
    cursor->Skip();
    if (ended_ || cursor->next_ < end()) cursor->woken_.NotifyAll();
  }
}

store::Revision WatchHub::progress() const { return watch_->progress(); }

WatchCursor::WatchCursor(rt::Runtime& runtime, store::Store& store, std::shared_ptr<WatchHub> hub,
                         const Resource& resource, store::Revision after, Wants wants)
    : runtime_(runtime),
      store_(store),
      hub_(std::move(hub)),
      resource_(resource),
      wants_(std::move(wants)),
      woken_(runtime),
      after_(after),
      floor_(after) {}

// Finds the place in the ring behind `after_`, when the ring reaches back that far.
bool WatchCursor::Attach() {
  if (hub_->ended_ || after_ < hub_->ring_after_) return false;
  const auto at = std::ranges::upper_bound(hub_->ring_, after_, {},
                                           [](const ChangePtr& change) { return change->event().revision; });
  next_ = hub_->first_ + static_cast<uint64_t>(at - hub_->ring_.begin());
  floor_ = after_;
  attached_ = true;
  return true;
}

Ok WatchCursor::Open() {
  if (!Attach()) TRY(store_.ChangesAfter(after_, resource_.prefix, 0));
  return {};
}

Result<std::vector<ChangePtr>> WatchCursor::Next(MonoTime until) {
  if (attached_ && next_ < hub_->first_) attached_ = false;  // fell out of the ring
  if (attached_ || Attach()) return NextFromHub(until);
  store::Changes changes = TRY(store_.ChangesAfter(after_, resource_.prefix, kBatch));
  after_ = changes.through;
  std::vector<ChangePtr> out;
  out.reserve(changes.events.size());
  for (store::EventPtr& event : changes.events) {
    out.push_back(std::make_shared<const Change>(resource_, std::move(event)));
  }
  if (!out.empty()) return out;
  // What the store shows now, no hub has dropped from its ring before.
  if (!Attach()) return Unavailable("the watch has ended");
  return NextFromHub(until);
}

// Goes on to the next change that is wanted, or to the end of the ring.
void WatchCursor::Skip() {
  if (next_ < hub_->first_) return;  // fell out of the ring
  for (; next_ < hub_->end(); ++next_) {
    const store::Event& event = hub_->ring_[next_ - hub_->first_]->event();
    // A watcher may begin with a state that is newer than what the hub has read so far. (Not compared with the last one
    // given out: the changes of one transaction may come in two batches.)
    if (event.revision > floor_ && wants_(event)) return;
    after_ = std::max(after_, event.revision);
  }
}

Ok WatchCursor::WaitForHub(MonoTime until) {
  WatchHub& hub = *hub_;
  waiting_at_ = hub.waiting_.size();
  hub.waiting_.push_back(this);
  const Ok waited = woken_.WaitUntil([&] { return hub.ended_ || next_ < hub.end(); }, until);
  WatchCursor* last = hub.waiting_.back();
  hub.waiting_[waiting_at_] = last;
  last->waiting_at_ = waiting_at_;
  hub.waiting_.pop_back();
  return waited;
}

Result<std::vector<ChangePtr>> WatchCursor::NextFromHub(MonoTime until) {
  WatchHub& hub = *hub_;
  std::vector<ChangePtr> out;
  Skip();
  if (next_ == hub.end() && !hub.ended_) {
    const Ok waited = WaitForHub(until);
    if (!waited.ok()) {
      // The time may be the caller's or that of a scope around it; the caller looks at its own clock.
      if (waited.Failed(Reason::kTimeout) && runtime_.CheckCancelled().ok()) return out;
      return waited.status();
    }
    if (next_ < hub.first_) return Next(until);
  }
  // Never in the middle of a transaction: who falls out of the ring after this one goes on behind the last revision.
  const auto goes_on = [&] { return hub.ring_[next_ - hub.first_]->event().revision == after_; };
  for (; next_ < hub.end() && (out.size() < kBatch || goes_on()); Skip()) {
    out.push_back(hub.ring_[next_++ - hub.first_]);
    after_ = out.back()->event().revision;
  }
  if (out.empty() && hub.ended_) return Unavailable("the watch has ended");
  return out;
}

store::Revision WatchCursor::progress() const {
  if (!attached_) return after_;
  // Only when nothing waits in the ring has this watcher seen all that the hub has.
  if (next_ == hub_->end()) return std::max(after_, hub_->progress());
  return after_;
}

}  // namespace knarr::apiserver
