#pragma once

// A connection to a D-Bus bus, for a client that makes calls and waits for signals.
//
// One fiber uses it: while a call waits for its answer, signals are kept. Whoever may talk to the bus may send us
// anything, also what nobody subscribed to: only signals that `Want` says yes to are kept, and what is longer than any
// message of ours is read away. After an error nothing goes any more, and the connection is to be made anew.

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "net/dbus_message.h"
#include "rt/owned_fd.h"
#include "rt/runtime.h"

namespace knarr::net {

/// Where a system's bus is unless the environment says otherwise.
inline constexpr const char* kSystemBus = "unix:path=/var/run/dbus/system_bus_socket";

struct DbusReply {
  DbusMessage message;
  std::vector<rt::OwnedFd> descriptors;
};

class DbusConnection {
 public:
  /// Connects as the process' own user, and says hello. Unavailable when nobody is there, or not who is expected.
  /// `address`: as DBUS_SYSTEM_BUS_ADDRESS gives it; only unix:path is understood.
  static Result<std::unique_ptr<DbusConnection>> Open(rt::Runtime& runtime, const std::string& address);
  ~DbusConnection();
  DbusConnection(const DbusConnection&) = delete;
  DbusConnection& operator=(const DbusConnection&) = delete;

  /// Which signals are kept from now on. None before.
  void Want(std::function<bool(const DbusMessage& signal)> wanted) { wanted_ = std::move(wanted); }
  /// The answer. NotFound when nobody has that name, Forbidden when the bus does not let us, Unavailable for any other
  /// error, with its name and text.
  Result<DbusReply> Call(DbusMessage call);
  /// The oldest signal that was kept, or the next one that comes.
  Result<DbusMessage> NextSignal();

 private:
  DbusConnection(rt::Runtime& runtime, rt::OwnedFd fd) : runtime_(runtime), fd_(std::move(fd)) {}
  Ok Authenticate();
  Result<std::string> ReadLine();
  Ok Write(std::string_view bytes);
  Ok Read(char* out, size_t size, std::vector<rt::OwnedFd>& descriptors);
  Ok ReadAway(size_t size);
  /// One message; nullopt for one that was thrown away.
  Result<std::optional<DbusReply>> ReadMessage();
  void Keep(DbusMessage message);

  rt::Runtime& runtime_;
  rt::OwnedFd fd_;
  uint32_t serial_ = 0;
  bool broken_ = false;
  std::function<bool(const DbusMessage& signal)> wanted_;
  std::deque<DbusMessage> signals_;
};

/// Addressed, without arguments.
DbusMessage DbusCall(std::string destination, std::string path, std::string interface, std::string member);
/// One to the bus itself.
DbusMessage DbusBusCall(std::string member);

/// The socket's path out of such an address: "unix:path=/run/dbus/system_bus_socket,guid=…;…".
Result<std::string> DbusSocketPath(std::string_view address);

}  // namespace knarr::net
