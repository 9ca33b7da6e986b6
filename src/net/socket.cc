#include "net/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/ip.h"
#include "base/log.h"
#include "base/strings.h"
#include "rt/edges.h"

namespace knarr::net {
namespace {

constexpr int kBacklog = 1024;
constexpr int kKeepAliveSeconds = 30;
constexpr int kKeepAliveProbes = 4;
/// A fiber whose socket is always ready lets the others run after this many calls.
constexpr int kCallsBeforeYield = 64;
constexpr Duration kConnectTimeout = 10s;
constexpr Duration kAcceptPauseMin = 5ms;
constexpr Duration kAcceptPauseMax = 1s;

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  int family() const { return storage.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Address FromIp(const IpAddress& ip, uint16_t port) {
  Address out;
  if (ip.is_v4()) {
    auto* in = reinterpret_cast<sockaddr_in*>(&out.storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    in->sin_addr.s_addr = htonl(ip.v4());
    out.size = sizeof(sockaddr_in);
  } else {
    auto* in = reinterpret_cast<sockaddr_in6*>(&out.storage);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port);
    std::memcpy(&in->sin6_addr, ip.bytes().data(), 16);
    out.size = sizeof(sockaddr_in6);
  }
  return out;
}

Address FromPath(const std::string& path) {
  Address out;
  auto* un = reinterpret_cast<sockaddr_un*>(&out.storage);
  un->sun_family = AF_UNIX;
  size_t count = std::min(path.size(), sizeof(un->sun_path) - 1);
  std::memcpy(un->sun_path, path.data(), count);
  out.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + count + 1);
  return out;
}

/// The address in numbers; IPv4 inside IPv6 (a dual-stack listener's peers) as IPv4.
Endpoint ToEndpoint(const Address& address) {
  Endpoint out;
  if (address.family() == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(&address.storage);
    out.host = IpAddress::V4(ntohl(in->sin_addr.s_addr)).ToString();
    out.port = ntohs(in->sin_port);
  } else if (address.family() == AF_INET6) {
    const auto* in = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    std::array<uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &in->sin6_addr, 16);
    out.host = IpAddress::V6(bytes).Unmap().ToString();
    out.port = ntohs(in->sin6_port);
  }
  return out;
}

void SetTcpOptions(int fd) {
  // Options of a connected TCP socket can't fail in a way that matters: without them it is only slower to notice a
  // dead peer.
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  int seconds = kKeepAliveSeconds;
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
  int probes = kKeepAliveProbes;
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

Result<SocketFd> NewSocket(int family) {
  int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return FromErrno(errno, "socket");
  return SocketFd(fd, {});
}

/// The same in another network namespace: where a socket is made is where it connects. Blocks.
Result<SocketFd> NewSocketInside(const std::string& netns_path, int family) {
  const SocketFd target(open(netns_path.c_str(), O_RDONLY | O_CLOEXEC), {});
  if (target.fd() < 0) return FromErrno(errno, "open network namespace " + netns_path);
  const SocketFd home(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), {});
  if (home.fd() < 0 || setns(target.fd(), CLONE_NEWNET) != 0) {
    return FromErrno(errno, "enter network namespace " + netns_path);
  }
  auto made = NewSocket(family);
  // A pool thread that stays in a pod's namespace would do all later work there.
  CHECK(setns(home.fd(), CLONE_NEWNET) == 0);
  return made;
}

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

/// errno's text in lower case, as Go has it and as clients compare it ("connection refused").
std::string LowerErrno(int error) { return ToLower(std::strerror(error)); }

std::string ErrnoText(const char* what, int error) { return std::string(what) + ": " + std::strerror(error); }

class SocketStream : public Stream {
 public:
  SocketStream(rt::Runtime& runtime, SocketFd socket)
      : runtime_(runtime), fd_(socket.fd()), peer_(socket.peer()), socket_(std::move(socket)), edges_(runtime, fd_) {}

  Result<size_t> Read(char* out, size_t size) override {
    while (true) {
      if (closed_) return Unavailable("read from " + peer_ + ": the stream was closed");
      known_readable_ = false;
      ssize_t count = recv(fd_, out, size, 0);
      if (count >= 0) {
        // A short read has emptied the socket; what comes from here on makes an edge.
        drained_ = count > 0 && static_cast<size_t>(count) < size;
        BeFair();
        return static_cast<size_t>(count);
      }
      if (WouldBlock(errno)) {
        TRY(Wait(rt::FdEvent::kReadable));
      } else if (errno != EINTR) {
        return Unavailable(ErrnoText(("read from " + peer_).c_str(), errno));
      }
    }
  }

