#include "rt/real_loop.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <ctime>

#include "base/check.h"
#include "base/log.h"
#include "rt/edges.h"

namespace knarr::rt {
namespace {

// How many fibers run before the loop looks at the kernel again, while more are ready.
constexpr size_t kBatch = 64;
constexpr size_t kFdMax = 1 << 20;
// How long fibers may go on after a runtime was told to end before the log names them.
constexpr Duration kEndingMax = 10s;

thread_local const RealLoop* this_threads_loop = nullptr;

Duration ClockNow(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::chrono::seconds(now.tv_sec) + Duration(now.tv_nsec);
}

void FillRandom(void* out, size_t size) {
  auto* bytes = static_cast<char*>(out);
  while (size > 0) {
    const ssize_t got = getrandom(bytes, size, 0);
    if (got < 0 && errno == EINTR) continue;
    CHECK(got > 0);
    bytes += got;
    size -= static_cast<size_t>(got);
  }
}

// How often this process came out of a fork: numbers drawn before must not be drawn again by the child.
std::atomic<uint32_t> forks{0};

// SplitMix64, one state a thread.
uint64_t NextRandom() {
  [[maybe_unused]] static const int counted = pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1); });
  thread_local uint64_t state = 0;
  thread_local uint32_t seeded_for = UINT32_MAX;
  if (const uint32_t now = forks.load(std::memory_order_relaxed); seeded_for != now) {
    FillRandom(&state, sizeof state);
    seeded_for = now;
  }
  uint64_t value = state += 0x9e3779b97f4a7c15;
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
  value = (value ^ value >> 27) * 0x94d049bb133111eb;
  return value ^ value >> 31;
}

}  // namespace

std::unique_ptr<RealRuntime> RealRuntime::Create(RealOptions options, std::shared_ptr<BlockingPool> pool) {
  return std::make_unique<RealLoop>(std::move(options), std::move(pool));
}

RealLoop::RealLoop(RealOptions options, std::shared_ptr<BlockingPool> pool)
    : options_(std::move(options)), pool_(std::move(pool)), mailbox_(std::make_shared<Mailbox>()) {
  fibers_ = std::make_unique<Fibers>(*this, options_.fiber_stack);
  // A peer that is gone is an error of the write, not the end of the program.
  std::signal(SIGPIPE, SIG_IGN);
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  CHECK(epoll_ >= 0);
  // Edge-triggered: every write wakes, and the counter need not be read.
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.fd = mailbox_->event}};
  CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, mailbox_->event, &event) == 0);
  files_ = MakeRealFileSystem(*this);
  processes_ = MakeRealProcesses(*this);
}

RealLoop::~RealLoop() {
  CHECK(!thread_.joinable());
  fibers_.reset();  // CHECKs that none is left
  close(epoll_);
}

MonoTime RealLoop::Mono() const { return MonoTime(ClockNow(CLOCK_MONOTONIC)); }
WallTime RealLoop::Wall() const { return WallTime(ClockNow(CLOCK_REALTIME)); }
uint64_t RealLoop::Random() { return NextRandom(); }
void RealLoop::RandomBytes(void* out, size_t size) { FillRandom(out, size); }
bool RealLoop::OnThisThread() const { return this_threads_loop == this; }

void RealLoop::Post(std::function<void()> task) {
  if (OnThisThread()) {
    fibers_->Spawn("post", std::move(task), nullptr, nullptr);
    return;
  }
  const std::shared_ptr<Mailbox> mailbox = mailbox_;
  {
    const std::lock_guard lock(mailbox->mutex);
    mailbox->inbox.push_back(std::move(task));
    mailbox->inbox_full.store(true);
  }
  mailbox->WakeLoop();
}

void RealLoop::Wake(RemoteWake* wake) {
  if (OnThisThread()) {
    wake->done = true;
    Unpark(wake->fiber);
    return;
  }
  const std::shared_ptr<Mailbox> mailbox = mailbox_;
  RemoteWake* head = mailbox->wakes.load(std::memory_order_relaxed);
  do {
    wake->next = head;
  } while (!mailbox->wakes.compare_exchange_weak(head, wake));
  mailbox->WakeLoop();
}

// Either the loop sees the inbox after it said that it sleeps, or we see that it sleeps: both are sequentially
// consistent.
void RealLoop::Mailbox::WakeLoop() {
  if (!sleeping.exchange(false)) return;
  const uint64_t one = 1;
  CHECK(write(event, &one, sizeof one) == sizeof one || errno == EAGAIN);
}

