// What a pod costs: starting sandboxes and containers, the processor time that takes, and the memory that stays. One
// JSON line per figure. Needs root, crun and busybox; `knarr_runtime_bench [pods] [OCI runtime]`.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/strings.h"
#include "rt/runtime.h"
#include "runtime/cgroup.h"
#include "runtime/engine_test_support.h"
#include "runtime/kernel.h"
#include "runtime/records.h"

namespace knarr::runtime {
namespace {

void Print(const char* name, double value, const char* unit) {
  std::printf("{\"bench\":\"runtime\",\"name\":\"%s\",\"value\":%.3f,\"unit\":\"%s\"}\n", name, value, unit);
  std::fflush(stdout);
}

double Milliseconds(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// The processor time of this program and all it starts, the kernel's work and the OCI runtime's included: all of it
// runs in one control group.
class Meter {
 public:
  Meter(Cgroups cgroups, std::string group) : cgroups_(std::move(cgroups)), group_(std::move(group)) {
    MUST(cgroups_.Create(group_ + "/bench"));  // without control groups nothing here runs
    MoveTo(group_ + "/bench");
  }
  ~Meter() {
    MoveTo("");
    MUST(cgroups_.Remove(group_));
  }
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;
  double Milliseconds() const { return static_cast<double>(MUST(cgroups_.Usage(group_)).cpu_ns) / 1e6; }

 private:
  void MoveTo(const std::string& group) const {
    for (const CgroupHierarchy& hierarchy : cgroups_.hierarchies()) {
      if (!kernel::Exists(hierarchy.mount + group_)) continue;
      MUST(kernel::WriteFile(hierarchy.mount + group + "/cgroup.procs", std::to_string(getpid())));
    }
  }
  Cgroups cgroups_;
  std::string group_;
};

int64_t PssKb(int pid) {
  const std::string text = kernel::ReadFile("/proc/" + std::to_string(pid) + "/smaps_rollup").value_or("");
  for (const std::string_view line : Lines(text)) {
    const auto words = Fields(line);
    if (words.size() > 1 && words[0] == "Pss:") return ParseInt64(words[1]).value_or(0);
  }
  return 0;
}

struct Bench {
  rt::Runtime& runtime;
  Engine& engine;
  std::string directory;
  std::string group;
  std::string image;
  std::vector<double> sandbox_ms, create_ms, start_ms, pod_ms;

  void StartPod(int number) {
    const std::string name = "pod" + std::to_string(number);
    SandboxSpec pod;
    pod.pod_name = pod.pod_uid = pod.hostname = name;
    pod.pod_namespace = "default";
    pod.log_directory = directory + "/logs/" + name;
    pod.cgroup_parent = group + "/besteffort/" + name;
    pod.pod_resources.cpu_shares = 2;
    ContainerSpec container;
    container.name = "main";
    container.image = image;
    container.command = {"sleep", "1000"};
    container.log_path = "main/0.log";
    container.resources.cpu_shares = 2;
    const MonoTime begin = runtime.Mono();
    const SandboxStatus sandbox = MUST(engine.RunSandbox(pod));  // a benchmark that can't start a pod has no result
    const MonoTime ran = runtime.Mono();
    const std::string id = MUST(engine.CreateContainer(sandbox.id, container));
    const MonoTime created = runtime.Mono();
    MUST(engine.StartContainer(id));
    const MonoTime started = runtime.Mono();
    sandbox_ms.push_back(Milliseconds(ran - begin));
    create_ms.push_back(Milliseconds(created - ran));
    start_ms.push_back(Milliseconds(started - created));
    pod_ms.push_back(Milliseconds(started - begin));
  }
};

void OneByOne(Bench& bench, const Meter& meter, int pods) {
  bench.StartPod(0);  // the first makes the groups above
  for (auto* times : {&bench.sandbox_ms, &bench.create_ms, &bench.start_ms, &bench.pod_ms}) times->clear();
  const double before = meter.Milliseconds();
  for (int i = 1; i <= pods; i++) bench.StartPod(i);
  Print("sandbox_start_median", Median(bench.sandbox_ms), "ms");
  Print("container_create_median", Median(bench.create_ms), "ms");
  Print("container_start_median", Median(bench.start_ms), "ms");
  Print("pod_start_median", Median(bench.pod_ms), "ms");
  Print("cpu_per_pod_start", (meter.Milliseconds() - before) / pods, "ms");
}

void Memory(Bench& bench) {
  int64_t shims = 0;
  int64_t infra = 0;
  int count = 0;
  for (const std::string& id : kernel::List(bench.directory + "/run/sandboxes")) {
    const std::string text = kernel::ReadFile(bench.directory + "/run/sandboxes/" + id + "/shim.pid").value_or("");
    const auto pids = ParseShimPids(text);
    if (!pids.ok()) continue;
    shims += PssKb(pids->shim);
    infra += PssKb(pids->infra);
    count++;
  }
  Print("shim_pss", static_cast<double>(shims) / std::max(count, 1), "KiB");
  Print("infra_pss", static_cast<double>(infra) / std::max(count, 1), "KiB");
}

void Execs(Bench& bench, const Meter& meter) {
  constexpr int kExecs = 30;
  const double before = meter.Milliseconds();
  const std::string id = bench.engine.ListContainers()->at(0).id;
  std::vector<double> times;
  for (int i = 0; i < kExecs; i++) {
    const MonoTime begin = bench.runtime.Mono();
    MUST(bench.engine.ExecSync(id, {"true"}, 10s));
    times.push_back(Milliseconds(bench.runtime.Mono() - begin));
  }
  Print("exec_sync_median", Median(times), "ms");
  Print("cpu_per_exec_sync", (meter.Milliseconds() - before) / kExecs, "ms");
}

void AtOnce(Bench& bench, int pods) {
  const MonoTime begin = bench.runtime.Mono();
  rt::TaskGroup group(bench.runtime, "pods");
  for (int i = 0; i < pods; i++) group.Spawn("pod", [&bench, i] { bench.StartPod(1000 + i); });
  group.Join();
  Print("pods_at_once_30", Milliseconds(bench.runtime.Mono() - begin), "ms");
}

void RemoveAll(Bench& bench) {
  const auto sandboxes = MUST(bench.engine.ListSandboxes());
  const MonoTime begin = bench.runtime.Mono();
  for (const SandboxStatus& sandbox : sandboxes) MUST(bench.engine.RemoveSandbox(sandbox.id));
  Print("pod_remove_mean", Milliseconds(bench.runtime.Mono() - begin) / static_cast<double>(sandboxes.size()), "ms");
}

int Run(int pods, const std::string& oci_runtime) {
  if (const std::string missing = EngineTestsMissing(); !missing.empty()) {
    std::fprintf(stderr, "runtime_bench can't run: %s\n", missing.c_str());
    return 1;
  }
  char path[] = "/tmp/knarr-runtime-bench-XXXXXX";
  if (mkdtemp(path) == nullptr) return 1;
  const std::string directory = path;
  const std::string group = directory.substr(directory.rfind('/'));
  const EngineOptions options{directory + "/run", BuiltShim(), oci_runtime, group + "/pods"};
  DirectoryStore store(MakeBusyboxImage(directory + "/image"));
  const Meter meter(MUST(Cgroups::Detect()), group);
  RunOnFiber([&](rt::Runtime& runtime) {
    {
      const auto engine = MUST(Engine::Open(runtime, store, options));
      Bench bench{runtime, *engine, directory, options.cgroup_root, store.image().id, {}, {}, {}, {}};
      OneByOne(bench, meter, pods);
      Memory(bench);
      Execs(bench, meter);
      AtOnce(bench, 30);
      RemoveAll(bench);
    }
    MUST(RemoveEverything(runtime, options));
  });
  std::filesystem::remove_all(directory);
  return 0;
}

}  // namespace
}  // namespace knarr::runtime

int main(int argc, char** argv) {
  return knarr::runtime::Run(argc > 1 ? std::max(1, std::atoi(argv[1])) : 30, argc > 2 ? argv[2] : "crun");
}
