#include "net/stream.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>

#include "net/test_support.h"

namespace knarr::net {
namespace {

std::string ReadToEnd(Stream& stream) {
  std::string out;
  std::array<char, 1000> part;
  while (true) {
    auto count = stream.Read(part.data(), part.size());
    if (!count.ok()) return out + "!" + count.status().message();
    if (*count == 0) return out;
    out.append(part.data(), *count);
  }
}

TEST(Endpoint, Parses) {
  EXPECT_EQ(Endpoint::Parse("127.0.0.1:6443")->ToString(), "127.0.0.1:6443");
  EXPECT_EQ(Endpoint::Parse("[::1]:6443")->host, "::1");
  EXPECT_EQ(Endpoint::Parse("[::1]:6443")->ToString(), "[::1]:6443");
  EXPECT_EQ(Endpoint::Parse(":8080")->host, "");
  EXPECT_EQ(Endpoint::Parse("unix:/run/x.sock")->unix_path, "/run/x.sock");
  EXPECT_EQ(Endpoint::Parse("unix:///run/x.sock")->ToString(), "unix:/run/x.sock");
  for (std::string_view text : {"", "x", "1.2.3.4", "1.2.3.4:x", "1.2.3.4:70000", "::1:80", "unix:x", "unix:"}) {
    EXPECT_FALSE(Endpoint::Parse(text).ok()) << text;
  }
}

TEST(MemoryPipe, CarriesBothWaysWithABound) {
  RunSim([](rt::Runtime& runtime) {
    auto [a, b] = MemoryPipe(runtime, 10);
    std::string sent;
    for (int i = 0; i < 1000; ++i) sent += static_cast<char>('a' + i % 26);
    rt::TaskGroup group(runtime, "test");
    group.Spawn("writer", [&, end = a.get()] {
      EXPECT_TRUE(end->Write(sent).ok());
      EXPECT_TRUE(end->CloseWrite().ok());
      EXPECT_EQ(ReadToEnd(*end), "answer");
    });
    EXPECT_EQ(ReadToEnd(*b), sent);
    EXPECT_TRUE(b->Write("answer").ok());
    EXPECT_TRUE(b->CloseWrite().ok());
    group.Join();
  });
}

TEST(MemoryPipe, CloseWakesBothSides) {
  RunSim([](rt::Runtime& runtime) {
    auto [a, b] = MemoryPipe(runtime, 10);
    rt::TaskGroup group(runtime, "test");
    group.Spawn("reader", [&, end = a.get()] {
      char byte;
      EXPECT_TRUE(end->Read(&byte, 1).Failed(Reason::kServiceUnavailable));
    });
    group.Spawn("writer", [&, end = a.get()] {
      EXPECT_TRUE(end->Write(std::string(100, 'x')).Failed(Reason::kServiceUnavailable));
    });
    EXPECT_TRUE(runtime.Sleep(1s).ok());
    a->Close();
    group.Join();
  });
}

TEST(Sockets, TcpAndUnix) {
  std::string path = "/tmp/knarr-net-test-" + std::to_string(getpid()) + ".sock";
  for (const std::string& address : {std::string("127.0.0.1:0"), std::string("[::1]:0"), "unix:" + path}) {
    RunReal([&](rt::RealRuntime& runtime) {
      auto listener = Listen(runtime, *Endpoint::Parse(address));
      if (!listener.ok() && address.starts_with("[")) GTEST_SKIP() << "no IPv6 here";
      ASSERT_TRUE(listener.ok()) << listener.status().message();
      std::string sent(3 << 20, 'x');
      rt::TaskGroup group(runtime, "test");
      group.Spawn("server", [&] {
        auto stream = (*listener)->Accept();
        ASSERT_TRUE(stream.ok());
        EXPECT_EQ(ReadToEnd(**stream).size(), sent.size());
        EXPECT_TRUE((*stream)->Write("done").ok());
      });
      auto client = Connect(runtime, (*listener)->local());
      ASSERT_TRUE(client.ok()) << client.status().message();
      EXPECT_TRUE((*client)->Write(sent).ok());
      EXPECT_TRUE((*client)->CloseWrite().ok());
      EXPECT_EQ(ReadToEnd(**client), "done");
      group.Join();
    });
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST(Sockets, DualStackListenerShowsIpv4PeersAsIpv4) {
  RunReal([](rt::RealRuntime& runtime) {
    auto listener = Listen(runtime, *Endpoint::Parse(":0"));
    ASSERT_TRUE(listener.ok()) << listener.status().message();
    auto client = Connect(runtime, {"localhost", (*listener)->local().port, ""});
    ASSERT_TRUE(client.ok()) << client.status().message();
    auto client4 = Connect(runtime, {"127.0.0.1", (*listener)->local().port, ""});
    ASSERT_TRUE(client4.ok()) << client4.status().message();
    auto first = (*listener)->Accept();
    auto second = (*listener)->Accept();
    ASSERT_TRUE(second.ok());
    EXPECT_TRUE((*second)->peer().starts_with("127.0.0.1:")) << (*second)->peer();
  });
}

TEST(Sockets, OnlyWhatNobodyListensOnIsTakenAway) {
  const std::string path = "/tmp/knarr-net-test-stale-" + std::to_string(getpid()) + ".sock";
  const auto leave = [&](int type) {
    const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  };
  RunReal([&](rt::RealRuntime& runtime) {
    close(leave(SOCK_STREAM));
    EXPECT_TRUE(Listen(runtime, *Endpoint::Parse("unix:" + path)).ok());
    EXPECT_NE(access(path.c_str(), F_OK), 0);
    const int other = leave(SOCK_DGRAM);
    EXPECT_TRUE(Listen(runtime, *Endpoint::Parse("unix:" + path)).Failed(Reason::kAlreadyExists));
    EXPECT_EQ(access(path.c_str(), F_OK), 0);
    close(other);
    unlink(path.c_str());
  });
}

TEST(Sockets, RefusedAndStale) {
  RunReal([](rt::RealRuntime& runtime) {
    uint16_t port = 0;
    {
      auto listener = Listen(runtime, *Endpoint::Parse("127.0.0.1:0"));
      port = (*listener)->local().port;
      auto second = Listen(runtime, {"127.0.0.1", port, ""});
      EXPECT_TRUE(second.Failed(Reason::kAlreadyExists)) << second.status().message();
    }
    auto refused = Connect(runtime, {"127.0.0.1", port, ""});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.status().message(),
              "dial tcp 127.0.0.1:" + std::to_string(port) + ": connect: connection refused");
    auto unknown = Connect(runtime, {"no-such-host.invalid", 80, ""});
    ASSERT_FALSE(unknown.ok());
    EXPECT_TRUE(unknown.status().message().starts_with("lookup no-such-host.invalid: ")) << unknown.status().message();
  });
}

TEST(Sockets, ACancelledReadLosesNothing) {
  RunReal([](rt::RealRuntime& runtime) {
    auto listener = Listen(runtime, *Endpoint::Parse("127.0.0.1:0"));
    auto client = Connect(runtime, (*listener)->local());
    auto server = (*listener)->Accept();
    ASSERT_TRUE(server.ok());
    char byte = 0;
    {
      rt::CancelScope scope(runtime, 20ms);
      EXPECT_TRUE((*server)->Read(&byte, 1).Failed(Reason::kTimeout));
    }
    EXPECT_TRUE((*client)->Write("z").ok());
    EXPECT_EQ(*(*server)->Read(&byte, 1), 1U);
    EXPECT_EQ(byte, 'z');
  });
}

TEST(Sockets, CloseWakesTheReader) {
  RunReal([](rt::RealRuntime& runtime) {
    auto listener = Listen(runtime, *Endpoint::Parse("127.0.0.1:0"));
    auto client = Connect(runtime, (*listener)->local());
    auto server = (*listener)->Accept();
    rt::TaskGroup group(runtime, "test");
    group.Spawn("reader", [&] {
      char byte;
      EXPECT_TRUE((*client)->Read(&byte, 1).Failed(Reason::kServiceUnavailable));
    });
    EXPECT_TRUE(runtime.Sleep(20ms).ok());
    (*client)->Close();
    group.Join();
  });
}

TEST(Sockets, AcceptWaitsForDescriptorsWithoutSpinning) {
  RunReal([](rt::RealRuntime& runtime) {
    auto listener = Listen(runtime, *Endpoint::Parse("127.0.0.1:0"));
    auto client = Connect(runtime, (*listener)->local());
    ASSERT_TRUE(client.ok());
    std::vector<int> taken;
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0);
    close(next);
    rlimit tight = before;
    tight.rlim_cur = static_cast<rlim_t>(next);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
    rusage start{}, end{};
    getrusage(RUSAGE_SELF, &start);
    rt::TaskGroup group(runtime, "test");
    bool accepted = false;
    group.Spawn("accept", [&] { accepted = (*listener)->Accept().ok(); });
    EXPECT_TRUE(runtime.Sleep(300ms).ok());
    EXPECT_FALSE(accepted);
    getrusage(RUSAGE_SELF, &end);
    auto micros = [](const rusage& u) {
      return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1'000'000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
    };
    EXPECT_LT(micros(end) - micros(start), 50'000);
    setrlimit(RLIMIT_NOFILE, &before);
    group.Join();
    EXPECT_TRUE(accepted);
  });
}

}  // namespace
}  // namespace knarr::net