RealLoop::Mailbox::Mailbox() : event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { CHECK(event >= 0); }
RealLoop::Mailbox::~Mailbox() { close(event); }

void RealLoop::DrainInbox() {
  if (mailbox_->inbox_full.load(std::memory_order_acquire)) {
    std::vector<std::function<void()>> tasks;
    {
      const std::lock_guard lock(mailbox_->mutex);
      tasks.swap(mailbox_->inbox);
      mailbox_->inbox_full.store(false);
    }
    for (std::function<void()>& task : tasks) fibers_->Spawn("post", std::move(task), nullptr, nullptr);
  }
  RemoteWake* wake = mailbox_->wakes.exchange(nullptr, std::memory_order_acquire);
  RemoteWake* in_order = nullptr;
  while (wake != nullptr) {
    RemoteWake* next = wake->next;
    wake->next = in_order;
    in_order = wake;
    wake = next;
  }
  while (in_order != nullptr) {
    RemoteWake* next = in_order->next;
    in_order->done = true;
    Unpark(in_order->fiber);
    in_order = next;
  }
}

void RealLoop::Blocking(const std::function<void()>& work) {
  if (!OnThisThread() || current() == nullptr) {  // in this order: current() is the loop's own thread's
    work();
    return;
  }
  const Shield shield(*this);
  RemoteWake wake{.fiber = current()};
  pool_->Submit([this, &work, &wake] {
    work();
    Wake(&wake);
  });
  while (!wake.done) (void)Park();
}

Ok RealLoop::Arm(int fd) {
  const Descriptor& descriptor = *descriptors_[static_cast<size_t>(fd)];
  epoll_event event{.events = EPOLLONESHOT, .data = {.fd = fd}};
  if (descriptor.waiting[static_cast<size_t>(FdEvent::kReadable)] != nullptr || descriptor.watch) {
    event.events |= EPOLLIN | EPOLLRDHUP;
  }
  if (descriptor.waiting[static_cast<size_t>(FdEvent::kWritable)] != nullptr) event.events |= EPOLLOUT;
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) == 0) return {};
  if (errno == ENOENT && epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return FromErrno(errno, "wait for descriptor " + std::to_string(fd));
}

RealLoop::Descriptor& RealLoop::DescriptorOf(int fd) {
  const auto index = static_cast<size_t>(fd);
  if (index >= descriptors_.size()) descriptors_.resize(index + 1);
  if (descriptors_[index] == nullptr) descriptors_[index] = std::make_unique<Descriptor>();
  return *descriptors_[index];
}

Ok RealLoop::WaitFd(int fd, FdEvent event) {
  CHECK(OnThisThread() && current() != nullptr);
  if (fd < 0 || static_cast<size_t>(fd) >= kFdMax) return FromErrno(EBADF, "wait for descriptor " + std::to_string(fd));
  TRY(CheckCancelled());
  Descriptor& descriptor = DescriptorOf(fd);
  const auto direction = static_cast<size_t>(event);
  CHECK(!descriptor.edges && descriptor.waiting[direction] == nullptr);  // one fiber a descriptor and direction
  descriptor.waiting[direction] = current();
  descriptor.woken[direction] = false;
  descriptor.forgotten = false;
  if (const Ok armed = Arm(fd); !armed.ok()) {
    descriptor.waiting[direction] = nullptr;
    // Regular files can't be polled, as they are always ready.
    if (armed.status().Is(Reason::kForbidden)) return {};
    return armed;
  }
  return ParkFor(descriptor, direction);
}

Ok RealLoop::ParkFor(Descriptor& descriptor, size_t direction) {
  Ok parked;
  while (parked.ok() && !descriptor.woken[direction]) parked = Park();
  descriptor.waiting[direction] = nullptr;
  if (descriptor.woken[direction] && descriptor.forgotten) return Cancelled("descriptor closed");
  return parked;
}

Ok RealLoop::RegisterEdges(int fd) {
  CHECK(OnThisThread());
  if (fd < 0 || static_cast<size_t>(fd) >= kFdMax) return FromErrno(EBADF, "register descriptor " + std::to_string(fd));
  Descriptor& descriptor = DescriptorOf(fd);
  // A number that was closed without ForgetFd may have left its state.
  CHECK(descriptor.waiting[0] == nullptr && descriptor.waiting[1] == nullptr && !descriptor.watch);
  descriptor = {};
  descriptor.edges = true;
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.fd = fd}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0) return {};
  if (errno == EEXIST && epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) == 0) return {};
  return FromErrno(errno, "register descriptor " + std::to_string(fd));
}