  Ok WaitReadable() override {
    while (!known_readable_) {
      if (closed_) return Unavailable("read from " + peer_ + ": the stream was closed");
      char byte;
      if (drained_) {
        // An old edge may tell of bytes that were read since: only one that was waited for is believed.
        known_readable_ = TRY(Wait(rt::FdEvent::kReadable));
        drained_ = false;
      } else if (recv(fd_, &byte, 1, MSG_PEEK) < 0 && WouldBlock(errno)) {
        drained_ = true;
      } else {
        known_readable_ = true;  // or at its end, or broken: Read tells
      }
    }
    return {};
  }

  Ok Write(std::string_view bytes) override {
    bool partial = false;
    while (!bytes.empty()) {
      if (closed_ || write_broken_) return Unavailable("write to " + peer_ + ": the stream was closed");
      ssize_t count = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count >= 0) {
        bytes.remove_prefix(static_cast<size_t>(count));
        partial = true;
        BeFair();
      } else if (WouldBlock(errno)) {
        auto waited = Wait(rt::FdEvent::kWritable);
        if (!waited.ok()) {
          write_broken_ = partial;
          return waited.status();
        }
      } else if (errno != EINTR) {
        return Unavailable(ErrnoText(("write to " + peer_).c_str(), errno));
      }
    }
    return {};
  }

  Ok CloseWrite() override {
    if (closed_ || shutdown(fd_, SHUT_WR) != 0) return Unavailable("close " + peer_ + ": the connection is gone");
    return {};
  }

  void Close() override {
    if (closed_) return;
    closed_ = true;
    // Wakes whoever waits on the descriptor; it is closed for good by the destructor.
    shutdown(fd_, SHUT_RDWR);
  }

  std::string peer() const override { return peer_; }

 private:
  /// Whether it had to wait.
  Result<bool> Wait(rt::FdEvent event) {
    calls_ = 0;
    bool parked = false;
    TRY(edges_.Wait(event, parked));
    return parked;
  }
  void BeFair() {
    if (++calls_ < kCallsBeforeYield) return;
    calls_ = 0;
    runtime_.Yield();
  }

  rt::Runtime& runtime_;
  int fd_;
  int calls_ = 0;
  bool closed_ = false;
  bool write_broken_ = false;
  bool drained_ = false;         ///< the last read took all there was
  bool known_readable_ = false;  ///< there is something, and no Read since
  std::string peer_;
  SocketFd socket_;
  rt::Edges edges_;  // goes before the descriptor is closed
};

class SocketListenerImpl : public SocketListener {
 public:
  SocketListenerImpl(rt::Runtime& runtime, SocketFd socket, Endpoint local)
      : runtime_(runtime), fd_(socket.fd()), socket_(std::move(socket)), local_(std::move(local)) {}
  ~SocketListenerImpl() override {
    runtime_.ForgetFd(fd_);
    if (!local_.unix_path.empty()) unlink(local_.unix_path.c_str());
  }

  Result<std::unique_ptr<Stream>> Accept() override { return MakeSocketStream(runtime_, TRY(AcceptFd())); }

  Result<SocketFd> AcceptFd() override {
    while (true) {
      Address from;
      from.size = sizeof from.storage;
      int fd = accept4(fd_, reinterpret_cast<sockaddr*>(&from.storage), &from.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        pause_ = {};
        if (!local_.unix_path.empty()) return SocketFd(fd, "unix");
        SetTcpOptions(fd);
        return SocketFd(fd, ToEndpoint(from).ToString());
      }
      int error = errno;
      if (WouldBlock(error)) {
        TRY(runtime_.WaitFd(fd_, rt::FdEvent::kReadable));
      } else if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
        TRY(Pause(error));
      } else if (error == EBADF || error == EINVAL || error == ENOTSOCK || error == EOPNOTSUPP || error == EFAULT) {
        return FromErrno(error, "accept on " + local_.ToString());
      }
      // All else is about the one connection that went away before it was accepted.
    }
  }

  Endpoint local() const override { return local_; }

 private:
  /// The descriptor stays readable while we can't accept, so waiting on it would spin: wait a growing time instead.
  Ok Pause(int error) {
    if (pause_ == Duration{}) {
      LOG_WARN("connections wait: nothing left to accept them with", {"address", local_.ToString()},
               {"error", std::strerror(error)});
    }
    pause_ = std::clamp(pause_ * 2, kAcceptPauseMin, kAcceptPauseMax);
    return runtime_.Sleep(pause_);
  }

  rt::Runtime& runtime_;
  int fd_;
  SocketFd socket_;
  Endpoint local_;
  Duration pause_{};
};

