#include "node/stats.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/strings.h"
#include "doc/json.h"
#include "node/probe_counts.h"

namespace knarr::node {
namespace {

constexpr WallTime kNow{std::chrono::seconds(1'700'000'000)};

TEST(MachineStats, ReadsWhatTheKernelWrites) {
  const auto memory = ParseMemoryInfo(
      "MemTotal:       1000 kB\nMemFree:         400 kB\nCached:          100 kB\nBuffers:           1 kB\n"
      "Inactive(file):  50 kB\nSwapTotal:        10 kB\nSwapFree:          4 kB\n");
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->working_set(), 550 << 10);
  EXPECT_EQ(memory->available(), 450 << 10);
  EXPECT_EQ(memory->cached, 101 << 10);
  EXPECT_EQ(memory->swap_total - memory->swap_free, 6 << 10);
  EXPECT_FALSE(ParseMemoryInfo("nothing\n"));
  const auto links = ParseNetworkDevices(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls\n"
      "    lo:  11 1 0 0 0 0 0 0 11 1 0 0 0 0 0 0\n"
      "  eth0: 100 2 3 4 0 0 0 0 200 5 6 7 0 0 0 0\n veth12: 1 1 1 1 0 0 0 0 1 1 1 1 0 0 0 0\n short: 1 2\n");
  ASSERT_EQ(links.size(), 1U);
  EXPECT_EQ(links[0].name, "eth0");
  EXPECT_EQ(links[0].received.dropped, 4);
  EXPECT_EQ(links[0].sent.bytes, 200);
  EXPECT_EQ(links[0].sent.errors, 6);
}

NodeSummary Example() {
  NodeSummary out;
  out.node.name = "n";
  out.node.time = kNow;
  out.node.agent_started = kNow;
  out.node.machine.boot = kNow - 1h;
  out.node.machine.processes = ProcessCount{.most = 1000, .running = 10};
  out.node.machine.interfaces = {{.name = "eth0", .received = {.bytes = 7}, .sent = {}}};
  out.node.group = {.path = "/", .time = kNow, .nano_cores = 5, .use = {.cpu_ns = 2'500'000'000}};
  out.node.group.use.memory_limit = 1000;
  out.node.group.use.memory_working_set_bytes = 300;
  out.node.disk = DiskSpace{.capacity = 100, .available = 60, .inodes = 10, .inodes_free = 4};
  PodStats pod{.name = "p", .ns = "s", .uid = "u", .sandbox_id = "box", .started = kNow};
  pod.group = {.path = "/knarr/podu", .time = kNow, .nano_cores = {}, .use = {.cpu_ns = 1'000'000'000}};
  pod.interfaces = {{.name = "eth0", .received = {.bytes = 1}, .sent = {.bytes = 2, .errors = 3}}};
  pod.disk = runtime::DiskUse{.bytes = 9, .inodes = 2};
  pod.volumes = {{.name = "data", .claim = "c", .space = {.capacity = 50, .available = 20}, .used = {.bytes = 30}}};
  ContainerStats container{.name = "c\"1", .id = "id", .image = "i:1", .started = kNow};
  container.group = {.path = "/knarr/podu/id", .time = kNow, .nano_cores = 12, .use = {.cpu_ns = 500'000'000}};
  container.group.use.swap_bytes = 0;
  container.group.use.cpu_quota_us = 1000;
  container.group.use.cpu_pressure = runtime::Pressure{.some = {.avg10 = 1.5, .total_ns = 4'000'000'000}, .full = {}};
  container.rootfs = runtime::DiskUse{.bytes = 5, .inodes = 1};
  container.group.use.devices = {{.major = 8, .minor = 16, .read_bytes = 4096}};
  pod.containers.push_back(container);
  out.pods.push_back(pod);
  return out;
}

TEST(Stats, TheSummaryIsTheKubelets) {
  const doc::Document all = MUST(doc::ParseJson(SummaryJson(Example(), false)));
  const doc::Value& node = all.root.At("node");
  EXPECT_EQ(node.At("nodeName").AsString(), "n");
  EXPECT_EQ(node.Get("cpu", "usageNanoCores").AsInt(), 5);
  EXPECT_EQ(node.Get("cpu", "usageCoreNanoSeconds").AsInt(), 2'500'000'000);
  EXPECT_EQ(node.Get("memory", "availableBytes").AsInt(), 700);
  EXPECT_EQ(node.Get("fs", "usedBytes").AsInt(), 40);
  EXPECT_EQ(node.Get("runtime", "containerFs", "usedBytes").AsInt(), 5);
  EXPECT_EQ(node.Get("rlimit", "maxpid").AsInt(), 1000);
  EXPECT_EQ(node.Get("network", "rxBytes").AsInt(), 7);
  EXPECT_EQ(node.At("systemContainers")[0].At("name").AsString(), "kubelet");
  const doc::Value& pod = all.root.At("pods")[0];
  EXPECT_EQ(doc::ToJson(pod.At("podRef")), R"({"name":"p","namespace":"s","uid":"u"})");
  EXPECT_TRUE(pod.Get("cpu", "usageNanoCores").is_null());
  EXPECT_TRUE(pod.Get("memory", "availableBytes").is_null());
  EXPECT_EQ(pod.Get("network", "interfaces")[0].At("txErrors").AsInt(), 3);
  EXPECT_EQ(pod.Get("ephemeral-storage", "usedBytes").AsInt(), 9);
  EXPECT_EQ(pod.At("volume")[0].Get("pvcRef", "name").AsString(), "c");
  EXPECT_EQ(pod.At("volume")[0].At("usedBytes").AsInt(), 30);
  const doc::Value& container = pod.At("containers")[0];
  EXPECT_EQ(container.Get("cpu", "psi", "some", "total").AsInt(), 4'000'000'000);
  EXPECT_EQ(container.Get("cpu", "psi", "some", "avg10").AsDouble(), 1.5);
  EXPECT_EQ(container.Get("rootfs", "usedBytes").AsInt(), 5);
  EXPECT_EQ(container.Get("swap", "swapUsageBytes").AsInt(1), 0);
  EXPECT_EQ(container.At("startTime").AsString(), "2023-11-14T22:13:20Z");

  const doc::Document little = MUST(doc::ParseJson(SummaryJson(Example(), true)));
  EXPECT_TRUE(little.root.Get("node", "fs").is_null());
  EXPECT_TRUE(little.root.At("pods")[0].At("network").is_null());
  EXPECT_EQ(little.root.At("pods")[0].At("containers")[0].Get("cpu", "usageNanoCores").AsInt(), 12);
}

void ExpectLines(const std::string& text, const std::vector<std::string>& lines) {
  const auto there = Lines(text);
  for (const std::string& line : lines) EXPECT_EQ(std::ranges::count(there, line), 1) << line << "\n" << text;
}

TEST(Stats, MetricsHaveTheNamesThatAreAskedFor) {
  ExpectLines(ResourceMetrics(Example()),
              {"# TYPE node_cpu_usage_seconds_total counter", "node_cpu_usage_seconds_total 2.5 1700000000000",
               "node_memory_working_set_bytes 300 1700000000000",
               R"(pod_cpu_usage_seconds_total{pod="p",namespace="s"} 1 1700000000000)",
               R"(container_cpu_usage_seconds_total{container="c\"1",pod="p",namespace="s"} 0.5 1700000000000)",
               R"(container_swap_usage_bytes{container="c\"1",pod="p",namespace="s"} 0 1700000000000)",
               R"(container_start_time_seconds{container="c\"1",pod="p",namespace="s"} 1700000000)",
               "resource_scrape_error 0"});
  const std::string cadvisor = CadvisorMetrics(Example(), 2);
  const std::string labels =
      R"({container="c\"1",id="/knarr/podu/id",image="i:1",name="id",namespace="s",pod="p")";
  const std::string pod = R"({container="",id="/knarr/podu",image="",name="",namespace="s",pod="p")";
  const std::vector<std::string> lines = {
           "container_cpu_usage_seconds_total" + labels + R"(,cpu="total"} 0.5 1700000000000)",
           "container_cpu_cfs_periods_total" + labels + "} 0 1700000000000",
           "container_pressure_cpu_waiting_seconds_total" + labels + "} 4 1700000000000",
           "container_fs_reads_bytes_total" + labels + R"(,device="8:16"} 4096 1700000000000)",
           "container_memory_working_set_bytes" + pod + "} 0 1700000000000",
           "container_memory_failures_total" + pod + R"(,failure_type="pgfault",scope="hierarchy"} 0 1700000000000)",
           R"(container_network_transmit_bytes_total{container="",id="/knarr/podu",image="",name="box",)"
           R"(namespace="s",pod="p",interface="eth0"} 2 1700000000000)",
           "machine_cpu_cores 2",
  };
  ExpectLines(cadvisor, lines);
  // What has no quota is not told to be held back by one.
  EXPECT_EQ(cadvisor.find("container_cpu_cfs_periods_total" + pod), std::string::npos);
}

TEST(ProbeCounts, TellsOfEachProbeUntilItsPodIsGone) {
  const auto object =
      api::Object::FromDocument(MUST(doc::ParseJson(R"({"metadata":{"name":"p","namespace":"s","uid":"u"}})")));
  ProbeCounts counts;
  counts.Add(*object, "c", ProbeKind::kLiveness, ProbeResult::kSuccessful, 7ms);
  counts.Add(*object, "c", ProbeKind::kLiveness, ProbeResult::kFailed, 20s);
  const std::string labels = R"(container="c",namespace="s",pod="p")";
  ExpectLines(counts.Text(),
              {"prober_probe_total{" + labels + R"(,pod_uid="u",probe_type="Liveness",result="failed"} 1)",
               "prober_probe_duration_seconds_bucket{" + labels + R"(,probe_type="Liveness",le="0.01"} 1)",
               "prober_probe_duration_seconds_bucket{" + labels + R"(,probe_type="Liveness",le="+Inf"} 2)",
               "prober_probe_duration_seconds_count{" + labels + R"(,probe_type="Liveness"} 2)"});
  counts.Forget("u");
  EXPECT_EQ(counts.Text(), "");
}

}  // namespace
}  // namespace knarr::node