Ok RealLoop::WaitEdge(int fd, FdEvent event, bool& parked) {
  CHECK(OnThisThread() && current() != nullptr);
  parked = false;
  TRY(CheckCancelled());
  Descriptor& descriptor = DescriptorOf(fd);
  const auto direction = static_cast<size_t>(event);
  CHECK(descriptor.edges && descriptor.waiting[direction] == nullptr);
  if (std::exchange(descriptor.edge[direction], false) || descriptor.hung_up[direction]) return {};
  parked = true;
  descriptor.waiting[direction] = current();
  descriptor.woken[direction] = false;
  descriptor.forgotten = false;
  Ok waited = ParkFor(descriptor, direction);
  // An edge that came together with the end of the scope is for the next wait.
  if (!waited.ok() && descriptor.woken[direction]) descriptor.edge[direction] = true;
  return waited;
}

void RealLoop::OnEdges(Runtime& runtime, Descriptor& descriptor, uint32_t events) {
  const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
  if (broken || (events & EPOLLRDHUP) != 0) descriptor.hung_up[static_cast<size_t>(FdEvent::kReadable)] = true;
  if (broken) descriptor.hung_up[static_cast<size_t>(FdEvent::kWritable)] = true;
  const bool told[2] = {broken || (events & (EPOLLIN | EPOLLRDHUP | EPOLLPRI)) != 0,
                        broken || (events & EPOLLOUT) != 0};
  for (const size_t direction : {size_t{0}, size_t{1}}) {
    if (!told[direction]) continue;
    if (descriptor.waiting[direction] == nullptr || descriptor.woken[direction]) {
      descriptor.edge[direction] = true;
      continue;
    }
    descriptor.woken[direction] = true;
    runtime.Unpark(descriptor.waiting[direction]);
  }
}

Edges::Edges(Runtime& runtime, int fd)
    : loop_(dynamic_cast<RealLoop&>(runtime)), fd_(fd), registered_(loop_.RegisterEdges(fd)) {}

Edges::~Edges() { loop_.ForgetFd(fd_); }

Ok Edges::Wait(FdEvent event, bool& parked) {
  if (!registered_.ok()) return registered_;
  return loop_.WaitEdge(fd_, event, parked);
}

void RealLoop::ForgetFd(int fd) {
  CHECK(OnThisThread());
  if (fd < 0 || static_cast<size_t>(fd) >= descriptors_.size()) return;
  Descriptor* descriptor = descriptors_[static_cast<size_t>(fd)].get();
  if (descriptor == nullptr) return;
  (void)epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);  // it may not be there: nobody waited since it was last reused
  descriptor->watch = nullptr;
  descriptor->edges = false;
  for (const size_t direction : {size_t{0}, size_t{1}}) {
    if (descriptor->waiting[direction] == nullptr || descriptor->woken[direction]) continue;
    descriptor->forgotten = true;
    descriptor->woken[direction] = true;
    Unpark(descriptor->waiting[direction]);
  }
}

Ok RealLoop::WatchOnce(int fd, std::function<void()> ready) {
  CHECK(OnThisThread() && fd >= 0 && static_cast<size_t>(fd) < kFdMax);
  if (static_cast<size_t>(fd) >= descriptors_.size()) descriptors_.resize(static_cast<size_t>(fd) + 1);
  std::unique_ptr<Descriptor>& descriptor = descriptors_[static_cast<size_t>(fd)];
  if (descriptor == nullptr) descriptor = std::make_unique<Descriptor>();
  descriptor->watch = std::move(ready);
  Ok armed = Arm(fd);
  if (!armed.ok()) descriptor->watch = nullptr;
  return armed;
}

void RealLoop::OnEvents(int fd, uint32_t events) {
  Descriptor* descriptor =
      static_cast<size_t>(fd) < descriptors_.size() ? descriptors_[static_cast<size_t>(fd)].get() : nullptr;
  if (descriptor == nullptr) return;
  if (descriptor->edges) {
    OnEdges(*this, *descriptor, events);
    return;
  }
  const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
  const bool ready[2] = {broken || (events & (EPOLLIN | EPOLLRDHUP | EPOLLPRI)) != 0,
                         broken || (events & EPOLLOUT) != 0};
  bool still_waiting = false;
  for (const size_t direction : {size_t{0}, size_t{1}}) {
    if (descriptor->waiting[direction] == nullptr || descriptor->woken[direction]) continue;
    if (!ready[direction]) {
      still_waiting = true;
      continue;
    }
    descriptor->woken[direction] = true;
    Unpark(descriptor->waiting[direction]);
  }
  if (descriptor->watch && ready[0]) {
    const std::function<void()> watch = std::move(descriptor->watch);
    descriptor->watch = nullptr;
    watch();
  }
  // The one shot was for both directions. A failure here means that the descriptor is closed, and its waiter forgotten.
  if (still_waiting) (void)Arm(fd);
}

