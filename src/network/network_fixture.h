#pragma once

// For tests: processes in network namespaces of their own that serve and ask, and a fixture that is in one itself, so
// that nothing of the machine's is touched, and all of it goes when the test ends.

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "network/netlink.h"
#include "network/network.h"
#include "network/nft.h"
#include "rt/real.h"

namespace knarr::network {

inline constexpr int kAskSeconds = 2;

inline sockaddr_in SocketAddress(const std::string& ip, int port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, ip.c_str(), &out.sin_addr);
  return out;
}

inline void EnterNamespace(const std::string& path) {
  if (path.empty()) return;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) _exit(99);
  close(fd);
}

// A process with a network namespace of its own (or ours), in which a server answers each TCP connection and each UDP
// packet on port 8080 with "<name> <client's address>".
class Place {
 public:
  Place(std::string name, bool own) : name_(std::move(name)) {
    std::array<int, 2> ready{};
    EXPECT_EQ(pipe(ready.data()), 0);
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (own && unshare(CLONE_NEWNET) != 0) _exit(98);
      Serve(ready[1]);
    }
    close(ready[1]);
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
  }
  ~Place() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  std::string netns() const { return "/proc/" + std::to_string(pid_) + "/ns/net"; }
  int pid() const { return pid_; }

 private:
  [[noreturn]] void Serve(int ready) const {
    const sockaddr_in at = SocketAddress("0.0.0.0", 8080);
    const int tcp = socket(AF_INET, SOCK_STREAM, 0);
    const int udp = socket(AF_INET, SOCK_DGRAM, 0);
    const int yes = 1;
    setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(tcp, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 || listen(tcp, 64) != 0) _exit(97);
    if (bind(udp, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) _exit(96);
    if (write(ready, "r", 1) != 1) _exit(95);
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      while (true) {
        sockaddr_in from{};
        socklen_t size = sizeof from;
        char byte = 0;
        if (recvfrom(udp, &byte, 1, 0, reinterpret_cast<sockaddr*>(&from), &size) < 0) continue;
        const std::string answer = name_ + " " + inet_ntoa(from.sin_addr);
        (void)sendto(udp, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
      }
    }
    while (true) {
      sockaddr_in from{};
      socklen_t size = sizeof from;
      const int fd = accept(tcp, reinterpret_cast<sockaddr*>(&from), &size);
      const std::string answer = name_ + " " + inet_ntoa(from.sin_addr);
      (void)send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
      close(fd);
    }
  }
  std::string name_;
  int pid_ = -1;
};

// What the server at that address answers to a client in the namespace ("" is the host's), or the error.
inline std::string Ask(const std::string& netns, const std::string& ip, int port, bool udp = false) {
  std::array<int, 2> answer{};
  EXPECT_EQ(pipe(answer.data()), 0);
  const int pid = fork();
  if (pid == 0) {
    EnterNamespace(netns);
    const int fd = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
    const timeval limit{kAskSeconds, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    const sockaddr_in to = SocketAddress(ip, port);
    std::array<char, 200> text{};
    ssize_t size = -1;
    if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) {
      if (udp) (void)send(fd, "x", 1, 0);
      size = recv(fd, text.data(), text.size(), 0);
    }
    const int error = errno;
    std::string out(text.data(), size > 0 ? static_cast<size_t>(size) : 0);
    // A connect that runs out of time says EINPROGRESS, a receive EAGAIN.
    if (size <= 0) out = error == EINPROGRESS || error == EAGAIN ? "timeout" : strerrorname_np(error);
    (void)write(answer[1], out.data(), out.size());
    _exit(0);
  }
  close(answer[1]);
  std::array<char, 300> text{};
  const ssize_t size = read(answer[0], text.data(), text.size());
  close(answer[0]);
  waitpid(pid, nullptr, 0);
  return {text.data(), size > 0 ? static_cast<size_t>(size) : 0};
}

inline void Shell(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }

inline std::string Output(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  std::string out;
  std::array<char, 4096> piece;
  while (const size_t got = fread(piece.data(), 1, piece.size(), pipe)) out.append(piece.data(), got);
  pclose(pipe);
  return out;
}

class NetworkTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    // Each test in a namespace of its own; those before die with the processes in them. The pool's threads are started
    // from this one, and so are in it too.
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    // What this machine's own namespace is set to is inherited.
    Shell("ip link set lo up && echo 1 > /proc/sys/net/ipv4/conf/all/send_redirects");
    std::string name = "/tmp/image-network-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    state_ = name;
  }
  void TearDown() override {
    if (!state_.empty()) std::filesystem::remove_all(state_);
  }
  void Run(const std::function<void(rt::Runtime& runtime)>& body) {
    const auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(4));
    runtime->Run([&] { body(*runtime); });
  }
  PodNetworkOptions Options() const {
    return {.state_directory = state_, .pod_cidr = "10.42.0.0/24", .bridge = "image0"};
  }
  Ok Commit(rt::Runtime& runtime, nft::Transaction transaction) {
    Ok result;
    runtime.Blocking([&] {
      if (!socket_) socket_.emplace(MUST(NetlinkSocket::Open(NETLINK_NETFILTER)));
      result = transaction.Commit(*socket_);
    });
    return result;
  }
  std::optional<NetlinkSocket> socket_;
  std::string state_;
};

}  // namespace knarr::network
