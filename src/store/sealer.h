#pragma once

// What stands between values and the disk: encryption at rest. In memory, and for readers and watchers, values are
// always plain; the log alone sees the sealed form. The store knows nothing of what a key names or how it is sealed.

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace knarr::store {

class Sealer {
 public:
  virtual ~Sealer() = default;

  /// The bytes that go to the disk; nullopt: the value as it is. Any thread. An error fails the write.
  virtual Result<std::optional<std::string>> Seal(std::string_view key, std::string_view value) const = 0;

  struct Opened {
    std::optional<std::string> value;  ///< nullopt: the bytes are the value
    bool stale = false;                ///< Seal would write it in another way now
  };
  /// The value of bytes that came from the disk. Any thread. An error: nothing can open them.
  virtual Result<Opened> Open(std::string_view key, std::string_view bytes) const = 0;
};

}  // namespace knarr::store
