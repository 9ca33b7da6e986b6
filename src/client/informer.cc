#include "client/informer.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace knarr::client {
namespace {

constexpr Duration kRetryFirst = 100ms;
constexpr Duration kRetryMost = 30s;
/// Objects whose decoded trees are kept after a change: whoever acts on it looks at them soon.
constexpr size_t kFreshMax = 256;
/// Every so many changes, twice as many objects are looked at for trees that somebody's reading has left.
constexpr size_t kSweepEvery = 32;
constexpr size_t kRelistTurn = 64;

class ListWatchInformer : public Informer {
 public:
  ListWatchInformer(rt::Runtime& runtime, Client& client, const KindInfo& kind, InformerScope scope)
      : runtime_(runtime), client_(client), kind_(kind), scope_(std::move(scope)), synced_event_(runtime) {}

  const KindInfo& kind() const override { return kind_; }

  ObjectPtr Get(const ObjectName& name) const override {
    auto found = objects_.find(name);
    return found == objects_.end() ? nullptr : found->second;
  }

  std::vector<ObjectPtr> List(std::string_view ns) const override {
    std::vector<ObjectPtr> out;
    auto from = ns.empty() ? objects_.begin() : objects_.lower_bound(ObjectName{std::string(ns), ""});
    for (auto it = from; it != objects_.end() && (ns.empty() || it->first.ns == ns); ++it) out.push_back(it->second);
    return out;
  }

  std::vector<ObjectPtr> ByIndex(std::string_view index, std::string_view value) const override {
    auto entry = indexes_.find(index);
    CHECK(entry != indexes_.end());
    auto filed = entry->second.filed.find(value);
    std::vector<ObjectPtr> out;
    if (filed == entry->second.filed.end()) return out;
    out.reserve(filed->second.size());
    for (const Entry* each : filed->second) out.push_back(each->second);
    return out;
  }

  void AddIndex(std::string index, std::function<std::vector<std::string>(const api::Object&)> values) override {
    // Several users of one shared informer may need the same index.
    if (indexes_.contains(index)) return;
    Index& made = indexes_[std::move(index)];
    made.values = std::move(values);
    for (const Entry& entry : objects_) File(made, entry, *entry.second);
  }

  void AddHandler(ChangeHandler handler) override {
    for (const auto& [name, object] : objects_) handler(nullptr, object);
    handlers_.push_back(std::move(handler));
  }

  Ok WaitSynced() override { return synced_event_.Wait(); }
  bool synced() const override { return synced_event_.is_set(); }
  size_t size() const override { return objects_.size(); }

  /// Lists and watches until the fiber is cancelled.
  void Run() {
    Duration retry = kRetryFirst;
    std::string revision;
    while (runtime_.CheckCancelled().ok()) {
      const MonoTime since = runtime_.Mono();
      Ok ended = revision.empty() ? Relist(revision) : Follow(revision, retry);
      if (ended.ok()) continue;
      // A watch that lived for a while and ended is no sign of trouble: the next one may begin at once.
      const bool lived = runtime_.Mono() - since >= kRetryMost;
      if (lived) retry = kRetryFirst;
      if (ended.Failed(Reason::kCancelled)) return;
      if (ended.Failed(Reason::kExpired) || ended.Failed(Reason::kGone)) {
        revision.clear();
        // A server that can't go on from what it has just listed has no need of a storm of lists.
        if (lived) continue;
      } else if (!ended.Failed(Reason::kServiceUnavailable)) {
        LOG_WARN("list or watch failed; trying again", {"kind", kind_.kind}, {"error", ended.status()});
      }
      // Jitter keeps many informers from coming back at the same moment.
      Duration pause = retry + Duration(runtime_.Random() % static_cast<uint64_t>(retry.count()));
      if (!runtime_.Sleep(pause).ok()) return;
      retry = std::min(retry * 2, kRetryMost);
    }
  }

 private:
  using Objects = std::map<ObjectName, ObjectPtr>;
  using Entry = Objects::value_type;
  struct ByName {
    bool operator()(const Entry* a, const Entry* b) const { return a->first < b->first; }
  };
  struct Index {
    std::function<std::vector<std::string>(const api::Object&)> values;
    // Entries of objects_ stay where they are. One value may have all of them (of pods: on no node yet).
    std::map<std::string, std::set<const Entry*, ByName>, std::less<>> filed;
  };

  Ok Relist(std::string& revision) {
    ListOptions options{.field_selector = scope_.field_selector};
    ObjectList list = TRY(client_.List(kind_, scope_.ns, options));
    std::map<ObjectName, ObjectPtr> now;
    for (ObjectPtr& object : list.items) {
      ObjectName name{std::string(object->ns()), std::string(object->name())};
      now.emplace(std::move(name), std::move(object));
    }
    std::vector<ObjectName> gone;
    for (const auto& [name, object] : objects_) {
      if (!now.contains(name)) gone.push_back(name);
    }
    for (const ObjectName& name : gone) Apply(name, nullptr);
    size_t turn = 0;
    for (auto& [name, object] : now) {
      // Tens of thousands take a second: whoever else has something to do gets his turns.
      if (++turn % kRelistTurn == 0) runtime_.Yield();
      ObjectPtr before = Get(name);
      if (before != nullptr && before->resource_version() == object->resource_version()) continue;
      Apply(name, std::move(object));
    }
    revision = list.resource_version;
    synced_event_.Set();
    return {};
  }

