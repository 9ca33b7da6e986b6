// The smaller pure parts of the node agent.

#include <gtest/gtest.h>

#include "doc/json.h"
#include "node/container_spec.h"
#include "node/dns.h"
#include "node/environment.h"
#include "node/logs.h"
#include "node/mount.h"
#include "node/probe.h"
#include "node/resources.h"
#include "node/volumes.h"
#include "rt/file_system.h"
#include "rt/real.h"

namespace knarr::node {
namespace {

using api::core_v1::Container;
using api::core_v1::Pod;

TEST(ExpandVariables, ReplacesWhatIsKnown) {
  const std::string value = "v";
  auto lookup = [&](std::string_view name) { return name == "A" ? &value : nullptr; };
  const std::pair<std::string, std::string> cases[] = {
      {"$(A)", "v"},  {"x$(A)y$(A)", "xvyv"}, {"$(B)", "$(B)"}, {"$$(A)", "$(A)"},
      {"$A", "$A"},   {"$(A", "$(A"},         {"$", "$"},       {"$$", "$"},
      {"$()", "$()"}, {"a$$$(A)", "a$v"},
  };
  for (const auto& [in, out] : cases) EXPECT_EQ(ExpandVariables(in, lookup), out) << in;
}

TEST(FieldValue, ReadsTheDownwardApi) {
  doc::Document pod =
      MUST(doc::ParseJson(R"({"metadata":{"name":"n","namespace":"s","uid":"u","labels":{"a":"1","b":"2"}},)"
                          R"("spec":{"serviceAccountName":"d"}})"));
  PodFacts facts{.pod_ip = "10.0.0.2", .host_ip = "192.0.2.1", .node_name = "node"};
  const std::pair<std::string, std::string> cases[] = {
      {"metadata.name", "n"},         {"metadata.namespace", "s"},      {"metadata.uid", "u"},
      {"metadata.labels['b']", "2"},  {"metadata.labels['c']", ""},     {"metadata.labels", "a=\"1\"\nb=\"2\""},
      {"spec.nodeName", "node"},      {"spec.serviceAccountName", "d"}, {"status.podIP", "10.0.0.2"},
      {"status.hostIP", "192.0.2.1"},
  };
  for (const auto& [path, value] : cases) EXPECT_EQ(MUST(FieldValue(Pod(pod.root), path, facts)), value) << path;
  EXPECT_TRUE(FieldValue(Pod(pod.root), "spec.containers", facts).Failed(Reason::kBadRequest));
}

TEST(ParseLogLine, TakesCriEntriesOnly) {
  auto entry = ParseLogLine("2026-11-21T10:00:00.123456789Z stdout F hello world");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->text, "hello world");
  EXPECT_FALSE(entry->partial);
  EXPECT_TRUE(ParseLogLine("2026-11-21T10:00:00.123456789Z stderr P x")->partial);
  EXPECT_EQ(ParseLogLine("2026-11-21T10:00:00.123456789Z stdout F ")->text, "");
  for (const char* bad : {"", "hello", "2026-11-21T10:00:00.123456789Z", "2026-11-21T10:00:00.123456789Z stdin F x",
                          "2026-11-21T10:00:00.123456789Z stdout X x"}) {
    EXPECT_FALSE(ParseLogLine(bad)) << bad;
  }
}

TEST(ProbeCounter, DecidesAtTheThresholds) {
  ProbeCounter counter(2, 3);
  EXPECT_FALSE(counter.Add(true));
  EXPECT_EQ(counter.Add(true), true);
  EXPECT_FALSE(counter.Add(false));
  EXPECT_FALSE(counter.Add(false));
  EXPECT_EQ(counter.Add(false), false);
  EXPECT_FALSE(counter.Add(true));
  EXPECT_FALSE(counter.Add(false));  // a success in between begins the row anew
}

TEST(MountsBelow, DeepestFirstAndOnlyOurs) {
  constexpr std::string_view kInfo =
      "22 1 0:20 / /proc rw - proc proc rw\n"
      "30 1 0:30 / /data/pods/u/volumes rw - tmpfs tmpfs rw\n"
      "31 30 0:31 / /data/pods/u/volumes/secret/a\\040b rw - tmpfs tmpfs rw\n"
      "32 1 0:32 / /data/pods/u/volumes-other rw - tmpfs tmpfs rw\n";
  EXPECT_EQ(MountsBelow(kInfo, "/data/pods/u/volumes"),
            (std::vector<std::string>{"/data/pods/u/volumes/secret/a b", "/data/pods/u/volumes"}));
}

TEST(Resources, UpstreamsFormulas) {
  EXPECT_EQ(CpuShares(0), 2);
  EXPECT_EQ(CpuShares(1000), 1024);
  EXPECT_EQ(CpuShares(250), 256);
  EXPECT_EQ(CpuShares(1'000'000'000), 262144);
  doc::Document pod = MUST(
      doc::ParseJson(R"({"metadata":{"uid":"u"},"status":{"qosClass":"Burstable"},"spec":{"containers":[)"
                     R"({"name":"a","resources":{"requests":{"cpu":"100m"},"limits":{"cpu":"500m","memory":"64Mi"}}},)"
                     R"({"name":"b","resources":{"requests":{"cpu":"1"},"limits":{"cpu":"1"}}}]}})"));
  EXPECT_EQ(PodCgroup("/knarr", Pod(pod.root)), "/knarr/burstable/podu");
  auto one = MUST(ContainerResources(Pod(pod.root), Pod(pod.root).spec().containers()[0]));
  EXPECT_EQ(one.cpu_shares, 102);
  EXPECT_EQ(one.cpu_quota_us, 50000);
  EXPECT_EQ(one.memory_limit, 64 << 20);
  auto all = MUST(PodResources(Pod(pod.root)));
  EXPECT_EQ(all.cpu_shares, 1126);
  EXPECT_EQ(all.cpu_quota_us, 150000);
  EXPECT_EQ(all.memory_limit, 0);  // b has none, so the pod has none
}

TEST(Resources, MoreThanAnyMachineHas) {
  doc::Document pod =
      MUST(doc::ParseJson(R"({"status":{"qosClass":"Guaranteed"},"spec":{"containers":[)"
                          R"({"resources":{"requests":{"cpu":"9e18"},"limits":{"cpu":"9e18","memory":"8E"}}},)"
                          R"({"resources":{"requests":{"cpu":"9e18"},"limits":{"cpu":"9e18","memory":"8E"}}}]}})"));
  auto all = MUST(PodResources(Pod(pod.root)));
  EXPECT_EQ(all.cpu_shares, 262144);
  EXPECT_GT(all.cpu_quota_us, int64_t{1} << 40);
  EXPECT_GT(all.memory_limit, int64_t{1} << 50);
}

TEST(Resources, WhoIsKilledFirst) {
  const auto score = [](const std::string& spec, const char* qos, bool init = false) {
    const doc::Document pod =
        MUST(doc::ParseJson(R"({"status":{"qosClass":")" + std::string(qos) + R"("},"spec":{)" + spec + "}}"));
    const auto containers = init ? Pod(pod.root).spec().init_containers() : Pod(pod.root).spec().containers();
    return OomScoreAdjust(Pod(pod.root), containers[0], int64_t{4} << 30);
  };
  const auto one = [](const char* memory) {
    return std::string(R"({"name":"a","resources":{"requests":{"memory":")") + memory + R"("}}})";
  };
  const auto of = [&](const char* memory) { return R"("containers":[)" + one(memory) + "]"; };
  EXPECT_EQ(score(of("1Gi"), "Guaranteed"), -997);
  EXPECT_EQ(score(of("1Gi"), "BestEffort"), 1000);
  EXPECT_EQ(score(of("1Gi"), "Burstable"), 750);
  EXPECT_EQ(score(of("4Gi"), "Burstable"), 3);
  EXPECT_EQ(score(of("8E"), "Burstable"), 3);
  EXPECT_EQ(score(of("0"), "Burstable"), 999);
  EXPECT_EQ(score(of("1Gi") + R"(,"priority":2000001000,"priorityClassName":"system-node-critical")", "Burstable"),
            -997);
  EXPECT_EQ(score(of("1Gi") + R"(,"priority":2000000000,"priorityClassName":"system-cluster-critical")", "Burstable"),
            750);
  // A sidecar as the least of those that it is for, or by its own.
  const auto sidecar = [&](const char* memory) {
    return R"("initContainers":[{"name":"s","restartPolicy":"Always","resources":{"requests":{"memory":")" +
           std::string(memory) + R"("}}}],)" + of("1Gi");
  };
  EXPECT_EQ(score(sidecar("0"), "Burstable", true), 750);
  EXPECT_EQ(score(sidecar("2Gi"), "Burstable", true), 500);
  // What the pod as a whole has more than its containers is theirs in equal parts.
  EXPECT_EQ(
      score(R"("resources":{"requests":{"memory":"2Gi"}},"containers":[{"name":"a"},)" + one("1Gi") + "]", "Burstable"),
      875);
}

