#include "apiserver/local.h"

#include "apiserver/watch_hub.h"

namespace knarr::apiserver {

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
  for (auto& [resource, hub] : hubs_) {
    if (hub != nullptr) hub->Stop();
  }
  hubs_.clear();
}

}  // namespace knarr::apiserver
