// What a pod with a user namespace is asked for with.

#include "cri/specs.h"

#include <gtest/gtest.h>

namespace knarr::cri {
namespace {

TEST(CriSpecs, UserNamespaces) {
  runtime::SandboxSpec pod{.pod_name = "web", .pod_namespace = "default", .pod_uid = "u1"};
  EXPECT_FALSE(MakeSandboxConfig(pod, "m", {}).linux_config.security.namespaces.users.has_value());
  pod.user_namespace = runtime::IdRange{131072, 65536};
  // As a later agent finds it.
  const PodSandboxConfig sandbox = MUST(ConfigFrom(MakeSandboxConfig(pod, "m", {}).annotations));
  const auto& users = sandbox.linux_config.security.namespaces.users;
  ASSERT_TRUE(users.has_value());
  EXPECT_EQ(users->mode, kNamespacePod);
  ASSERT_EQ(users->uids.size(), 1U);
  ASSERT_EQ(users->gids.size(), 1U);
  EXPECT_EQ(users->gids[0].host_id, 131072U);
  EXPECT_EQ(users->gids[0].container_id, 0U);
  EXPECT_EQ(users->gids[0].length, 65536U);
  runtime::ContainerSpec container{.name = "c", .image = "sha256:9"};
  container.mounts = {{.host_path = "/a", .container_path = "/a"}, {.host_path = "/b", .container_path = "/b"}};
  container.mounts[1].ids_are_mapped = true;
  const auto request = MakeContainerRequest("s", sandbox, container, "m", {});
  EXPECT_TRUE(request.config.linux_config.security.namespaces.users.has_value());
  EXPECT_EQ(request.config.mounts[0].uids[0].host_id, 131072U);
  EXPECT_EQ(request.config.mounts[0].gids[0].length, 65536U);
  EXPECT_TRUE(request.config.mounts[1].uids.empty()) << "it is mapped already";
}

}  // namespace
}  // namespace knarr::cri