TEST(ContainerSpec, HostsAndHostname) {
  doc::Document pod = MUST(
      doc::ParseJson(R"({"metadata":{"name":"web"},"spec":{"hostAliases":[{"ip":"1.2.3.4","hostnames":["x","y"]}]}})"));
  const std::string hosts = HostsFile(Pod(pod.root), "10.0.0.2");
  EXPECT_NE(hosts.find("10.0.0.2\tweb\n"), std::string::npos);
  EXPECT_NE(hosts.find("1.2.3.4\tx\ty\n"), std::string::npos);
  doc::Document longer = MUST(doc::ParseJson(
      R"({"metadata":{"name":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.-bcdef"}})"));
  EXPECT_EQ(HostnameOf(Pod(longer.root)), std::string(61, 'a'));
  // A pod of a StatefulSet is found by its whole name, too.
  doc::Document member = MUST(doc::ParseJson(
      R"({"metadata":{"name":"web-0","namespace":"n"},"spec":{"hostname":"web-0","subdomain":"nginx"}})"));
  EXPECT_NE(HostsFile(Pod(member.root), "10.0.0.2").find("10.0.0.2\tweb-0.nginx.n.svc.cluster.local\tweb-0\n"),
            std::string::npos);
  member.root.Find("spec")->Set(member.arena, "hostnameOverride", doc::Value::Borrow("db.example.com"));
  EXPECT_NE(HostsFile(Pod(member.root), "10.0.0.2").find("\n10.0.0.2\tdb.example.com\n"), std::string::npos);
  // In the host's network it is the host's file.
  doc::Document host = MUST(doc::ParseJson(
      R"({"metadata":{"name":"p"},"spec":{"hostNetwork":true,"hostAliases":[{"ip":"1.2.3.4","hostnames":["x"]}]}})"));
  EXPECT_EQ(HostsFile(Pod(host.root), "192.0.2.1", "127.0.0.1\tlocalhost here\n"),
            "# Kubernetes-managed hosts file (host network).\n127.0.0.1\tlocalhost here\n\n"
            "# Entries added by HostAliases.\n1.2.3.4\tx\n");
}

