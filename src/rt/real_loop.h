#pragma once

// The event loop of RealRuntime. Internal to rt/.
//
// One epoll instance a thread. A descriptor is armed for one event (EPOLLONESHOT) each time someone waits for it, so
// the kernel looks at its present state (no edge can be lost), nothing wakes the loop that nobody waits for, and a
// number that was closed and reused without ForgetFd is noticed. Connections, which wait at every message, are
// registered once instead (rt/edges.h). Other threads reach the loop through two inboxes and an eventfd, which is
// written only while the loop sleeps or is about to.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "rt/fiber.h"
#include "rt/file_system.h"
#include "rt/process.h"
#include "rt/real.h"

namespace knarr::rt {

class RealLoop : public RealRuntime {
 public:
  RealLoop(RealOptions options, std::shared_ptr<BlockingPool> pool);
  ~RealLoop() override;

  MonoTime Mono() const override;
  WallTime Wall() const override;
  uint64_t Random() override;
  void RandomBytes(void* out, size_t size) override;
  void Post(std::function<void()> task) override;
  void Wake(RemoteWake* wake) override;
  void Blocking(const std::function<void()>& work) override;
  Ok WaitFd(int fd, FdEvent event) override;
  void ForgetFd(int fd) override;
  FileSystem& files() override { return *files_; }
  Processes& processes() override { return *processes_; }
  bool OnThisThread() const override;
  void Run(std::function<void()> body) override;
  void StartThread() override;
  void StopThread() override;
  Result<int> WaitSignal(std::initializer_list<int> signals) override;

  // For rt::Edges.
  Ok RegisterEdges(int fd);
  Ok WaitEdge(int fd, FdEvent event, bool& parked);

  /// Calls `ready` on the loop, outside any fiber, once the descriptor is readable. Does not keep Run from ending.
  Ok WatchOnce(int fd, std::function<void()> ready);

 private:
  /// What other threads touch. What they leave here may end the loop at once, while they are still on their way to
  /// wake it, so they hold it, too.
  struct Mailbox {
    Mailbox();
    ~Mailbox();
    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;
    void WakeLoop();
    bool empty() const { return wakes.load() == nullptr && !inbox_full.load(); }

    int event = -1;
    std::mutex mutex;
    std::vector<std::function<void()>> inbox;
    std::atomic<bool> inbox_full{false};
    std::atomic<RemoteWake*> wakes{nullptr};
    std::atomic<bool> sleeping{false};
  };
  struct Descriptor {
    Fiber* waiting[2] = {nullptr, nullptr};  // by FdEvent
    bool woken[2] = {false, false};
    bool forgotten = false;
    bool edges = false;                // registered once; `edge` and `hung_up` are for these only
    bool edge[2] = {false, false};     // told, and nobody has waited for it since
    bool hung_up[2] = {false, false};  // no edge comes any more: waits return at once
    std::function<void()> watch;
  };

  void Loop(const std::function<bool()>& ended);
  void Poll(bool may_sleep);
  void BeginEnding();
  void WarnOfLeftovers();
  void DrainInbox();
  Ok Arm(int fd);
  Descriptor& DescriptorOf(int fd);
  Ok ParkFor(Descriptor& descriptor, size_t direction);
  static void OnEdges(Runtime& runtime, Descriptor& descriptor, uint32_t events);
  void OnEvents(int fd, uint32_t events);

  RealOptions options_;
  std::shared_ptr<BlockingPool> pool_;
  std::unique_ptr<FileSystem> files_;
  std::unique_ptr<Processes> processes_;
  int epoll_ = -1;
  std::vector<std::unique_ptr<Descriptor>> descriptors_;  // by number

  const std::shared_ptr<Mailbox> mailbox_;

  bool ending_ = false;  // nothing new is expected: who still waits is worth a warning
  MonoTime warn_at_{};

  std::thread thread_;
  std::atomic<bool> stop_{false};
};

std::unique_ptr<FileSystem> MakeRealFileSystem(Runtime& runtime);
std::unique_ptr<Processes> MakeRealProcesses(RealLoop& loop);

}  // namespace knarr::rt