/// Every address a name stands for; a number is itself.
Result<std::vector<Address>> Resolve(rt::Runtime& runtime, const std::string& host, uint16_t port) {
  if (auto ip = IpAddress::Parse(host); ip.ok()) return std::vector<Address>{FromIp(*ip, port)};
  std::vector<Address> out;
  int error = 0;
  runtime.Blocking([&] {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* list = nullptr;
    error = getaddrinfo(host.c_str(), nullptr, &hints, &list);
    if (error == EAI_NONAME || error == EAI_ADDRFAMILY) {
      hints.ai_flags = 0;  // "localhost" on a machine that has loopback addresses only
      error = getaddrinfo(host.c_str(), nullptr, &hints, &list);
    }
    for (addrinfo* item = list; item != nullptr; item = item->ai_next) {
      if (item->ai_addrlen > sizeof(sockaddr_storage)) continue;
      Address address;
      std::memcpy(&address.storage, item->ai_addr, item->ai_addrlen);
      address.size = item->ai_addrlen;
      if (item->ai_family == AF_INET) reinterpret_cast<sockaddr_in*>(&address.storage)->sin_port = htons(port);
      if (item->ai_family == AF_INET6) reinterpret_cast<sockaddr_in6*>(&address.storage)->sin6_port = htons(port);
      out.push_back(address);
    }
    if (list != nullptr) freeaddrinfo(list);
  });
  if (out.empty()) {
    return Unavailable("lookup " + host + ": " + (error == EAI_NONAME ? "no such host" : gai_strerror(error)));
  }
  return out;
}

Result<std::unique_ptr<SocketListener>> Bind(rt::Runtime& runtime, const Address& address, const Endpoint& endpoint,
                                             bool dual_stack) {
  auto failed = [&](int error) {
    std::string what = "listen on " + endpoint.ToString();
    return error == EADDRINUSE ? AlreadyExists(what + ": address already in use") : FromErrno(error, what);
  };
  SocketFd socket = TRY(NewSocket(address.family()));
  int on = 1;
  setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.family() == AF_INET6) {
    int v6_only = dual_stack ? 0 : 1;
    setsockopt(socket.fd(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
  }
  if (bind(socket.fd(), address.get(), address.size) != 0) return failed(errno);
  if (listen(socket.fd(), kBacklog) != 0) return failed(errno);
  Endpoint local = endpoint;
  if (endpoint.unix_path.empty()) {
    Address bound;
    bound.size = sizeof bound.storage;
    if (getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&bound.storage), &bound.size) != 0) return failed(errno);
    local = ToEndpoint(bound);
  }
  return std::unique_ptr<SocketListener>(
      std::make_unique<SocketListenerImpl>(runtime, std::move(socket), std::move(local)));
}

/// Removes the socket a dead server left: one that nobody accepts on.
Ok RemoveStaleSocket(const std::string& path, const Address& address) {
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0) return {};
  if (!S_ISSOCK(info.st_mode)) return AlreadyExists("listen on unix:" + path + ": there is a file that is no socket");
  SocketFd probe = TRY(NewSocket(AF_UNIX));
  if (connect(probe.fd(), address.get(), address.size) == 0 || errno == EAGAIN) {
    return AlreadyExists("listen on unix:" + path + ": another server listens there");
  }
  // Only what nobody listens on any more; of all else (another kind of socket, one that is not for us) bind tells.
  if (errno == ECONNREFUSED) unlink(path.c_str());
  return {};
}

/// Waits until a non-blocking connect is decided.
Ok FinishConnect(rt::Runtime& runtime, int fd, const Endpoint& endpoint) {
  Ok waited = runtime.WaitFd(fd, rt::FdEvent::kWritable);
  runtime.ForgetFd(fd);
  TRY(std::move(waited));
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return Unavailable("dial tcp " + endpoint.ToString() + ": connect: " + LowerErrno(error));
  return {};
}