TEST(ContainerSpec, NameServersOfTheHostsLoopback) {
  EXPECT_TRUE(NamesOnlyLoopback("# stub\nnameserver 127.0.0.53\noptions edns0\n"));
  EXPECT_TRUE(NamesOnlyLoopback("nameserver ::1\nnameserver\t127.0.0.1\n"));
  EXPECT_FALSE(NamesOnlyLoopback("nameserver 127.0.0.53\nnameserver 192.0.2.53\n"));
  EXPECT_FALSE(NamesOnlyLoopback("nameserver fe80::1%eth0\n"));
  EXPECT_FALSE(NamesOnlyLoopback("search example.com\n"));
  EXPECT_FALSE(NamesOnlyLoopback(""));
}

TEST(ContainerSpec, RunAsNonRoot) {
  struct Case {
    const char* pod;
    const char* container;
    const char* image_user;
    const char* error;
  };
  const Case cases[] = {
      {"{}", "{}", "", ""},
      {R"({"runAsNonRoot":true})", "{}", "",
       R"~(container has runAsNonRoot and image will run as root (pod: "p_n(u)", container: c))~"},
      {R"({"runAsNonRoot":true})", R"({"runAsNonRoot":false})", "", ""},
      {"{}", R"({"runAsNonRoot":true})", "0:0",
       R"~(container has runAsNonRoot and image will run as root (pod: "p_n(u)", container: c))~"},
      {"{}", R"({"runAsNonRoot":true})", "1000:0", ""},
      {"{}", R"({"runAsNonRoot":true})", "nginx:nginx",
       "container has runAsNonRoot and image has non-numeric user (nginx), cannot verify user is non-root (pod: "
       "\"p_n(u)\", container: c)"},
      {R"({"runAsNonRoot":true,"runAsUser":1000})", "{}", "root", ""},
      {R"({"runAsUser":1000})", R"({"runAsNonRoot":true,"runAsUser":0})", "1000",
       R"~(container's runAsUser breaks non-root policy (pod: "p_n(u)", container: c))~"},
  };
  for (const Case& one : cases) {
    const doc::Document pod = MUST(
        doc::ParseJson(std::string(R"({"metadata":{"name":"p","namespace":"n","uid":"u"},"spec":{"securityContext":)") +
                       one.pod + R"(,"containers":[{"name":"c","securityContext":)" + one.container + "}]}}"));
    const Ok checked = CheckNonRoot(Pod(pod.root), Pod(pod.root).spec().containers()[0], one.image_user);
    EXPECT_EQ(checked.ok() ? "" : checked.status().message(), one.error);
  }
}

