#pragma once

// Events go away an hour (or what the options say) after they were last written.

#include <string>
#include <vector>

#include "base/time.h"
#include "rt/runtime.h"
#include "store/store.h"

namespace knarr::apiserver {

class EventExpiry {
 public:
  EventExpiry(rt::Runtime& world, store::Store& store, Duration ttl);
  ~EventExpiry();
  void Start();
  void Stop();
  /// Removes what is older than the time to live. World fiber.
  Ok Sweep();

 private:
  struct Old {
    std::string key;
    store::Revision revision;
  };
  Result<std::vector<Old>> FindOld();

  rt::Runtime& world_;
  store::Store& store_;
  Duration ttl_;
  rt::TaskGroup tasks_;
};

}  // namespace knarr::apiserver
