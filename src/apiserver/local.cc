#include "apiserver/local.h"

#include <map>
#include <string_view>

#include "apiserver/watch_hub.h"

namespace knarr::apiserver {

// Beyond so many the cache begins anew: namespaces, accounts and classes are few.
constexpr size_t kObjectsMax = 4096;

const api::ObjectPtr& ObjectCache::Keep(std::string_view key, const store::Bytes& bytes) {
  auto at = entries_.find(key);
  if (at != entries_.end() && at->second->bytes() == bytes) return at->second;
  if (at == entries_.end()) {
    if (entries_.size() >= kObjectsMax) entries_.clear();
    at = entries_.emplace(key, nullptr).first;
  }
  at->second = api::Object::FromBytes(bytes);
  return at->second;
}

api::ObjectPtr ObjectCache::Get(const store::Snapshot& snapshot, const std::string& key) {
  const auto found = snapshot.Get(key);
  if (found.has_value()) return Keep(key, found->value);
  entries_.erase(key);
  return nullptr;
}

std::vector<api::ObjectPtr> ObjectCache::List(const store::Snapshot& snapshot, std::string_view prefix) {
  std::vector<api::ObjectPtr> out;
  snapshot.Visit(prefix, "", [&](std::string_view key, const store::Bytes& bytes, store::Revision /*mod*/) {
    out.push_back(Keep(key, bytes));
    return true;
  });
  return out;
}

Local::Local(rt::Runtime& runtime, store::Store& store) : runtime_(runtime), store_(store) {}
Local::~Local() = default;

Result<std::shared_ptr<WatchHub>> Local::Hub(const Resource& resource, store::Revision after) {
  if (stopped_) return Unavailable("the server is stopping");
  std::shared_ptr<WatchHub>& hub = hubs_[&resource];
  if (hub == nullptr || hub->ended()) hub = TRY(WatchHub::Start(runtime_, store_, resource, after));
  return hub;
}

void Local::StopStreams() {
  streams_stopped_ = true;
  for (rt::CancelScope* scope : streams_) scope->Stop();
}

void Local::Stop() {
  stopped_ = true;
  // By name, not by where they happen to lie: the same seed does the same.
  // Kinds with one storage (events, in two groups) have one name and a hub each.
  std::multimap<std::string_view, WatchHub*> by_name;
  for (const auto& [resource, hub] : hubs_) {
    if (hub != nullptr) by_name.emplace(resource->prefix, hub.get());
  }
  for (const auto& [name, hub] : by_name) hub->Stop();
  hubs_.clear();
}

}  // namespace knarr::apiserver
