// The store on a real disk: one JSON line per figure.
//
// knarr_store_bench [<folder> [create|commit|compact|churn|watch|start|etcd <URL>]]
//   the folder must be on the disk to be measured; default: the temporary folder
//   etcd URL: the same commits to that etcd server, whose data must be on the same disk, and to the store, taking turns
//   churn: 50 writes a second of 1,000 keys in simulated time; KNARR_CHURN_HOURS of it, 24 by default

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/check.h"
#include "rt/file_system.h"
#include "rt/real.h"
#include "rt/sim.h"
#include "rt/sync.h"
#include "store/etcd/cluster.h"
#include "store/maintenance.h"
#include "store/store.h"

namespace knarr::store {
namespace {

using namespace std::chrono_literals;

constexpr int kStartKeys = 500000;
constexpr int kChurnKeys = 20000;
constexpr size_t kValueSize = 2048;

std::string KeyOf(uint64_t number) {
  return "/registry/pods/namespace-" + std::to_string(number % 100) + "/pod-" + std::to_string(1000000 + number);
}

double Cpu() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

/// Proportional set size of this process in bytes.
double Pss() {
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("Pss:")) return std::atof(line.c_str() + 4) * 1024;
  }
  return 0;
}

std::unique_ptr<Store> Open(rt::Runtime& runtime, const std::string& folder) {
  return MUST(OpenEmbedded(runtime, {.directory = folder}));
}

void InRuntime(const std::function<void(rt::Runtime&)>& body) {
  auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(4));
  runtime->Run([&] { body(*runtime); });
}

struct Load {
  double per_second = 0;
  double cpu_us = 0;
  double p50_ms = 0;
  double p99_ms = 0;
};

/// Writers who each wait for one write after another.
Load LoadOf(rt::Runtime& runtime, int writers, const std::function<void(std::string key)>& write) {
  std::vector<double> times;
  const double cpu = Cpu();
  const MonoTime begin = runtime.Mono();
  const MonoTime end = begin + 5s;
  rt::TaskGroup group(runtime, "writers");
  for (int i = 0; i < writers; i++) {
    group.Spawn("writer", [&] {
      while (runtime.Mono() < end) {
        const MonoTime start = runtime.Mono();
        write(KeyOf(runtime.Random() % kChurnKeys));
        times.push_back(Seconds(runtime.Mono() - start));
      }
    });
  }
  group.Join();
  const double took = Seconds(runtime.Mono() - begin);
  std::ranges::sort(times);
  const auto count = static_cast<double>(times.size());
  return {count / took, 1e6 * (Cpu() - cpu) / count, 1e3 * times[times.size() / 2],
          1e3 * times[times.size() * 99 / 100]};
}

void BenchCommits(const std::string& folder, const std::vector<int>& numbers) {
  std::filesystem::remove_all(folder);
  InRuntime([&](rt::Runtime& runtime) {
    auto store = Open(runtime, folder);
    const std::string value(kValueSize, 'v');
    for (int writers : numbers) {
      const Load load = LoadOf(
          runtime, writers, [&](std::string key) { MUST(store->Txn({}, {{.key = std::move(key), .value = value}})); });
      std::printf(
          "{\"bench\":\"store_commit\",\"writers\":%d,\"value_bytes\":%zu,\"per_second\":%.0f,"
          "\"cpu_us\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"disk_mb\":%.0f}\n",
          writers, kValueSize, load.per_second, load.cpu_us, load.p50_ms, load.p99_ms,
          static_cast<double>(store->stats().disk_bytes) / 1e6);
      std::fflush(stdout);
    }
    store->Close();
  });
}

/// The same writes to etcd: 64 at a time on one connection, nothing but puts.
void BenchEtcd(const std::string& server) {
  InRuntime([&](rt::Runtime& runtime) {
    const auto api = MUST(etcd::OpenCluster(runtime, {.servers = {server}}));
    const std::string value(kValueSize, 'v');
    for (int writers : {1, 64}) {
      const Load load = LoadOf(runtime, writers, [&](std::string key) {
        etcd::TxnRequest put;
        put.then.push_back({.kind = etcd::Operation::Kind::kPut, .key = std::move(key), .value = value});
        bool sent = false;
        MUST(api->Txn(put, sent));
      });
      std::printf(
          "{\"bench\":\"etcd_commit\",\"writers\":%d,\"value_bytes\":%zu,\"per_second\":%.0f,\"client_cpu_us\":%.1f,"
          "\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
          writers, kValueSize, load.per_second, load.cpu_us, load.p50_ms, load.p99_ms);
      std::fflush(stdout);
    }
    api->Close();
  });
}