/// Runs on the real runtime, in a folder of its own.
void InFolder(const std::function<void(rt::Runtime&, const std::string&)>& body) {
  char name[] = "/tmp/knarr-node-test-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(2));
  runtime->Run([&] {
    body(*runtime, name);
    EXPECT_TRUE(runtime->files().RemoveAll(name).ok());
  });
}

// The kernel lists mounts by their real paths.
TEST(Mounts, AreFoundBehindALink) {
  InFolder([](rt::Runtime& runtime, const std::string& folder) {
    rt::FileSystem& files = runtime.files();
    ASSERT_TRUE(files.MakeDirectories(folder + "/real/pod/volume").ok());
    ASSERT_TRUE(files.Symlink("real", folder + "/link").ok());
    const Ok mounted = MountTmpfs(runtime, folder + "/link/pod/volume", 0);
    if (mounted.Failed(Reason::kForbidden)) GTEST_SKIP() << mounted.status().message();
    ASSERT_TRUE(mounted.ok()) << mounted.status().message();
    EXPECT_TRUE(UnmountBelow(runtime, folder + "/link/pod").ok());
    EXPECT_TRUE(files.RemoveAll(folder + "/link/pod").ok());
    EXPECT_FALSE(files.Exists(folder + "/real/pod"));
  });
}

