#include "client/events.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/core_v1.h"
#include "base/log.h"

namespace knarr::client {
namespace {

constexpr size_t kQueueMax = 1000;
constexpr size_t kKnownMax = 4096;
constexpr Duration kSameEventFor = 10min;
constexpr size_t kMessageMax = 1024;  // upstream's limit for core/v1 event notes

/// Cut to the limit, but not within a character.
void Shorten(std::string& message) {
  if (message.size() <= kMessageMax) return;
  size_t end = kMessageMax;
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xc0) == 0x80) --end;
  message.resize(end);
}

}  // namespace

EventTarget EventTarget::Of(const KindInfo& kind, const api::Object& object, std::string field_path) {
  return {.api_version = std::string(kind.api_version),
          .kind = std::string(kind.kind),
          .ns = std::string(object.ns()),
          .name = std::string(object.name()),
          .uid = std::string(object.uid()),
          .resource_version = std::string(object.resource_version()),
          .field_path = std::move(field_path)};
}

EventRecorder::EventRecorder(rt::Runtime& runtime, Client& client, std::string component, std::string host)
    : runtime_(runtime),
      client_(client),
      component_(std::move(component)),
      host_(std::move(host)),
      queue_(runtime, kQueueMax),
      tasks_(runtime, "events of " + component_) {
  tasks_.Spawn("writer", [this] { Run(); });
}

EventRecorder::~EventRecorder() = default;

void EventRecorder::Record(EventTarget target, EventKind kind, std::string_view reason, std::string message) {
  Shorten(message);
  Pending event{std::move(target), kind, std::string(reason), std::move(message), runtime_.Wall()};
  if (queue_.TryPush(std::move(event))) return;
  if (dropped_++ % kQueueMax == 0) LOG_WARN("events dropped: too many at once", {"dropped", dropped_});
}

void EventRecorder::Stop() {
  queue_.Close();
  tasks_.Join();
}

void EventRecorder::Run() {
  while (true) {
    Result<Pending> event = queue_.Pop();
    if (!event.ok()) return;
    Ok written = Write(*event);
    if (!written.ok() && !written.Failed(Reason::kCancelled)) {
      // NotFound and Forbidden: the namespace went away or is going; upstream drops these, too.
      LOG_DEBUG("event not written", {"reason", event->reason}, {"object", event->target.name},
                {"error", written.status()});
    }
  }
}

Ok EventRecorder::Write(const Pending& event) {
  const EventTarget& target = event.target;
  std::string key = fmt::format("{}/{}/{}/{}/{}/{}/{}", target.kind, target.ns, target.name, target.uid,
                                target.field_path, event.reason, event.message);
  auto known = known_.find(key);
  if (known == known_.end() || event.when - known->second.last > kSameEventFor) return Create(event, key);
  Known& same = known->second;
  std::string patch = fmt::format(R"({{"count":{},"lastTimestamp":"{}"}})", same.count + 1, FormatTime(event.when));
  Result<ObjectPtr> patched = client_.Patch(api::core_v1::EventInfo(), same.name, PatchType::kMerge, patch);
  if (patched.Failed(Reason::kNotFound)) return Create(event, key);
  if (!patched.ok()) return patched.status();
  same.count++;
  same.last = event.when;
  return {};
}

Ok EventRecorder::Create(const Pending& event, const std::string& key) {
  const EventTarget& target = event.target;
  const std::string ns = target.ns.empty() ? "default" : target.ns;
  doc::Document document;
  api::core_v1::EventEdit edit(document);
  const std::string name =
      fmt::format("{}.{:x}", target.name, static_cast<uint64_t>(event.when.time_since_epoch().count()));
  edit.metadata().set_name(name);
  edit.metadata().set_ns(ns);
  auto involved = edit.involved_object();
  involved.set_api_version(target.api_version);
  involved.set_kind(target.kind);
  if (!target.ns.empty()) involved.set_ns(target.ns);
  involved.set_name(target.name);
  if (!target.uid.empty()) involved.set_uid(target.uid);
  if (!target.resource_version.empty()) involved.set_resource_version(target.resource_version);
  if (!target.field_path.empty()) involved.set_field_path(target.field_path);
  edit.set_reason(event.reason);
  edit.set_message(event.message);
  edit.set_type(event.kind == EventKind::kNormal ? "Normal" : "Warning");
  edit.source().set_component(component_);
  if (!host_.empty()) edit.source().set_host(host_);
  edit.set_reporting_component(component_);
  edit.set_reporting_instance(host_);
  edit.set_first_timestamp(event.when);
  edit.set_last_timestamp(event.when);
  edit.set_count(1);
  Result<ObjectPtr> created = client_.Create(api::core_v1::EventInfo(), ns, document.root);
  if (created.Failed(Reason::kAlreadyExists)) {
    // Two events of one object at one moment: the server finds the second another name.
    edit.metadata().clear_name();
    edit.metadata().set_generate_name(name + "-");
    created = client_.Create(api::core_v1::EventInfo(), ns, document.root);
  }
  if (!created.ok()) return created.status();
  Prune();
  known_[key] = Known{.name = {ns, std::string((*created)->name())}, .count = 1, .last = event.when};
  return {};
}

void EventRecorder::Prune() {
  if (known_.size() < kKnownMax) return;
  const WallTime now = runtime_.Wall();
  std::erase_if(known_, [now](const auto& entry) { return now - entry.second.last > kSameEventFor; });
  if (known_.size() >= kKnownMax) known_.clear();
}

}  // namespace knarr::client