/// The disk alone: a write of three pages and fdatasync.
void BenchSync(const std::string& folder) {
  std::filesystem::create_directories(folder);
  InRuntime([&](rt::Runtime& runtime) {
    const auto file = MUST(runtime.files().Open(folder + "/sync", rt::OpenMode::kTruncate));
    const std::string pages(3 * 8192, 'p');
    for (int i = 0; i < 64; i++) MUST(file->WriteAt(i * 3 * 8192, pages));
    MUST(file->Sync());
    std::vector<double> times;
    for (int i = 0; i < 1000; i++) {
      const MonoTime start = runtime.Mono();
      MUST(file->WriteAt(i % 64 * 3 * 8192, pages));
      MUST(file->Sync());
      times.push_back(Seconds(runtime.Mono() - start));
    }
    std::ranges::sort(times);
    std::printf("{\"bench\":\"disk_sync\",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n", 1e3 * times[500],
                1e3 * times[990], 1e3 * times.back());
    std::fflush(stdout);
  });
  std::filesystem::remove_all(folder);
}

/// What writers feel of a compaction that gives much space back: the longest time between two commits.
void BenchCompaction(const std::string& folder) {
  std::filesystem::remove_all(folder);
  InRuntime([&](rt::Runtime& runtime) {
    auto store = MUST(OpenEmbedded(runtime, {.directory = folder, .disk_history_bytes_min = size_t{1} << 40}));
    const std::string value(kValueSize, 'v');
    for (uint64_t i = 0; i < 100000;) {
      std::vector<Op> ops;
      for (; ops.size() < 500; i++) ops.push_back({.key = KeyOf(i % kChurnKeys), .value = value});
      MUST(store->Txn({}, std::move(ops)));
    }
    bool compacts = false;
    bool done = false;
    Duration gaps[2]{};
    double commits[2]{};
    MonoTime last = runtime.Mono();
    rt::TaskGroup writers(runtime, "writers");
    for (int i = 0; i < 16; i++) {
      writers.Spawn("writer", [&] {
        while (!done) {
          MUST(store->Txn({}, {{.key = KeyOf(runtime.Random() % kChurnKeys), .value = value}}));
          const MonoTime now = runtime.Mono();
          gaps[compacts] = std::max(gaps[compacts], now - last);
          commits[compacts]++;
          last = now;
        }
      });
    }
    (void)runtime.Sleep(5s);
    const MonoTime begin = runtime.Mono();
    compacts = true;
    const Reclaimed reclaimed = MUST(store->maintenance()->Reclaim());
    const double took = Seconds(runtime.Mono() - begin);
    done = true;
    writers.Join();
    std::printf(
        "{\"bench\":\"store_compaction\",\"disk_mb_before\":%.0f,\"disk_mb\":%.0f,\"kept_mb_written\":%.0f,"
        "\"seconds\":%.1f,\"writes_per_second_before\":%.0f,\"writes_per_second\":%.0f,"
        "\"gap_max_ms_before\":%.1f,\"gap_max_ms\":%.1f}\n",
        static_cast<double>(reclaimed.disk_bytes_before) / 1e6, static_cast<double>(reclaimed.disk_bytes) / 1e6,
        commits[1] * kValueSize / 1e6, took,
        commits[0] / 5, commits[1] / took, 1e3 * Seconds(gaps[0]), 1e3 * Seconds(gaps[1]));
    store->Close();
  });
}

