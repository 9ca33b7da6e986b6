// Pods with `hostUsers: false`: which ids they get, and for how long.

#include <map>
#include <optional>
#include <set>
#include <string>

#include "api/core_v1.h"
#include "base/strings.h"
#include "node/user_ranges.h"
#include "world.h"

namespace knarr::node {
namespace {

const std::string kOwn = R"("hostUsers":false,)" + kOne;

std::optional<runtime::IdRange> IdsOf(World& world, const std::string& name) {
  const auto at = world.containers.user_namespaces.find(std::string(world.Find(name)->uid()));
  return at == world.containers.user_namespaces.end() ? std::nullopt : at->second;
}

TEST(UserNamespaces, AreRefusedWhereTheRuntimeHasNone) {
  In([](World& world) {
    world.Create("web", kOwn);
    world.Until("told", [&] { return world.Events("FailedCreatePodSandBox") > 0; });
    EXPECT_EQ(world.Message("FailedCreatePodSandBox"),
              "Failed to create pod sandbox: can't set `spec.hostUsers: false`, runtime does not support user "
              "namespaces");
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(UserNamespaces, EachPodHasIdsOfItsOwnForAsLongAsItRuns) {
  In([](World& world) {
    world.StopAgent();
    world.containers.can.user_namespaces = true;
    world.StartAgent();
    const auto node = world.server.client().Get(api::core_v1::NodeInfo(), {"", "n1"});
    ASSERT_TRUE(node.ok());
    EXPECT_TRUE(api::core_v1::Node((*node)->tree()).status().runtime_handlers()[0].features().user_namespaces());
    std::set<uint32_t> firsts;
    for (const char* name : {"a", "b", "c"}) {
      world.Create(name, kOwn);
      world.Until("ready", [&] { return world.Ready(name); });
      const auto ids = IdsOf(world, name);
      ASSERT_TRUE(ids.has_value());
      EXPECT_EQ(ids->length, 65536U);
      EXPECT_EQ(ids->first % 65536, 0U);
      EXPECT_GE(ids->first, 65536U);
      firsts.insert(ids->first);
    }
    EXPECT_EQ(firsts.size(), 3U);
    world.Create("plain", kOne);
    world.Until("ready", [&] { return world.Ready("plain"); });
    EXPECT_FALSE(IdsOf(world, "plain").has_value());
    // A sandbox that a later agent makes for the pod has the same, for the files of the former.
    const auto before = IdsOf(world, "a");
    const std::string uid(world.Find("a")->uid());
    EXPECT_EQ(MUST(world.runtime.files().ReadFile("/tmp/pods/" + uid + "/userns")), ToText(*before));
    world.StopAgent();
    for (const auto& [id, status] : std::map(world.containers.sandboxes())) {
      if (status.pod_uid == uid) world.containers.LoseSandbox(id);
    }
    world.containers.user_namespaces.clear();
    world.StartAgent();
    world.Until("made anew", [&] { return IdsOf(world, "a").has_value(); });
    EXPECT_EQ(IdsOf(world, "a")->first, before->first);
    for (const char* name : {"a", "b", "c", "plain"}) {
      world.Delete(name);
      world.Until("gone", [&] { return world.Find(name) == nullptr; });
    }
  });
}

TEST(UserNamespaces, APodThatIsThroughGivesItsIdsBack) {
  In([](World& world) {
    world.StopAgent();
    world.containers.can.user_namespaces = true;
    // Room for one.
    rt::FileSystem& files = world.runtime.files();
    MUST(files.WriteFile("/etc/subuid", "root:1:2\nkubelet:131072:65536\n"));
    MUST(files.WriteFile("/etc/subgid", "kubelet:131072:65536\n"));
    world.StartAgent();
    world.Create("job", R"("restartPolicy":"Never",)" + kOwn);
    world.Until("ready", [&] { return world.Ready("job"); });
    EXPECT_EQ(IdsOf(world, "job")->first, 131072U);
    world.Create("next", kOwn);
    world.Until("none left", [&] { return world.Events("FailedCreatePodSandBox") > 0; });
    EXPECT_EQ(world.Message("FailedCreatePodSandBox"),
              "Failed to create pod sandbox: create user namespace: could not find an empty slot to allocate a user "
              "namespace");
    world.containers.End(world.containers.Newest("a"), 0);
    world.Until("through", [&] { return world.Phase("job") == "Succeeded"; });
    world.Until("the next one's", [&] { return world.Ready("next"); });
    EXPECT_EQ(IdsOf(world, "next")->first, 131072U);
    world.Delete("next");
    world.Until("gone", [&] { return world.Find("next") == nullptr; });
  });
}

TEST(UserRanges, WhatThereIsToPickFrom) {
  const auto all = PodIds("", "user:100000:65536\n");
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->first, 65536U);
  EXPECT_EQ((uint64_t{all->first} + all->length), 4294901760U) << "not the range with the id that is none";
  const auto given = PodIds("kubelet:65536:7208960\n", "kubelet:65536:7208960\n");
  ASSERT_TRUE(given.ok());
  EXPECT_EQ(given->length, 7208960U);
  struct Case {
    const char* users;
    const char* groups;
    const char* error;
  };
  const Case cases[] = {
      {"kubelet:65536:65536", "", "mismatched subuids and subgids for user \"kubelet\""},
      {"kubelet:65536:65536", "kubelet:131072:65536", "mismatched subuids and subgids for user \"kubelet\""},
      {"kubelet:100000:65536", "kubelet:100000:65536", "kubelet user assigned ID 100000 is not a multiple of 65536"},
      {"kubelet:0:65536", "kubelet:0:65536", "kubelet user assigned ID 0 is not a multiple of 65536"},
      {"kubelet:65536:70000", "kubelet:65536:70000",
       "kubelet user assigned IDs length 70000 is not a multiple of 65536"},
      {"kubelet:4294901760:65536", "kubelet:4294901760:65536",
       "kubelet user assigned IDs length 65536 is not a multiple of 65536"},
  };
  for (const Case& one : cases) EXPECT_EQ(PodIds(one.users, one.groups).status().message(), one.error);
  EXPECT_FALSE(PodIds("kubelet:x:65536", "kubelet:x:65536").ok());
}

TEST(UserRanges, FilesAreReadWithCare) {
  const runtime::IdRange ids = {4294770688, 65536};
  EXPECT_EQ(ParseIds(ToText(ids))->first, ids.first);
  const std::string good = ToText(ids);
  for (const std::string& bad :
       {std::string(), std::string("{}"), good.substr(1), ReplaceAll(good, "4294770688", "4294770689"),
        ReplaceAll(good, "4294770688", "0"), ReplaceAll(good, ":65536", ":131072"),
        ReplaceAll(good, "\"containerId\":0", "\"containerId\":1"), ReplaceAll(good, "4294770688", "4294901760"),
        ReplaceAll(good, "4294770688", "-65536"), ReplaceAll(good, "gidMappings", "gids")}) {
    EXPECT_FALSE(ParseIds(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace knarr::node