  Ok Follow(std::string& revision, Duration& retry) {
    WatchOptions options{.field_selector = scope_.field_selector, .resource_version = revision, .bookmarks = true};
    std::unique_ptr<WatchStream> stream = TRY(client_.Watch(kind_, scope_.ns, options));
    while (true) {
      std::vector<WatchEvent> events = TRY(stream->Next());
      retry = kRetryFirst;
      for (WatchEvent& event : events) {
        revision = event.object->resource_version();
        if (event.type == WatchEventType::kBookmark) continue;
        ObjectName name{std::string(event.object->ns()), std::string(event.object->name())};
        Apply(name, event.type == WatchEventType::kDeleted ? nullptr : std::move(event.object));
      }
    }
  }

  /// Files the change under the indexes and tells the handlers. `after` null: deleted.
  void Apply(const ObjectName& name, ObjectPtr after) {
    auto at = objects_.find(name);
    ObjectPtr before = at == objects_.end() ? nullptr : at->second;
    if (before == nullptr && after == nullptr) return;
    // Deleted and made again while nobody watched: handlers see both, as if it had been watched.
    if (before != nullptr && after != nullptr && before->uid() != after->uid()) {
      Apply(name, nullptr);
      before = nullptr;
    }
    if (before == nullptr) at = objects_.try_emplace(name).first;
    for (auto& [key, index] : indexes_) {
      if (before != nullptr) Unfile(index, *at, *before);
      if (after != nullptr) File(index, *at, *after);
    }
    if (after == nullptr) {
      objects_.erase(at);
    } else {
      at->second = after;
    }
    for (const ChangeHandler& handler : handlers_) handler(before, after);
    if (after != nullptr) Age(std::move(after));
  }

  // A decoded pod takes twice the memory of its bytes, and most are looked at only when they change. So trees do not
  // stay: a changed object's goes when kFreshMax others have changed, one that was read goes with the sweep. Whoever
  // holds an object keeps its tree.
  void Age(ObjectPtr changed) {
    fresh_.push_back(std::move(changed));
    if (fresh_.size() > kFreshMax) {
      const ObjectPtr old = std::move(fresh_.front());
      fresh_.pop_front();
      // One reference is ours; the other must be the one in objects_.
      if (old.use_count() == 2 && Get({std::string(old->ns()), std::string(old->name())}).get() == old.get()) {
        old->ForgetTree();
      }
    }
    if (++changes_ % kSweepEvery != 0) return;
    auto at = objects_.upper_bound(swept_);
    for (size_t i = 0; i < 2 * kSweepEvery && at != objects_.end(); ++i, ++at) {
      if (at->second.use_count() == 1) at->second->ForgetTree();
    }
    swept_ = at == objects_.end() ? ObjectName() : at->first;
  }

  static void File(Index& index, const Entry& entry, const api::Object& object) {
    for (std::string& value : index.values(object)) index.filed[std::move(value)].insert(&entry);
  }

  static void Unfile(Index& index, const Entry& entry, const api::Object& object) {
    for (const std::string& value : index.values(object)) {
      auto filed = index.filed.find(value);
      if (filed == index.filed.end()) continue;
      filed->second.erase(&entry);
      if (filed->second.empty()) index.filed.erase(filed);
    }
  }

  rt::Runtime& runtime_;
  Client& client_;
  const KindInfo& kind_;
  const InformerScope scope_;
  Objects objects_;
  std::map<std::string, Index, std::less<>> indexes_;
  std::vector<ChangeHandler> handlers_;
  std::deque<ObjectPtr> fresh_;
  size_t changes_ = 0;
  ObjectName swept_;
  rt::Event synced_event_;
};

}  // namespace

InformerFactory::InformerFactory(rt::Runtime& runtime, Client& client)
    : runtime_(runtime), client_(client), tasks_(runtime, "informers") {}

InformerFactory::~InformerFactory() = default;

Informer& InformerFactory::For(const KindInfo& kind, const InformerScope& scope) {
  std::unique_ptr<Informer>& informer = informers_[{&kind, scope}];
  if (informer == nullptr) {
    auto made = std::make_unique<ListWatchInformer>(runtime_, client_, kind, scope);
    if (started_) {
      tasks_.Spawn(kind.plural, [informer = made.get()] { informer->Run(); });
    }
    informer = std::move(made);
  }
  return *informer;
}

void InformerFactory::Start() {
  started_ = true;
  for (auto& [key, informer] : informers_) {
    tasks_.Spawn(key.first->plural, [run = static_cast<ListWatchInformer*>(informer.get())] { run->Run(); });
  }
}

void InformerFactory::Stop() { tasks_.StopAndJoin(); }

}  // namespace knarr::client
