#pragma once

// Recording core/v1 Events about objects: what `kubectl describe` shows at its end. Recording never waits and never
// fails; writing happens behind it. The same event again within ten minutes raises the count of the first (as
// client-go's correlator does). Beyond a bound, new events are dropped and counted in a log line.

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>

#include "client/client.h"
#include "rt/sync.h"

namespace knarr::client {

enum class EventKind : uint8_t { kNormal, kWarning };

/// What an event is about: involvedObject.
struct EventTarget {
  std::string api_version;
  std::string kind;
  std::string ns;
  std::string name;
  std::string uid;
  std::string resource_version;
  std::string field_path;  ///< "spec.containers{web}" or ""
  static EventTarget Of(const KindInfo& kind, const api::Object& object, std::string field_path = {});
};

class EventRecorder {
 public:
  /// `component` and `host` are the event's source. Writes with `client` in a fiber of its own.
  EventRecorder(rt::Runtime& runtime, Client& client, std::string component, std::string host = {});
  ~EventRecorder();
  void Record(EventTarget target, EventKind kind, std::string_view reason, std::string message);
  /// Writes what is queued, then ends.
  void Stop();

 private:
  struct Pending {
    EventTarget target;
    EventKind kind;
    std::string reason;
    std::string message;
    WallTime when;
  };
  struct Known {
    ObjectName name;
    int64_t count = 1;
    WallTime last;
  };
  void Run();
  Ok Write(const Pending& event);
  Ok Create(const Pending& event, const std::string& key);
  void Prune();

  rt::Runtime& runtime_;
  Client& client_;
  const std::string component_;
  const std::string host_;
  rt::Queue<Pending> queue_;
  std::map<std::string, Known> known_;
  uint64_t dropped_ = 0;
  rt::TaskGroup tasks_;
};

}  // namespace knarr::client
