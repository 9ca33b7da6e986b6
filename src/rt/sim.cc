#include "rt/sim.h"

#include <cstdio>
#include <cstring>

#include "base/check.h"
#include "rt/fiber.h"
#include "rt/memory_files.h"
#include "rt/process.h"

namespace knarr::rt {
namespace {

// Virtual time begins here, so that a moment before the start can be named.
constexpr MonoTime kStart{std::chrono::seconds(1000)};
constexpr size_t kTurnsMax = 20'000'000;

class SimProcesses : public Processes {
 public:
  Result<std::unique_ptr<Process>> Start(const ProcessSpec& spec) override { return Refuse(spec); }
  Result<Output> Run(const ProcessSpec& spec, std::string_view /*input*/, size_t /*limit*/) override {
    return Refuse(spec);
  }
  Ok WaitForeign(int pid) override {
    return Forbidden("wait for process " + std::to_string(pid) + ": a simulation has no processes");
  }

 private:
  static Status Refuse(const ProcessSpec& spec) {
    const std::string command = spec.argv.empty() ? "a process" : spec.argv[0];
    return Forbidden("start " + command + ": a simulation has no processes");
  }
};

class SimLoop : public SimRuntime {
 public:
  explicit SimLoop(SimOptions options)
      : now_(kStart), wall_offset_(options.start.time_since_epoch() - kStart.time_since_epoch()), state_(options.seed) {
    fibers_ = std::make_unique<Fibers>(*this, options.fiber_stack);
    fibers_->SetChooser([this](size_t count) { return count == 1 ? 0 : static_cast<size_t>(Draw() % count); });
    fibers_->SetObserver([this](const Fiber& fiber, std::string_view event) { Observe(fiber, event); });
    files_ = MakeMemoryFileSystem(*this);
  }

  // Tasks that were posted and never had a turn are let run; what still waits then was not joined.
  ~SimLoop() override {
    while (fibers_->RunReady(1) > 0) {
    }
    fibers_.reset();
  }

  MonoTime Mono() const override { return now_; }
  WallTime Wall() const override { return WallTime(now_.time_since_epoch() + wall_offset_); }

  uint64_t Random() override {
    const uint64_t value = Draw();
    Mix(value);
    return value;
  }

  void RandomBytes(void* out, size_t size) override {
    auto* bytes = static_cast<char*>(out);
    while (size > 0) {
      const uint64_t value = Random();
      const size_t part = std::min(size, sizeof value);
      std::memcpy(bytes, &value, part);
      bytes += part;
      size -= part;
    }
  }

  void Post(std::function<void()> task) override { fibers_->Spawn("post", std::move(task), nullptr, nullptr); }

  void Wake(RemoteWake* wake) override {
    wake->done = true;
    Unpark(wake->fiber);
  }

  void Blocking(const std::function<void()>& work) override {
    // Others run before the work is done, as they would while a thread does it.
    if (current() != nullptr) Yield();
    work();
  }

  Ok WaitFd(int /*fd*/, FdEvent /*event*/) override {
    CHECK(false);  // a simulation has no descriptors
    return {};
  }
  void ForgetFd(int /*fd*/) override { CHECK(false); }

  FileSystem& files() override { return *files_; }
  Processes& processes() override { return processes_; }
  bool OnThisThread() const override { return true; }

  void Run(std::function<void()> body) override {
    CHECK(current() == nullptr);
    bool ended = false;
    fibers_->Spawn(
        "main",
        [&] {
          body();
          ended = true;
        },
        nullptr, nullptr);
    size_t turns = 0;  // since time last moved
    while (!ended) {
      if (fibers_->RunReady(1) > 0) {
        if (++turns <= kTurnsMax) continue;
        std::fprintf(stderr, "livelock: time does not move: %s\n", fibers_->Names().c_str());
        CHECK(turns <= kTurnsMax);
      }
      turns = 0;
      const MonoTime next = fibers_->next_timer();
      if (next == MonoTime::max()) {
        std::fprintf(stderr, "deadlock: every fiber waits for ever: %s\n", fibers_->Names().c_str());
        CHECK(next != MonoTime::max());
      }
      now_ = std::max(now_, next);
      fibers_->FireTimers(now_);
    }
  }

  void StepClock(Duration by) override { wall_offset_ += by; }
  uint64_t trace_hash() const override { return hash_; }
  void SetTrace(std::function<void(std::string_view line)> trace) override { trace_ = std::move(trace); }

 private:
  // SplitMix64.
  uint64_t Draw() {
    uint64_t value = state_ += 0x9e3779b97f4a7c15;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
  }

  // FNV-1a over 64-bit words.
  void Mix(uint64_t word) { hash_ = (hash_ ^ word) * 0x100000001b3; }

  void Observe(const Fiber& fiber, std::string_view event) {
    Mix(fiber.id);
    Mix(static_cast<uint64_t>(now_.time_since_epoch().count()));
    Mix(static_cast<unsigned char>(event[0]));
    if (!trace_) return;
    std::string line = FormatDuration(now_ - kStart);
    line += " ";
    line += fiber.name;
    line += "#" + std::to_string(fiber.id) + " ";
    line += event;
    trace_(line);
  }

  MonoTime now_;
  Duration wall_offset_;
  uint64_t state_;
  uint64_t hash_ = 0xcbf29ce484222325;
  std::function<void(std::string_view line)> trace_;
  std::unique_ptr<FileSystem> files_;
  SimProcesses processes_;
};

}  // namespace

std::unique_ptr<SimRuntime> SimRuntime::Create(SimOptions options) {
  return std::make_unique<SimLoop>(std::move(options));
}

}  // namespace knarr::rt
