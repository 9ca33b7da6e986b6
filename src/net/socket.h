#pragma once

// Sockets as descriptors, for the server, which accepts on one runtime and serves on another.

#include <memory>
#include <string>
#include <utility>

#include "base/ip.h"
#include "base/status.h"
#include "net/stream.h"
#include "rt/runtime.h"

namespace knarr::net {

/// Owns a socket until it is made a Stream. Movable between threads.
class SocketFd {
 public:
  SocketFd() = default;
  SocketFd(int fd, std::string peer) : fd_(fd), peer_(std::move(peer)) {}
  SocketFd(SocketFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)), peer_(std::move(other.peer_)) {}
  SocketFd& operator=(SocketFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(peer_, other.peer_);
    return *this;
  }
  ~SocketFd();
  int fd() const { return fd_; }
  const std::string& peer() const { return peer_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
  std::string peer_;
};

/// A Stream of `runtime` over a connected, non-blocking socket.
std::unique_ptr<Stream> MakeSocketStream(rt::Runtime& runtime, SocketFd socket);

class SocketListener : public Listener {
 public:
  virtual Result<SocketFd> AcceptFd() = 0;
};
Result<std::unique_ptr<SocketListener>> ListenSocket(rt::Runtime& runtime, const Endpoint& endpoint);

/// A connection made in another network namespace (a path to join), where `ip` may be that namespace's loopback.
Result<std::unique_ptr<Stream>> ConnectInside(rt::Runtime& runtime, const std::string& netns_path, const IpAddress& ip,
                                              uint16_t port);

}  // namespace knarr::net