/// A day of a small cluster's writes, as fast as the machine can: how large the database ever is beside what is alive.
void BenchChurn(const std::string& folder) {
  std::filesystem::remove_all(folder);
  const char* hours = std::getenv("KNARR_CHURN_HOURS");
  const double of_day = hours == nullptr ? 24 : std::atof(hours);
  // The simulated world has files of its own, but SQLite has not.
  std::filesystem::create_directories(folder);
  auto runtime = rt::SimRuntime::Create({.seed = 1});
  runtime->Run([&] {
    constexpr uint64_t kKeys = 1000;
    auto store = MUST(OpenEmbedded(*runtime, {.directory = folder}));
    for (uint64_t i = 0; i < kKeys; i++)
      MUST(store->Txn({}, {{.key = KeyOf(i), .value = std::string(kValueSize, 'v')}}));
    double ratio = 0;
    double bytes = 0;
    const auto writes = static_cast<uint64_t>(of_day * 3600 * 50);
    for (uint64_t i = 0; i < writes; i++) {
      (void)runtime->Sleep(20ms);
      MUST(store->Txn({}, {{.key = KeyOf(runtime->Random() % kKeys), .value = std::string(kValueSize, 'v')}}));
      const StoreStats stats = store->stats();
      bytes = std::max(bytes, static_cast<double>(stats.disk_bytes));
      ratio = std::max(ratio, static_cast<double>(stats.disk_bytes) / static_cast<double>(stats.value_bytes));
    }
    std::printf(
        "{\"bench\":\"store_churn\",\"hours\":%.1f,\"writes\":%llu,\"live_mb\":%.1f,\"disk_mb_max\":%.1f,"
        "\"ratio_max\":%.2f}\n",
        of_day, static_cast<unsigned long long>(writes), static_cast<double>(store->stats().value_bytes) / 1e6,
        bytes / 1e6, ratio);
    store->Close();
  });
}

/// In a process of its own: memory that was freed before would count for what comes next.
void InChild(const std::function<void()>& body) {
  std::fflush(stdout);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    body();
    std::fflush(stdout);
    _exit(0);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
}

void Fill(const std::string& folder, size_t value_size) {
  std::filesystem::remove_all(folder);
  InRuntime([&](rt::Runtime& runtime) {
    auto store = Open(runtime, folder);
    const std::string value(value_size, 'v');
    for (uint64_t i = 0; i < kStartKeys;) {
      std::vector<Op> ops;
      // Keys come in an order of their own.
      for (; ops.size() < 1000; i++) ops.push_back({.key = KeyOf(i * 7919 % kStartKeys), .value = value});
      MUST(store->Txn({}, std::move(ops)));
    }
    CHECK(store->Compact(store->Latest()->revision()).ok());
    store->Close();
  });
}

void BenchReads(rt::Runtime& runtime, Store& store) {
  auto timed = [&](const char* what, int rounds, const std::function<void()>& body) {
    MonoTime begin = runtime.Mono();
    for (int i = 0; i < rounds; i++) body();
    std::printf("{\"bench\":\"store_read\",\"what\":\"%s\",\"keys\":%d,\"us\":%.3f}\n", what, kStartKeys,
                1e6 * Seconds(runtime.Mono() - begin) / rounds);
  };
  auto snapshot = store.Latest();
  timed("latest", 1000000, [&] { CHECK(store.Latest() != nullptr); });
  timed("get", 200000, [&] { CHECK(snapshot->Get(KeyOf(runtime.Random() % kStartKeys))); });
  timed("range of 500", 2000, [&] { CHECK(snapshot->Range("/registry/pods/", {.limit = 500}).more); });
  timed("count", 100000, [&] { CHECK(snapshot->Count("/registry/pods/namespace-7/") == kStartKeys / 100); });
  timed("visit all", 3, [&] {
    size_t bytes = 0;
    snapshot->Visit("", "", [&](std::string_view, const Bytes& value, Revision) {
      bytes += value->size();
      return true;
    });
    CHECK(bytes > 0);
  });
}

void BenchStart(const std::string& folder, size_t value_size) {
  InRuntime([&](rt::Runtime& runtime) {
    double before = Pss();
    double cpu = Cpu();
    MonoTime begin = runtime.Mono();
    auto store = Open(runtime, folder);
    double took = Seconds(runtime.Mono() - begin);
    CHECK(store->stats().keys == kStartKeys);
    double live = static_cast<double>(store->stats().value_bytes);
    std::printf("{\"bench\":\"store_start\",\"keys\":%d,\"value_bytes\":%zu,\"seconds\":%.2f,\"cpu_seconds\":%.2f}\n",
                kStartKeys, value_size, took, Cpu() - cpu);
    double memory = Pss() - before;
    std::printf(
        "{\"bench\":\"store_memory\",\"keys\":%d,\"value_bytes\":%zu,\"live_mb\":%.0f,\"pss_mb\":%.0f,\"ratio\":%.2f,"
        "\"overhead_bytes_per_"
        "key\":%.0f,\"disk_mb\":%.0f}\n",
        kStartKeys, value_size, live / 1e6, memory / 1e6, memory / live, (memory - live) / kStartKeys,
        static_cast<double>(store->stats().disk_bytes) / 1e6);
    if (value_size == kValueSize) BenchReads(runtime, *store);
    store->Close();
  });
}

