#include "runtime/records.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "runtime/kernel.h"

namespace knarr::runtime {
namespace {

TEST(Records, SandboxGoesThereAndBack) {
  SandboxRecord record;
  record.id = "abc";
  record.boot_id = "boot";
  record.created = WallTime(Duration(1795255200123456789));
  record.spec.pod_name = "web \"quoted\"";
  record.spec.pod_namespace = "default";
  record.spec.pod_uid = "uid";
  record.spec.attempt = 3;
  record.spec.hostname = "host";
  record.spec.log_directory = "/logs";
  record.spec.cgroup_parent = "/knarr/pod";
  record.spec.network = NamespaceMode::kNode;
  record.spec.pid = NamespaceMode::kPod;
  record.spec.pid_per_container = false;
  record.spec.ipc = NamespaceMode::kNode;
  record.spec.user_namespace = IdRange{4294770688, 65536};
  record.spec.labels = {{"a", "b"}};
  record.spec.annotations = {{"c", "d\n"}, {"e", ""}};
  const auto again = ParseSandboxRecord(ToJson(record));
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(ToJson(*again), ToJson(record));
  EXPECT_EQ(again->spec.annotations, record.spec.annotations);
  EXPECT_EQ(again->created, record.created);
  EXPECT_EQ(again->spec.pid, NamespaceMode::kPod);
  EXPECT_EQ(again->spec.user_namespace->first, 4294770688);
}

TEST(Records, ContainerGoesThereAndBack) {
  ContainerRecord record{"id",
                         "sandbox",
                         WallTime(Duration(5)),
                         "name",
                         2,
                         "sha256:x",
                         "/l",
                         "/g/id",
                         "SIGQUIT",
                         "sh",
                         true,
                         true,
                         ContainerUser{1, 2, {2, 3}},
                         {{"a", "b"}},
                         {{"c", "d"}}};
  const auto again = ParseContainerRecord(ToJson(record));
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(ToJson(*again), ToJson(record));
  EXPECT_TRUE(again->tty);
}

TEST(Records, RefusesWhatIsMalformed) {
  for (const char* text : {"", "{}", "[]", "{\"id\":5}", "{\"id\":"}) {
    EXPECT_FALSE(ParseSandboxRecord(text).ok()) << text;
    EXPECT_FALSE(ParseContainerRecord(text).ok()) << text;
  }
  EXPECT_FALSE(ParseContainerRecord("{\"id\":\"a\",\"cgroupPath\":\"/\"}").ok());
  for (const char* text : {"", "1 2", "1 2 3 4 5", "a b c d", "1 2 3 99999999999999999999"}) {
    EXPECT_FALSE(ParseShimPids(text).ok()) << text;
  }
  EXPECT_FALSE(ParseExitRecord("1 2").ok());
  EXPECT_FALSE(ParseStartRecord("").ok());
}

TEST(Records, ReadsTheShimsFiles) {
  const auto pids = ParseShimPids("10 20 30 40\n");
  ASSERT_TRUE(pids.ok());
  EXPECT_EQ(pids->infra, 30);
  EXPECT_EQ(pids->shim_start, 20U);
  const auto exit = ParseExitRecord("137 1795255200123456789 1                 \n");
  ASSERT_TRUE(exit.ok());
  EXPECT_EQ(exit->code, 137);
  EXPECT_TRUE(exit->oom);
  EXPECT_EQ(FormatNanoTime(exit->when), "2026-11-21T10:00:00.123456789Z");
}

TEST(Records, Signals) {
  struct Case {
    const char* name;
    int number;
  };
  const Case cases[] = {{"SIGTERM", SIGTERM},
                        {"TERM", SIGTERM},
                        {"sigquit", SIGQUIT},
                        {"9", 9},
                        {"SIGRTMIN+3", 37},
                        {"RTMAX-1", 63},
                        {"SIGRTMIN", 34},
                        {"0", -1},
                        {"65", -1},
                        {"SIGNOPE", -1},
                        {"", -1},
                        {"RTMIN+99", -1}};
  for (const Case& c : cases) EXPECT_EQ(SignalNumber(c.name).value_or(-1), c.number) << c.name;
}

TEST(Kernel, MountInfo) {
  const auto mounts = kernel::ParseMountInfo(
      "36 35 98:0 /mnt1 /a\\040b\\134c rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
      "37 35 98:0 / /x rw - tmpfs tmpfs rw\n"
      "short line\n"
      "37 35 98:0 / /y rw shared:1 tmpfs tmpfs rw\n");
  ASSERT_EQ(mounts.size(), 2U);
  EXPECT_EQ(mounts[0].path, "/a b\\c");
  EXPECT_EQ(mounts[0].type, "ext3");
  EXPECT_EQ(mounts[0].super_options, "rw,errors=continue");
  EXPECT_EQ(mounts[1].path, "/x");
}

}  // namespace
}  // namespace knarr::runtime
