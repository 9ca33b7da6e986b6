#include "net/dbus.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/strings.h"

namespace knarr::net {
namespace {

// What libdbus gives a call.
constexpr Duration kCallMost = 25s;
constexpr size_t kLineMax = 1024;
// What is longer is no answer to a call of ours.
constexpr size_t kMessageMax = 64 << 10;
constexpr size_t kDescriptorsMax = 16;
constexpr size_t kSignalsMax = 64;
constexpr const char* kBus = "org.freedesktop.DBus";

Result<rt::OwnedFd> ConnectTo(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return BadRequest("D-Bus: the socket's path is too long: " + path);
  std::memcpy(address.sun_path, path.data(), path.size());
  rt::OwnedFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.ok()) return FromErrno(errno, "make a socket");
  // A local connection is made at once or not at all.
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Unavailable(fmt::format("D-Bus: connect to {}: {}", path, std::strerror(errno)));
  }
  return fd;
}

void TakeDescriptors(msghdr& header, std::vector<rt::OwnedFd>& out) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      out.emplace_back(fd);
    }
  }
}

Status ErrorOf(const DbusMessage& answer) {
  const Result<std::string_view> text = DbusReader(answer).String();
  std::string message = fmt::format("{}: {}", answer.error_name, text.ok() ? *text : "no more is said");
  const std::string_view name = answer.error_name;
  if (name.ends_with(".ServiceUnknown") || name.ends_with(".NameHasNoOwner")) return NotFound(std::move(message));
  if (name.ends_with(".AccessDenied")) return Forbidden(std::move(message));
  return Unavailable(std::move(message));
}

}  // namespace

Result<std::string> DbusSocketPath(std::string_view address) {
  for (const std::string_view one : Split(address, ';')) {
    std::string_view rest = one;
    if (!ConsumePrefix(rest, "unix:")) continue;
    for (const std::string_view option : Split(rest, ',')) {
      std::string_view path = option;
      if (ConsumePrefix(path, "path=")) return UrlDecode(path, false);
    }
  }
  return BadRequest(
      fmt::format("D-Bus: want an address such as unix:path=/run/dbus/system_bus_socket, not {}", GoQuote(address)));
}

DbusMessage DbusCall(std::string destination, std::string path, std::string interface, std::string member) {
  DbusMessage out;
  out.destination = std::move(destination);
  out.path = std::move(path);
  out.interface = std::move(interface);
  out.member = std::move(member);
  return out;
}

DbusMessage DbusBusCall(std::string member) { return DbusCall(kBus, "/org/freedesktop/DBus", kBus, std::move(member)); }

Result<std::unique_ptr<DbusConnection>> DbusConnection::Open(rt::Runtime& runtime, const std::string& address) {
  const std::string path = TRY(DbusSocketPath(address));
  rt::OwnedFd fd = TRY(ConnectTo(path));
  std::unique_ptr<DbusConnection> out(new DbusConnection(runtime, std::move(fd)));
  rt::CancelScope scope(runtime, kCallMost);
  TRY(out->Authenticate().Context("D-Bus"));
  TRY(out->Call(DbusBusCall("Hello")));
  return out;
}

DbusConnection::~DbusConnection() { runtime_.ForgetFd(fd_.get()); }

/// As the user that the kernel says we are; with descriptors to be passed.
Ok DbusConnection::Authenticate() {
  const std::string user = HexEncode(std::to_string(geteuid()));
  TRY(Write(std::string(1, '\0') + "AUTH EXTERNAL " + user + "\r\n"));
  const std::string accepted = TRY(ReadLine());
  if (!accepted.starts_with("OK ")) return Unavailable("the bus does not let us in: " + GoQuote(accepted));
  TRY(Write("NEGOTIATE_UNIX_FD\r\n"));
  const std::string agreed = TRY(ReadLine());
  if (agreed != "AGREE_UNIX_FD") return Unavailable("the bus passes no descriptors: " + GoQuote(agreed));
  return Write("BEGIN\r\n");
}