TEST(WriteVolumeFiles, ReplacesAllAtOnce) {
  InFolder([](rt::Runtime& runtime, const std::string& folder) {
    rt::FileSystem& files = runtime.files();
    const std::string directory = folder + "/v";
    ASSERT_TRUE(WriteVolumeFiles(runtime, directory, {{"a", {"1", 0644}}, {"sub/b", {"2", 0400}}}).ok());
    EXPECT_EQ(MUST(files.ReadFile(directory + "/a")), "1");
    EXPECT_EQ(MUST(files.ReadFile(directory + "/sub/b")), "2");
    EXPECT_EQ(MUST(files.Stat(directory + "/sub/b")).mode, 0400U);
    const std::string first = MUST(files.ReadLink(directory + "/..data"));
    // The same files again change nothing; a reader that watches ..data is not woken for it.
    ASSERT_TRUE(WriteVolumeFiles(runtime, directory, {{"a", {"1", 0644}}, {"sub/b", {"2", 0400}}}).ok());
    EXPECT_EQ(MUST(files.ReadLink(directory + "/..data")), first);
    // A link that is not there yet, as when the agent was killed before it made it.
    ASSERT_TRUE(files.Remove(directory + "/a").ok());
    ASSERT_TRUE(WriteVolumeFiles(runtime, directory, {{"a", {"1", 0644}}, {"sub/b", {"2", 0400}}}).ok());
    EXPECT_EQ(MUST(files.ReadFile(directory + "/a")), "1");
    EXPECT_EQ(MUST(files.ReadLink(directory + "/..data")), first);
    // One that is wanted no more goes, also from a folder that stays.
    ASSERT_TRUE(WriteVolumeFiles(runtime, directory, {{"sub/b", {"2", 0400}}, {"sub/c", {"3", 0400}}}).ok());
    ASSERT_TRUE(WriteVolumeFiles(runtime, directory, {{"sub/b", {"2", 0400}}}).ok());
    EXPECT_FALSE(files.Exists(directory + "/sub/c"));
    ASSERT_TRUE(WriteVolumeFiles(runtime, directory, {{"a", {"new", 0644}}}).ok());
    EXPECT_EQ(MUST(files.ReadFile(directory + "/a")), "new");
    EXPECT_FALSE(files.Exists(directory + "/sub"));
    EXPECT_FALSE(files.Exists(directory + "/" + first));
    for (const char* bad : {"../x", "/x", "a/../../x", "", "a//b"}) {
      EXPECT_FALSE(WriteVolumeFiles(runtime, directory, {{bad, {"x", 0644}}}).ok()) << bad;
    }
    EXPECT_FALSE(files.Exists(folder + "/x"));
  });
}

TEST(LogReader, TailSinceAndLimits) {
  InFolder([](rt::Runtime& runtime, const std::string& folder) {
    const std::string path = folder + "/0.log";
    std::string text;
    for (int i = 0; i < 10; ++i) {
      text += "2026-11-21T10:00:0" + std::to_string(i) + ".000000000Z stdout F line " + std::to_string(i) + "\n";
    }
    text += "2026-11-21T10:00:10.000000000Z stdout P half \n2026-11-21T10:00:11.000000000Z stdout F done\n";
    ASSERT_TRUE(runtime.files().WriteFile(path, text).ok());
    auto read = [&](LogReaderOptions options) {
      options.path = path;
      auto reader = MUST(LogReader::Open(runtime, std::move(options)));
      std::string out;
      while (true) {
        std::string part = MUST(reader->Read());
        if (part.empty()) return out;
        out += part;
      }
    };
    EXPECT_EQ(read({.tail_lines = 3}), "line 9\nhalf done\n");
    EXPECT_EQ(read({.tail_lines = 0}), "");
    EXPECT_EQ(read({.tail_lines = 1000}).substr(0, 7), "line 0\n");
    EXPECT_EQ(read({.limit_bytes = 10}), "line 0\nlin");
    EXPECT_EQ(read({.since = MUST(ParseTime("2026-11-21T10:00:09Z"))}), "line 9\nhalf done\n");
    EXPECT_EQ(read({.timestamps = true, .tail_lines = 2}), "2026-11-21T10:00:10.000000000Z half done\n");
  });
}

TEST(LogReader, FollowsUntilTheContainerHasEnded) {
  InFolder([](rt::Runtime& runtime, const std::string& folder) {
    const std::string path = folder + "/0.log";
    bool ended = false;
    auto reader = MUST(LogReader::Open(runtime, {.path = path, .follow = true, .ended = [&] { return ended; }}));
    rt::TaskGroup writer(runtime, "writer");
    writer.Spawn("writer", [&] {
      ASSERT_TRUE(runtime.Sleep(20ms).ok());
      auto file = MUST(runtime.files().Open(path, rt::OpenMode::kCreate));
      ASSERT_TRUE(file->Append("2026-11-21T10:00:00.000000000Z stdout F one\n").ok());
      ASSERT_TRUE(runtime.Sleep(20ms).ok());
      ASSERT_TRUE(file->Append("2026-11-21T10:00:01.000000000Z stdout F two\n").ok());
      ended = true;
      reader->Wake();
    });
    std::string out;
    while (true) {
      std::string part = MUST(reader->Read());
      if (part.empty()) break;
      out += part;
    }
    EXPECT_EQ(out, "one\ntwo\n");
    writer.Join();
  });
}

}  // namespace
}  // namespace knarr::node
