#pragma once

// The engine's side of the conversation with one shim (runtime/shim/message.h). One fiber reads; any number of fibers
// call. When the shim closes the connection or dies, every call fails with ServiceUnavailable and `on_closed` is
// called.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "rt/owned_fd.h"
#include "rt/runtime.h"
#include "rt/sync.h"

namespace knarr::runtime {

using rt::OwnedFd;

/// Both ends of a pipe: first to read, second to write; `ours` says which of them does not block.
enum class PipeSide : uint8_t { kRead, kWrite };
Result<std::pair<OwnedFd, OwnedFd>> MakePipe(PipeSide ours);

class ShimClient {
 public:
  struct Reply {
    std::vector<std::string> fields;              ///< after "ok"
    std::vector<std::vector<std::string>> items;  ///< after "item"
    OwnedFd fd;
  };
  using EventHandler = std::function<void(const std::vector<std::string>& event)>;

  /// Connects to the shim that works in `directory`. ServiceUnavailable when there is none.
  static Result<std::shared_ptr<ShimClient>> Connect(rt::Runtime& runtime, const std::string& directory);
  ~ShimClient();
  ShimClient(const ShimClient&) = delete;
  ShimClient& operator=(const ShimClient&) = delete;

  /// Reads until the connection ends: the body of a fiber. Events are handed on from it, in order.
  void Serve(const EventHandler& on_event);
  /// The answer's fields. InternalError with the shim's text for "error".
  Result<Reply> Call(const std::vector<std::string>& fields, std::span<const int> fds = {});
  void Close();
  bool closed() const { return closed_; }

 private:
  struct Pending {
    explicit Pending(rt::Runtime& runtime) : done(runtime) {}
    rt::Event done;
    Reply reply;
    std::optional<Status> error;
  };
  ShimClient(rt::Runtime& runtime, OwnedFd fd) : runtime_(runtime), fd_(std::move(fd)), sending_(runtime) {}
  Result<std::vector<std::string>> Receive(OwnedFd& passed);
  Ok SendMessage(const std::vector<std::string>& fields, std::span<const int> fds);
  void Route(std::vector<std::string> fields, OwnedFd passed, const EventHandler& on_event);

  rt::Runtime& runtime_;
  OwnedFd fd_;
  rt::Mutex sending_;
  bool closed_ = false;
  uint64_t next_request_ = 1;
  std::map<std::string, Pending*> pending_;
};

}  // namespace knarr::runtime