void RealLoop::Poll(bool may_sleep) {
  timespec timeout{};
  bool for_ever = false;
  if (may_sleep) {
    const MonoTime next = ending_ ? std::min(fibers_->next_timer(), warn_at_) : fibers_->next_timer();
    for_ever = next == MonoTime::max();
    const Duration wait = for_ever ? Duration::zero() : std::max(Duration::zero(), next - Mono());
    timeout.tv_sec = static_cast<time_t>(wait.count() / 1'000'000'000);
    timeout.tv_nsec = static_cast<decltype(timeout.tv_nsec)>(wait.count() % 1'000'000'000);
    mailbox_->sleeping.store(true);
    if (!mailbox_->empty()) {
      for_ever = false;
      timeout = {};
    }
  }
  constexpr int kEventsMax = 128;
  epoll_event events[kEventsMax];
  int count = epoll_pwait2(epoll_, events, kEventsMax, for_ever ? nullptr : &timeout, nullptr);
  if (count < 0 && errno == ENOSYS) {
    const int64_t milliseconds = timeout.tv_sec * int64_t{1000} + (timeout.tv_nsec + 999'999) / 1'000'000;
    count = epoll_wait(epoll_, events, kEventsMax,
                       for_ever ? -1 : static_cast<int>(std::min<int64_t>(milliseconds, INT_MAX)));
  }
  mailbox_->sleeping.store(false);
  CHECK(count >= 0 || errno == EINTR);
  for (int i = 0; i < count; ++i) {
    if (events[i].data.fd != mailbox_->event) OnEvents(events[i].data.fd, events[i].events);
  }
}

void RealLoop::Loop(const std::function<bool()>& ended) {
  CHECK(this_threads_loop == nullptr);
  this_threads_loop = this;
  while (true) {
    DrainInbox();
    if (fibers_->next_timer() != MonoTime::max()) fibers_->FireTimers(Mono());
    fibers_->RunReady(kBatch);
    const bool idle = !fibers_->has_ready() && mailbox_->empty();
    if (idle && ended()) break;
    if (ending_) WarnOfLeftovers();
    Poll(idle);
  }
  ending_ = false;
  this_threads_loop = nullptr;
}

void RealLoop::BeginEnding() {
  ending_ = true;
  warn_at_ = Mono() + kEndingMax;
}

void RealLoop::WarnOfLeftovers() {
  if (Mono() < warn_at_) return;
  LOG_WARN("runtime cannot end yet: fibers are left", {"runtime", options_.name}, {"fibers", fibers_->Names()});
  warn_at_ = MonoTime::max();
}

void RealLoop::Run(std::function<void()> body) {
  fibers_->Spawn(
      "main",
      [this, body = std::move(body)] {
        body();
        BeginEnding();
      },
      nullptr, nullptr);
  Loop([this] { return fibers_->alive() == 0; });
}

void RealLoop::StartThread() {
  CHECK(!thread_.joinable());
  stop_.store(false);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // the thread inherits it: signals are for the main thread
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), options_.name.substr(0, 15).c_str());
    Loop([this] { return stop_.load() && fibers_->alive() == 0; });
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void RealLoop::StopThread() {
  if (!thread_.joinable()) return;
  Post([this] {
    stop_.store(true);
    BeginEnding();
  });
  thread_.join();
}

Result<int> RealLoop::WaitSignal(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return FromErrno(errno, "signalfd");
  Result<int> arrived = Internal("signalfd");
  while (true) {
    const Ok ready = WaitFd(fd, FdEvent::kReadable);
    if (!ready.ok()) {
      arrived = ready.status();
      break;
    }
    signalfd_siginfo info{};
    const ssize_t got = read(fd, &info, sizeof info);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got == sizeof info) {
      arrived = static_cast<int>(info.ssi_signo);
    } else {
      arrived = FromErrno(errno, "read signalfd");
    }
    break;
  }
  ForgetFd(fd);
  close(fd);
  return arrived;
}

}  // namespace knarr::rt