/// Byte by byte: what comes behind it belongs to another reader.
Result<std::string> DbusConnection::ReadLine() {
  std::string out;
  std::vector<rt::OwnedFd> none;
  while (!out.ends_with("\r\n")) {
    if (out.size() >= kLineMax) return Unavailable("the bus says more than a line");
    char byte = 0;
    TRY(Read(&byte, 1, none));
    out.push_back(byte);
  }
  out.resize(out.size() - 2);
  return out;
}

Ok DbusConnection::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN) {
      TRY(runtime_.WaitFd(fd_.get(), rt::FdEvent::kWritable));
    } else if (errno != EINTR) {
      return Unavailable(std::string("send to the bus: ") + std::strerror(errno));
    }
  }
  return {};
}

Ok DbusConnection::Read(char* out, size_t size, std::vector<rt::OwnedFd>& descriptors) {
  while (size > 0) {
    iovec part = {out, size};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptorsMax)];
    msghdr header = {};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    const ssize_t got = recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got > 0) {
      TakeDescriptors(header, descriptors);
      if (descriptors.size() > kDescriptorsMax) descriptors.clear();
      out += got;
      size -= static_cast<size_t>(got);
    } else if (got == 0) {
      return Unavailable("the bus closed the connection");
    } else if (errno == EAGAIN) {
      TRY(runtime_.WaitFd(fd_.get(), rt::FdEvent::kReadable));
    } else if (errno != EINTR) {
      return Unavailable(std::string("receive from the bus: ") + std::strerror(errno));
    }
  }
  return {};
}

Ok DbusConnection::ReadAway(size_t size) {
  char piece[4096];
  std::vector<rt::OwnedFd> closed;
  while (size > 0) {
    const size_t part = std::min(size, sizeof piece);
    TRY(Read(piece, part, closed));
    closed.clear();
    size -= part;
  }
  return {};
}

Result<std::optional<DbusReply>> DbusConnection::ReadMessage() {
  std::vector<rt::OwnedFd> descriptors;
  std::string bytes(kDbusHeadSize, '\0');
  TRY(Read(bytes.data(), bytes.size(), descriptors));
  const size_t size = TRY(DbusSize(bytes));
  if (size > kMessageMax) {
    TRY(ReadAway(size - bytes.size()));
    return std::optional<DbusReply>();
  }
  bytes.resize(size);
  TRY(Read(bytes.data() + kDbusHeadSize, size - kDbusHeadSize, descriptors));
  Result<DbusMessage> message = DecodeDbus(bytes);
  // The bus checks what it passes on; what only we don't understand was not for us.
  if (!message.ok() || message->descriptors != descriptors.size()) return std::optional<DbusReply>();
  return std::optional<DbusReply>(DbusReply{std::move(*message), std::move(descriptors)});
}

void DbusConnection::Keep(DbusMessage message) {
  if (message.type != DbusType::kSignal || !wanted_ || !wanted_(message)) return;
  if (signals_.size() >= kSignalsMax) signals_.pop_front();
  signals_.push_back(std::move(message));
}

Result<DbusReply> DbusConnection::Call(DbusMessage call) {
  if (broken_) return Unavailable("the connection to the bus is broken");
  rt::CancelScope scope(runtime_, kCallMost);
  call.type = DbusType::kCall;
  call.serial = ++serial_;
  broken_ = true;  // until it is all done: half a message may be left behind
  TRY(Write(EncodeDbus(call)));
  while (true) {
    std::optional<DbusReply> got = TRY(ReadMessage());
    if (!got) continue;
    const DbusType type = got->message.type;
    if ((type != DbusType::kReply && type != DbusType::kError) || got->message.reply_serial != call.serial) {
      Keep(std::move(got->message));
      continue;
    }
    broken_ = false;
    if (type == DbusType::kReply) return std::move(*got);
    return ErrorOf(got->message).WithContext(call.member);
  }
}

Result<DbusMessage> DbusConnection::NextSignal() {
  while (signals_.empty()) {
    if (broken_) return Unavailable("the connection to the bus is broken");
    broken_ = true;
    std::optional<DbusReply> got = TRY(ReadMessage());
    broken_ = false;
    if (got) Keep(std::move(got->message));
  }
  DbusMessage out = std::move(signals_.front());
  signals_.pop_front();
  return out;
}

}  // namespace knarr::net
