// Against a logind made of a few lines, which talks to us directly or through a real bus.

#include "node/logind.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/strings.h"
#include "net/socket.h"
#include "rt/process.h"
#include "rt/real.h"
#include "rt/sync.h"

namespace knarr::node {
namespace {

using net::DbusMessage;
using net::DbusReader;
using net::DbusType;
using net::DbusWriter;

/// One end of a connection, which may say whatever it likes.
class BusEnd {
 public:
  BusEnd(rt::Runtime& runtime, int fd) : runtime_(runtime), fd_(fd) {}
  ~BusEnd() { runtime_.ForgetFd(fd_.get()); }
  void Send(const std::string& bytes, std::vector<int> fds = {}) {
    iovec part = {const_cast<char*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 4)] = {};
    msghdr header = {};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    if (!fds.empty()) {
      header.msg_control = control;
      header.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
      cmsghdr* c = CMSG_FIRSTHDR(&header);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
      std::copy(fds.begin(), fds.end(), reinterpret_cast<int*>(CMSG_DATA(c)));
    }
    EXPECT_EQ(sendmsg(fd_.get(), &header, MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  Result<std::string> Read(size_t size) {
    std::string out;
    while (out.size() < size) {
      char buffer[4096];
      const ssize_t got = recv(fd_.get(), buffer, std::min(size - out.size(), sizeof buffer), MSG_DONTWAIT);
      if (got == 0 || (got < 0 && errno != EAGAIN)) return Unavailable("closed");
      if (got > 0) {
        out.append(buffer, got);
      } else {
        TRY(runtime_.WaitFd(fd_.get(), rt::FdEvent::kReadable));
      }
    }
    return out;
  }
  Result<std::string> Line() {
    std::string out;
    while (!out.ends_with("\r\n")) out += TRY(Read(1));
    return out;
  }
  Result<DbusMessage> Receive() {
    std::string bytes = TRY(Read(net::kDbusHeadSize));
    const size_t size = TRY(net::DbusSize(bytes));
    bytes += TRY(Read(size - bytes.size()));
    return net::DecodeDbus(bytes);
  }
  /// The bus' half of the greeting.
  void Accept() {
    EXPECT_EQ(MUST(Read(1)), std::string(1, '\0'));
    const std::string uid = std::to_string(geteuid());
    EXPECT_EQ(MUST(Line()), "AUTH EXTERNAL " + HexEncode(uid) + "\r\n");
    Send("OK 1234deadbeef\r\n");
    EXPECT_EQ(MUST(Line()), "NEGOTIATE_UNIX_FD\r\n");
    Send("AGREE_UNIX_FD\r\n");
    EXPECT_EQ(MUST(Line()), "BEGIN\r\n");
  }
  /// A client's.
  void Greet() {
    Send(std::string(1, '\0') + "AUTH EXTERNAL " + HexEncode(std::to_string(geteuid())) + "\r\n");
    EXPECT_TRUE(MUST(Line()).starts_with("OK "));
    Send("NEGOTIATE_UNIX_FD\r\n");
    EXPECT_EQ(MUST(Line()), "AGREE_UNIX_FD\r\n");
    Send("BEGIN\r\n");
  }

 private:
  rt::Runtime& runtime_;
  rt::OwnedFd fd_;
};

constexpr const char* kOwner = ":1.7";

DbusMessage Signal(const std::string& sender, const std::string& member) {
  DbusMessage out = net::DbusCall("", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", member);
  out.type = DbusType::kSignal;
  out.sender = sender;
  out.serial = 1000;
  return out;
}

std::string Shutdown(const std::string& sender, bool down) {
  DbusMessage out = Signal(sender, "PrepareForShutdown");
  DbusWriter(out).Bool(down);
  return net::EncodeDbus(out);
}

std::string OwnerChange(const std::string& name, const std::string& owner) {
  DbusMessage out = Signal("org.freedesktop.DBus", "NameOwnerChanged");
  out.path = "/org/freedesktop/DBus";
  out.interface = "org.freedesktop.DBus";
  DbusWriter(out).String(name).String("").String(owner);
  return net::EncodeDbus(out);
}

/// What logind, systemd and (without a real one) the bus answer.
class FakeLogind {
 public:
  explicit FakeLogind(std::string folder) : folder_(std::move(folder)) {}
  uint64_t delay_micros = 5000000;
  bool reads_configuration = true;
  std::set<std::string> calls;
  std::vector<std::string> rules;
  std::string before_lock;  ///< bytes that come before the answer to Inhibit

  void Answer(BusEnd& end, const DbusMessage& call) {
    DbusMessage reply{.type = DbusType::kReply, .serial = 500 + call.serial, .reply_serial = call.serial};
    reply.destination = call.sender;
    DbusWriter out(reply);
    DbusReader in(call);
    calls.insert(call.member);
    std::vector<int> fds;
    rt::OwnedFd passed;
    if (call.member == "Hello") out.String(":1.42");
    if (call.member == "AddMatch") rules.emplace_back(MUST(in.String()));
    if (call.member == "GetNameOwner") out.String(kOwner);
    if (call.member == "Get") {
      EXPECT_EQ(MUST(in.String()), "org.freedesktop.login1.Manager");
      EXPECT_EQ(MUST(in.String()), "InhibitDelayMaxUSec");
      out.VariantUint64(delay_micros);
    }
    if (call.member == "KillUnit") ReadConfiguration();
    if (call.member == "Inhibit") {
      asked.clear();
      for (int i = 0; i < 4; ++i) asked += std::string(MUST(in.String())) + "|";
      int ends[2];
      EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
      locks.emplace_back(ends[0]);
      passed = rt::OwnedFd(ends[1]);
      fds.push_back(passed.get());
      out.Descriptor();
      if (!before_lock.empty()) end.Send(before_lock);
    }
    end.Send(net::EncodeDbus(reply), fds);
  }
  /// How many locks somebody holds.
  int Held() const {
    int out = 0;
    for (const rt::OwnedFd& lock : locks) {
      pollfd look = {lock.get(), POLLIN, 0};
      poll(&look, 1, 0);
      out += (look.revents & POLLHUP) != 0 ? 0 : 1;
    }
    return out;
  }
  std::string asked;
  std::vector<rt::OwnedFd> locks;

 private:
  void ReadConfiguration() {
    if (!reads_configuration) return;
    std::ifstream file(folder_ + "/conf/99-kubelet.conf");
    std::string line;
    while (std::getline(file, line)) {
      std::string_view value = line;
      if (ConsumePrefix(value, "InhibitDelayMaxSec=")) delay_micros = MUST(ParseUint64(value)) * 1000000;
    }
  }
  const std::string folder_;
};

class LogindTest : public testing::Test {
 protected:
  LogindTest() {
    char name[] = "/tmp/knarr-logind-XXXXXX";
    folder = mkdtemp(name);
  }
  ~LogindTest() override { std::filesystem::remove_all(folder); }

  LogindOptions Options() const { return {"unix:path=" + folder + "/bus", folder + "/conf"}; }
  /// `body` against a bus that serves one connection after the other.
  void In(const std::function<void(rt::Runtime& runtime, FakeLogind& fake, Logind& logind)>& body) {
    const auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(2));
    runtime->Run([&] {
      FakeLogind fake(folder);
      const auto listener = MUST(net::ListenSocket(*runtime, {.host = "", .port = 0, .unix_path = folder + "/bus"}));
      rt::TaskGroup tasks(*runtime, "bus");
      tasks.Spawn("bus", [&] {
        while (true) {
          auto socket = listener->AcceptFd();
          if (!socket.ok()) return;
          end = std::make_unique<BusEnd>(*runtime, socket->Release());
          end->Accept();
          for (auto call = end->Receive(); call.ok(); call = end->Receive()) fake.Answer(*end, *call);
          end.reset();
        }
      });
      {
        Logind logind(*runtime, Options());
        body(*runtime, fake, logind);
      }
      tasks.StopAndJoin();
      end.reset();
    });
  }

  std::string folder;
  std::unique_ptr<BusEnd> end;  // the connection there is
};

TEST_F(LogindTest, AShutdownIsToldOfAndWaits) {
  In([&](rt::Runtime&, FakeLogind& fake, Logind& logind) {
    MUST(logind.Begin(5s));
    EXPECT_EQ(fake.asked, "shutdown|kubelet|Kubelet needs time to handle node shutdown|delay|");
    EXPECT_EQ(fake.Held(), 1);
    EXPECT_FALSE(fake.calls.contains("KillUnit"));
    EXPECT_FALSE(std::filesystem::exists(folder + "/conf"));
    EXPECT_EQ(fake.rules.size(), 2U);
    EXPECT_EQ(fake.rules.back(),
              "type='signal',sender='org.freedesktop.login1',interface='org.freedesktop.login1.Manager',"
              "member='PrepareForShutdown',path='/org/freedesktop/login1'");
    end->Send(Shutdown(kOwner, true));
    EXPECT_TRUE(MUST(logind.Next()));
    logind.Release();
    EXPECT_EQ(fake.Held(), 0);
    end->Send(Shutdown(kOwner, false));
    EXPECT_FALSE(MUST(logind.Next()));
    MUST(logind.Hold());
    MUST(logind.Hold());
    EXPECT_EQ(fake.locks.size(), 3U);
    EXPECT_EQ(fake.Held(), 1);
  });
}

TEST_F(LogindTest, WhatDoesNotComeFromLogindIsNothing) {
  In([&](rt::Runtime& runtime, FakeLogind& fake, Logind& logind) {
    // Before the answer to a call as well as after it.
    fake.before_lock = Shutdown(":1.99", true) + Shutdown("org.freedesktop.login1", true);
    MUST(logind.Begin(5s));
    end->Send(Shutdown(":1.99", true));
    end->Send(Shutdown("", true));
    // One that is too long for us, one with a field that nobody knows, and one with another argument.
    DbusMessage big = Signal(kOwner, "PrepareForShutdown");
    big.signature = "ay";
    big.body = std::string(200000, 'x');
    end->Send(net::EncodeDbus(big));
    DbusMessage text = Signal(kOwner, "PrepareForShutdown");
    DbusWriter(text).String("true");
    end->Send(net::EncodeDbus(text));
    end->Send(OwnerChange("org.freedesktop.hostname1", ":1.70"));
    rt::OneShot<bool> told(runtime);
    rt::TaskGroup tasks(runtime, "test");
    tasks.Spawn("next", [&] { told.Set(MUST(logind.Next())); });
    EXPECT_TRUE(runtime.Sleep(50ms).ok());
    EXPECT_FALSE(told.is_set());
    // Descriptors that come unasked are closed.
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    DbusMessage with = Signal(kOwner, "SessionNew");
    with.descriptors = 1;
    end->Send(net::EncodeDbus(with), {ends[1]});
    close(ends[1]);
    end->Send(Shutdown(kOwner, false));
    EXPECT_FALSE(*MUST(told.Wait()));
    char byte = 0;
    EXPECT_EQ(read(ends[0], &byte, 1), 0);
    close(ends[0]);
    tasks.StopAndJoin();
  });
}

TEST_F(LogindTest, ALogindThatIsTooShortIsToldToWaitLonger) {
  In([&](rt::Runtime& runtime, FakeLogind& fake, Logind& logind) {
    MUST(logind.Begin(90s));
    EXPECT_TRUE(fake.calls.contains("KillUnit"));
    EXPECT_EQ(fake.delay_micros, 90000000U);
    EXPECT_EQ(fake.Held(), 1);
    MUST(RemoveLogindConfiguration(runtime, Options()));
    EXPECT_FALSE(std::filesystem::exists(folder + "/conf/99-kubelet.conf"));
    std::ofstream(folder + "/conf/99-kubelet.conf") << "# Kubelet logind override\n";
    MUST(RemoveLogindConfiguration(runtime, Options()));
    EXPECT_TRUE(std::filesystem::exists(folder + "/conf/99-kubelet.conf"));
    fake.reads_configuration = false;
    const Ok begun = logind.Begin(120s);
    ASSERT_FALSE(begun.ok());
    EXPECT_EQ(begun.status().message(),
              "node shutdown manager was timed out after 5 attempts waiting for logind InhibitDelayMaxSec to update to "
              "2m0s (ShutdownGracePeriod), current value is 1m30s");
    // What there was is still held.
    EXPECT_EQ(fake.Held(), 1);
  });
}

TEST_F(LogindTest, ALogindThatComesAnewIsBegunWithAnew) {
  In([&](rt::Runtime&, FakeLogind& fake, Logind& logind) {
    MUST(logind.Begin(5s));
    end->Send(OwnerChange("org.freedesktop.login1", kOwner) + OwnerChange("org.freedesktop.login1", ":1.8"));
    EXPECT_EQ(logind.Next().status().message(), "logind was started anew");
    EXPECT_EQ(fake.Held(), 1);
    MUST(logind.Begin(5s));
    EXPECT_EQ(fake.locks.size(), 2U);
    EXPECT_EQ(fake.Held(), 1);
    end->Send("this is no message, and it is longer than a head");
    EXPECT_EQ(logind.Next().status().message(), "not a D-Bus message");
    EXPECT_EQ(logind.Hold().status().message(), "the connection to the bus is broken");
    MUST(logind.Begin(5s));
  });
}

TEST_F(LogindTest, NobodyIsThere) {
  const auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(2));
  runtime->Run([&] {
    Logind logind(*runtime, Options());
    EXPECT_EQ(logind.Begin(5s).status().message(), "D-Bus: connect to " + folder + "/bus: No such file or directory");
    Logind other(*runtime, {"tcp:host=localhost", folder});
    EXPECT_TRUE(other.Begin(5s).Failed(Reason::kBadRequest));
  });
}

/// The real bus routes, names and passes descriptors as it does on a machine.
TEST_F(LogindTest, ThroughARealBus) {
  if (!std::filesystem::exists("/usr/bin/dbus-daemon")) GTEST_SKIP() << "no dbus-daemon";
  std::ofstream(folder + "/bus.conf") << "<busconfig><type>system</type><listen>unix:path=" << folder
                                      << "/bus</listen><auth>EXTERNAL</auth><policy context=\"default\">"
                                         "<allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/>"
                                         "<allow own=\"*\"/><allow user=\"*\"/></policy></busconfig>";
  const auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(2));
  runtime->Run([&] {
    auto daemon = MUST(runtime->processes().Start(
        {.argv = {"/usr/bin/dbus-daemon", "--nofork", "--nopidfile", "--config-file=" + folder + "/bus.conf"}}));
    for (int i = 0; i < 500 && !std::filesystem::exists(folder + "/bus"); ++i) (void)runtime->Sleep(10ms);
    FakeLogind fake(folder);
    rt::TaskGroup tasks(*runtime, "logind");
    rt::Event there(*runtime);
    const auto serve = [&] {
      const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
      (folder + "/bus").copy(address.sun_path, sizeof address.sun_path - 1);
      ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
      end = std::make_unique<BusEnd>(*runtime, fd);
      end->Greet();
      uint32_t serial = 0;
      const auto ask = [&](DbusMessage call) {
        call.serial = ++serial;
        end->Send(net::EncodeDbus(call));
        while (MUST(end->Receive()).reply_serial != serial) continue;
      };
      ask(net::DbusBusCall("Hello"));
      for (const char* name : {"org.freedesktop.login1", "org.freedesktop.systemd1"}) {
        DbusMessage request = net::DbusBusCall("RequestName");
        DbusWriter(request).String(name).Int32(0);
        request.signature = "su";
        ask(request);
      }
      there.Set();
      for (auto call = end->Receive(); call.ok(); call = end->Receive()) {
        if (call->type == DbusType::kCall) fake.Answer(*end, *call);
      }
    };
    tasks.Spawn("logind", serve);
    ASSERT_TRUE(there.Wait(runtime->Mono() + 10s).ok());
    {
      Logind logind(*runtime, Options());
      MUST(logind.Begin(90s));
      EXPECT_EQ(fake.delay_micros, 90000000U);
      EXPECT_EQ(fake.Held(), 1);
      end->Send(Shutdown("", true));  // the bus says whose it is
      EXPECT_TRUE(MUST(logind.Next()));
      logind.Release();
      EXPECT_EQ(fake.Held(), 0);
      tasks.StopAndJoin();
      end.reset();
      EXPECT_EQ(logind.Next().status().message(), "logind was started anew");
    }
    MUST(daemon->Kill(SIGTERM));
    MUST(daemon->Wait());
  });
}

}  // namespace
}  // namespace knarr::node
