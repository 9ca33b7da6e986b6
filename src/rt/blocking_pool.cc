#include <pthread.h>

#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>

#include "base/check.h"
#include "rt/real.h"

namespace knarr::rt {
namespace {

constexpr auto kIdleMax = std::chrono::seconds(10);
constexpr size_t kThreadStack = 512 << 10;

// Threads are detached, so that an idle one can simply end; the state they share outlives the pool itself.
struct PoolState {
  std::mutex mutex;
  std::condition_variable work_arrived;
  std::condition_variable thread_ended;
  std::deque<std::function<void()>> queue;
  size_t threads_max = 0;
  size_t threads = 0;
  size_t idle = 0;
  bool closed = false;
};

void RunThread(const std::shared_ptr<PoolState>& state) {
  pthread_setname_np(pthread_self(), "blocking");
  std::unique_lock lock(state->mutex);
  while (true) {
    if (state->queue.empty()) {
      if (state->closed) break;
      ++state->idle;
      const bool arrived =
          state->work_arrived.wait_for(lock, kIdleMax, [&] { return !state->queue.empty() || state->closed; });
      --state->idle;
      if (!arrived) break;
      continue;
    }
    const std::function<void()> work = std::move(state->queue.front());
    state->queue.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
  --state->threads;
  state->thread_ended.notify_all();
}

void* ThreadMain(void* argument) {
  const std::unique_ptr<std::shared_ptr<PoolState>> state(static_cast<std::shared_ptr<PoolState>*>(argument));
  RunThread(*state);
  return nullptr;
}

// Whether a thread could be started; the caller holds the lock and counts it.
bool StartThread(const std::shared_ptr<PoolState>& state) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // the thread inherits it: signals are for the main thread
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kThreadStack);
  auto argument = std::make_unique<std::shared_ptr<PoolState>>(state);
  pthread_t thread{};
  const bool started = pthread_create(&thread, &attributes, ThreadMain, argument.get()) == 0;
  if (started) (void)argument.release();  // the thread owns it now
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

class ThreadPool : public BlockingPool {
 public:
  explicit ThreadPool(size_t threads_max) : state_(std::make_shared<PoolState>()) {
    CHECK(threads_max > 0);
    state_->threads_max = threads_max;
  }

  // Work that was submitted is done first.
  ~ThreadPool() override {
    std::unique_lock lock(state_->mutex);
    state_->closed = true;
    state_->work_arrived.notify_all();
    state_->thread_ended.wait(lock, [this] { return state_->threads == 0; });
  }

  void Submit(std::function<void()> work) override {
    const std::lock_guard lock(state_->mutex);
    CHECK(!state_->closed);
    state_->queue.push_back(std::move(work));
    // Started when the idle ones are not enough; without any thread at all nothing would ever be done.
    if (state_->idle < state_->queue.size() && state_->threads < state_->threads_max) {
      if (StartThread(state_)) {
        ++state_->threads;
      } else {
        CHECK(state_->threads > 0);
      }
    }
    state_->work_arrived.notify_one();
  }

 private:
  std::shared_ptr<PoolState> state_;
};

}  // namespace

std::shared_ptr<BlockingPool> BlockingPool::Create(size_t threads_max) {
  return std::make_shared<ThreadPool>(threads_max);
}

}  // namespace knarr::rt
