#pragma once

// What /metrics tells of the API server, under the names and labels that dashboards and alerts for Kubernetes ask for.
// What a label may be is bounded: a client's made-up verbs and paths are counted together.

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "apiserver/core.h"
#include "apiserver/in_flight.h"
#include "apiserver/resource.h"
#include "base/metrics.h"
#include "base/time.h"

namespace knarr::apiserver {

struct Call;

class RequestMetrics {
 public:
  explicit RequestMetrics(knarr::Registry& registry);

  /// A request was answered with this code; `took` is how long that lasted, nothing for what streams. Any thread.
  void Count(const Call& call, int code, std::optional<Duration> took);

  /// A request that streams, for as long as it lives.
  class Stream {
   public:
    explicit Stream(Gauge& gauge) : gauge_(gauge) { gauge_.Add(1); }
    ~Stream() { gauge_.Add(-1); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

   private:
    Gauge& gauge_;
  };
  /// REQUIRES: a resource.
  Stream CountStream(const Call& call) { return Stream(StreamsOf(call)); }

 private:
  /// Everything that the labels of a series are made of, but for texts that follow from it.
  struct Key {
    const Resource* resource;
    uint32_t rest;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };
  struct Series {
    Counter& requests;
    Histogram* durations;   ///< nullptr: it streams
    Histogram* objectives;
  };
  Series& Find(const Call& call, int code, bool streams);
  Gauge& StreamsOf(const Call& call);

  Family<Counter>& requests_;
  Family<Histogram>& durations_;
  Family<Histogram>& objectives_;
  Family<Gauge>& streams_;
  std::atomic_flag lock_;
  std::unordered_map<Key, Series, KeyHash> series_;
};

/// The metrics that are counted when they are asked for: requests in flight, objects in the store, the process.
std::string MomentaryMetrics(Core& core, rt::Runtime& runtime, const InFlight& in_flight);

}  // namespace knarr::apiserver