void BenchEmpty(const std::string& folder) {
  std::filesystem::remove_all(folder);
  InRuntime([&](rt::Runtime& runtime) {
    double before = Pss();
    MonoTime begin = runtime.Mono();
    auto store = Open(runtime, folder);
    double took = Seconds(runtime.Mono() - begin);
    std::printf("{\"bench\":\"store_create\",\"ms\":%.2f,\"pss_kb\":%.0f}\n", 1e3 * took, (Pss() - before) / 1024);
    store->Close();
  });
}

void BenchWatch() {
  InRuntime([&](rt::Runtime& runtime) {
    auto store = OpenMemory(runtime);
    constexpr int kWatchers = 1000;
    constexpr int kEvents = 1000;
    rt::TaskGroup group(runtime, "watchers");
    double cpu = Cpu();
    for (int i = 0; i < kWatchers; i++) {
      group.Spawn("watcher", [&] {
        auto watch = MUST(store->StartWatch(runtime, {.prefix = "/registry/pods/", .after = 1}));
        for (size_t seen = 0; seen < kEvents;) seen += MUST(watch->Next()).size();
      });
    }
    runtime.Yield();
    for (int i = 0; i < kEvents; i++) MUST(store->Txn({}, {{.key = KeyOf(7), .value = "v"}}));
    group.Join();
    std::printf("{\"bench\":\"store_watch\",\"watchers\":%d,\"events\":%d,\"cpu_us_per_delivery\":%.3f}\n", kWatchers,
                kEvents, 1e6 * (Cpu() - cpu) / kWatchers / kEvents);
    store->Close();
  });
}

}  // namespace
}  // namespace knarr::store

int main(int argc, char** argv) {
  std::string base = argc > 1 ? argv[1] : std::filesystem::temp_directory_path().string();
  std::string folder = base + "/knarr-store-bench-" + std::to_string(getpid());
  std::string only = argc > 2 ? argv[2] : "";
  const std::vector<std::string> known = {"", "create", "commit", "compact", "etcd", "churn", "watch", "start"};
  if (std::ranges::count(known, only) == 0 || argc != (only == "etcd" ? 4 : std::min(argc, 3))) {
    std::fprintf(stderr, "usage: %s [<folder> [create|commit|compact|churn|watch|start|etcd <URL>]]\n", argv[0]);
    return 2;
  }
  auto wanted = [&](const char* name) { return only.empty() || only == name; };
  if (wanted("create")) knarr::store::BenchEmpty(folder);
  if (wanted("commit")) knarr::store::BenchCommits(folder, {1, 16, 64});
  if (only == "etcd") {
    // Taking turns, on the same disk; the disk's own figure beside them.
    for (int round = 0; round < 2; round++) {
      knarr::store::BenchSync(folder);
      knarr::store::InChild([&] { knarr::store::BenchEtcd(argv[3]); });
      knarr::store::InChild([&] { knarr::store::BenchCommits(folder, {1, 64}); });
    }
  }
  if (wanted("compact")) {
    // No writer can be faster than the disk and the processors that others use.
    knarr::store::BenchSync(folder);
    knarr::store::InChild([&] { knarr::store::BenchCompaction(folder); });
  }
  // A day takes minutes: only when asked for.
  if (only == "churn") knarr::store::BenchChurn(folder);
  if (wanted("watch")) knarr::store::BenchWatch();
  for (size_t value_size : {512, 2048}) {
    if (!wanted("start")) continue;
    knarr::store::InChild([&] { knarr::store::Fill(folder, value_size); });
    knarr::store::InChild([&] { knarr::store::BenchStart(folder, value_size); });
  }
  std::filesystem::remove_all(folder);
  return 0;
}