Result<std::unique_ptr<Stream>> ConnectWith(rt::Runtime& runtime, SocketFd socket, const Address& address,
                                            const Endpoint& endpoint) {
  rt::CancelScope scope(runtime, kConnectTimeout);
  while (connect(socket.fd(), address.get(), address.size) != 0) {
    if (errno == EINPROGRESS) {
      Ok finished = FinishConnect(runtime, socket.fd(), endpoint);
      if (finished.Failed(Reason::kTimeout)) {
        return Timeout("dial tcp " + endpoint.ToString() + ": i/o timeout");
      }
      TRY(std::move(finished));
      break;
    }
    if (errno == EAGAIN && address.family() == AF_UNIX) {
      TRY(runtime.Sleep(kAcceptPauseMin));  // the server's backlog is full; there is nothing to wait on
    } else if (errno != EINTR) {
      const std::string to = address.family() == AF_UNIX ? "unix " + endpoint.unix_path : "tcp " + endpoint.ToString();
      return Unavailable("dial " + to + ": connect: " + LowerErrno(errno));
    }
  }
  if (address.family() == AF_UNIX) return MakeSocketStream(runtime, SocketFd(socket.Release(), "unix"));
  SetTcpOptions(socket.fd());
  return MakeSocketStream(runtime, SocketFd(socket.Release(), ToEndpoint(address).ToString()));
}

Result<std::unique_ptr<Stream>> ConnectTo(rt::Runtime& runtime, const Address& address, const Endpoint& endpoint) {
  return ConnectWith(runtime, TRY(NewSocket(address.family())), address, endpoint);
}

}  // namespace

SocketFd::~SocketFd() {
  if (fd_ >= 0) close(fd_);
}

std::unique_ptr<Stream> MakeSocketStream(rt::Runtime& runtime, SocketFd socket) {
  return std::make_unique<SocketStream>(runtime, std::move(socket));
}

Result<std::unique_ptr<SocketListener>> ListenSocket(rt::Runtime& runtime, const Endpoint& endpoint) {
  if (!endpoint.unix_path.empty()) {
    Address address = FromPath(endpoint.unix_path);
    TRY(RemoveStaleSocket(endpoint.unix_path, address));
    auto listener = TRY(Bind(runtime, address, endpoint, false));
    // Whoever may connect is decided by the folder's permissions, and by the group the caller gives the socket.
    if (chmod(endpoint.unix_path.c_str(), 0660) != 0) return FromErrno(errno, "chmod " + endpoint.unix_path);
    return listener;
  }
  if (endpoint.host.empty() || endpoint.host == "::") {
    auto both = Bind(runtime, FromIp(IpAddress::V6({}), endpoint.port), endpoint, true);
    // A kernel without IPv6 still has IPv4.
    if (both.ok() || !endpoint.host.empty() || both.Failed(Reason::kAlreadyExists)) return both;
    auto four = Bind(runtime, FromIp(IpAddress::V4(0), endpoint.port), endpoint, false);
    return four.ok() ? std::move(four) : std::move(both);
  }
  std::vector<Address> addresses = TRY(Resolve(runtime, endpoint.host, endpoint.port));
  return Bind(runtime, addresses.front(), endpoint, false);
}

Result<std::unique_ptr<Listener>> Listen(rt::Runtime& runtime, const Endpoint& endpoint) {
  return std::unique_ptr<Listener>(TRY(ListenSocket(runtime, endpoint)));
}

Result<std::unique_ptr<Stream>> Connect(rt::Runtime& runtime, const Endpoint& endpoint) {
  if (!endpoint.unix_path.empty()) return ConnectTo(runtime, FromPath(endpoint.unix_path), endpoint);
  std::vector<Address> addresses =
      TRY(Resolve(runtime, endpoint.host.empty() ? "127.0.0.1" : endpoint.host, endpoint.port));
  Status first = Unavailable("dial tcp " + endpoint.ToString() + ": no address");
  for (size_t i = 0; i < addresses.size(); ++i) {
    auto stream = ConnectTo(runtime, addresses[i], endpoint);
    if (stream.ok()) return stream;
    TRY(runtime.CheckCancelled());
    if (i == 0) first = stream.status();
  }
  return first;
}

Result<std::unique_ptr<Stream>> ConnectInside(rt::Runtime& runtime, const std::string& netns_path, const IpAddress& ip,
                                              uint16_t port) {
  const Address address = FromIp(ip, port);
  Result<SocketFd> socket = SocketFd();
  runtime.Blocking([&] { socket = NewSocketInside(netns_path, address.family()); });
  return ConnectWith(runtime, TRY(std::move(socket)), address, ToEndpoint(address));
}

}  // namespace knarr::net
