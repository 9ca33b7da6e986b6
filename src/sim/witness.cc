#include "sim/witness.h"

#include <fmt/format.h>

#include "api/core_v1.h"
#include "base/strings.h"

namespace knarr::sim {
namespace {

constexpr Duration kLookAgain = 100ms;

const char* TypeText(client::WatchEventType type) {
  switch (type) {
    case client::WatchEventType::kAdded:
      return "ADDED";
    case client::WatchEventType::kModified:
      return "MODIFIED";
    case client::WatchEventType::kDeleted:
      return "DELETED";
    case client::WatchEventType::kBookmark:
      break;
  }
  return "BOOKMARK";
}

}  // namespace

Witness::Witness(rt::Runtime& runtime, client::Client& client, const store::Store& store, Journal& journal,
                 std::string name, int patience)
    : runtime_(runtime),
      client_(client),
      store_(store),
      journal_(journal),
      name_(std::move(name)),
      patience_(patience),
      tasks_(runtime, name_) {}

void Witness::Start() {
  // Before anything else happens: what it compares with begins at the beginning.
  Result<client::ObjectList> list = client_.List(api::core_v1::PodInfo(), "");
  if (!list.ok()) return journal_.Violation(name_ + ": list: " + list.status().ToString());
  if (!list->items.empty()) return journal_.Violation(name_ + " began too late");
  revision_ = list->resource_version;
  tasks_.Spawn(name_, [this] { Run(); });
}

void Witness::Stop() { tasks_.StopAndJoin(); }

void Witness::Run() {
  while (true) {
    Ok ended = Watch();
    if (ended.ok()) continue;
    // The server is away: whoever goes on from where it was misses nothing, and sees nothing twice.
    if (ended.Failed(Reason::kServiceUnavailable)) {
      if (runtime_.Sleep(kLookAgain).ok()) continue;
      return;
    }
    if (!ended.Failed(Reason::kCancelled)) journal_.Violation(name_ + ": watch: " + ended.status().ToString());
    return;
  }
}

/// Ok: broken off on purpose.
Ok Witness::Watch() {
  std::unique_ptr<client::WatchStream> stream =
      TRY(client_.Watch(api::core_v1::PodInfo(), "", {.resource_version = revision_, .bookmarks = true}));
  while (true) {
    for (const client::WatchEvent& event : TRY(stream->Next())) {
      revision_ = event.object->resource_version();
      if (event.type == client::WatchEventType::kBookmark) {
        const Result<int64_t> said = ParseInt64(revision_);
        if (said.ok() && *said <= store_.Latest()->revision()) continue;
        journal_.Violation(fmt::format("{}: a bookmark of {}, which is still to come", name_, revision_));
        continue;
      }
      seen_.push_back(fmt::format("{} {} /registry/core/pods/{}/{}", revision_, TypeText(event.type),
                                  event.object->ns(), event.object->name()));
    }
    if (patience_ > 0 && runtime_.Random() % static_cast<uint64_t>(patience_) == 0) return {};
  }
}

Ok Witness::Check(const Auditor& auditor) {
  const std::vector<std::string>& truth = auditor.pod_changes();
  for (int i = 0; i < 1000 && seen_.size() < truth.size(); ++i) TRY(runtime_.Sleep(10ms));
  for (size_t i = 0; i < std::max(seen_.size(), truth.size()); ++i) {
    const std::string saw = i < seen_.size() ? seen_[i] : "nothing";
    const std::string was = i < truth.size() ? truth[i] : "nothing";
    if (saw == was) continue;
    journal_.Violation(fmt::format("{} saw as change {}: {}; it was: {}", name_, i, saw, was));
    return {};
  }
  return {};
}

}  // namespace knarr::sim
