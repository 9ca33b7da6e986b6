// Pods with claims, on a node in memory: what they wait for, with which words, and what they are shown.

#include <fmt/format.h>

#include <functional>
#include <vector>

#include "world.h"

namespace knarr::node {
namespace {

/// `bound`: by the volume controller, as far as the node can see.
void MakeClaim(World& world, const char* name, bool bound = true, const std::string& spec = "") {
  const std::string json = fmt::format(
      R"({{"metadata":{{"name":"{}"}},"spec":{{"accessModes":["ReadWriteOnce"],"volumeName":"v-{}","resources":)"
      R"({{"requests":{{"storage":"1Gi"}}}}{}}}}})",
      name, name, spec);
  ASSERT_TRUE(world.server.Create("PersistentVolumeClaim", json).ok());
  if (!bound) return;
  const auto told = world.server.client().Patch(api::core_v1::PersistentVolumeClaimInfo(), {"default", name},
                                                client::PatchType::kMerge, R"({"status":{"phase":"Bound"}})", "status");
  ASSERT_TRUE(told.ok()) << told.status().ToString();
}

void MakeVolume(World& world, const std::string& claim, const std::string& source, const char* uid = nullptr) {
  std::string reference;
  const auto found = world.server.client().Get(api::core_v1::PersistentVolumeClaimInfo(), {"default", claim});
  if (found.ok()) {
    reference = fmt::format(R"(,"claimRef":{{"namespace":"default","name":"{}","uid":"{}"}})", claim,
                            uid != nullptr ? uid : (*found)->uid());
  }
  const std::string json =
      fmt::format(R"({{"metadata":{{"name":"v-{}"}},"spec":{{"accessModes":["ReadWriteOnce"],"capacity":)"
                  R"({{"storage":"1Gi"}},{}{}}}}})",
                  claim, source, reference);
  const auto made = world.server.Create("PersistentVolume", json);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
}

std::string LocalOn(const char* node, const char* path) {
  return fmt::format(
      R"("local":{{"path":"{}"}},"nodeAffinity":{{"required":{{"nodeSelectorTerms":[{{"matchExpressions":[{{"key":)"
      R"("kubernetes.io/hostname","operator":"In","values":["{}"]}}]}}]}}}})",
      path, node);
}

/// A pod that mounts the claim at /data, with more of its spec.
void MakeUser(World& world, const std::string& name, const std::string& volume, const std::string& more = "") {
  world.Create(name, fmt::format(R"({}"containers":[{{"name":"a","image":"i:1","volumeMounts":[{{"name":"data",)"
                                 R"("mountPath":"/data"}}]}}],"volumes":[{{"name":"data",{}}}])",
                                 more, volume));
}
std::string Uses(const char* claim) {
  return fmt::format(R"("persistentVolumeClaim":{{"claimName":"{}"}})", claim);
}

TEST(Claims, AFolderIsShownWhereItIs) {
  In([](World& world) {
    std::string shown;
    world.containers.on_create = [&shown](const runtime::ContainerSpec& spec) {
      for (const runtime::MountSpec& mount : spec.mounts) {
        if (mount.container_path == "/data") shown = mount.host_path + (mount.read_only ? " ro" : "");
      }
    };
    MUST(world.runtime.files().MakeDirectories("/disks/one"));
    MakeClaim(world, "c");
    MakeVolume(world, "c", LocalOn("n1", "/disks/one"));
    MakeUser(world, "web", Uses("c"));
    world.Until("ready", [&] { return world.Ready("web"); });
    EXPECT_EQ(shown, "/disks/one");
    MUST(world.runtime.files().WriteFile("/disks/one/file", "data"));
    // An agent that comes later finds it as it is.
    world.StopAgent();
    world.StartAgent();
    world.Sleep(5s);
    EXPECT_TRUE(world.Ready("web"));
    EXPECT_EQ(world.Restarts("web"), 0);
    world.Delete("web");
    world.ExpectGone("web");
    EXPECT_EQ(MUST(world.runtime.files().ReadFile("/disks/one/file")), "data");
    MakeUser(world, "reads", R"("persistentVolumeClaim":{"claimName":"c","readOnly":true})");
    world.Until("ready", [&] { return world.Ready("reads"); });
    EXPECT_EQ(shown, "/disks/one ro");
  });
}

TEST(Claims, WhatIsMissingIsSaidInUpstreamsWords) {
  struct Case {
    const char* what;
    std::function<void(World&)> make;
    std::string volume;
    std::string message;
  };
  const std::string waits =
      "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to process "
      "volumes=[data]: ";
  const std::vector<Case> cases = {
      {"no claim", [](World&) {}, Uses("c"),
       waits + "error processing PVC default/c: failed to fetch PVC from API server: persistentvolumeclaims \"c\" not "
               "found"},
      {"not bound", [](World& world) { MakeClaim(world, "c", false); }, Uses("c"),
       waits + "error processing PVC default/c: PVC is not bound"},
      {"no volume", [](World& world) { MakeClaim(world, "c"); }, Uses("c"),
       waits + "error processing PVC default/c: failed to fetch PV v-c from API server: persistentvolumes \"v-c\" not "
               "found"},
      {"somebody else's claim", [](World& world) { MakeClaim(world, "web-data"); },
       R"("ephemeral":{"volumeClaimTemplate":{"spec":{"accessModes":["ReadWriteOnce"],)"
       R"("resources":{"requests":{"storage":"1Gi"}}}}})",
       waits + "PVC default/web-data was not created for pod default/web (pod is not owner)"},
      {"another node's",
       [](World& world) {
         MakeClaim(world, "c");
         MakeVolume(world, "c", LocalOn("n2", "/disks/one"));
       },
       Uses("c"),
       "MountVolume.NodeAffinity check failed for volume \"v-c\" : no matching NodeSelectorTerms"},
      {"no folder",
       [](World& world) {
         MakeClaim(world, "c");
         MakeVolume(world, "c", LocalOn("n1", "/disks/absent"));
       },
       Uses("c"),
       "MountVolume.SetUp failed for volume \"v-c\" : path \"/disks/absent\" does not exist"},
      {"a file",
       [](World& world) {
         MUST(world.runtime.files().MakeDirectories("/disks"));
         MUST(world.runtime.files().WriteFile("/disks/file", ""));
         MakeClaim(world, "c");
         MakeVolume(world, "c", R"("hostPath":{"path":"/disks/file","type":"Directory"})");
       },
       Uses("c"),
       "MountVolume.SetUp failed for volume \"v-c\" : hostPath type check failed: /disks/file is not a directory"},
      {"nobody knows how",
       [](World& world) {
         MakeClaim(world, "c");
         MakeVolume(world, "c", R"("csi":{"driver":"example.com","volumeHandle":"x"})");
       },
       Uses("c"),
       "MountVolume.SetUp failed for volume \"v-c\" : no volume plugin matched: this node knows only local, hostPath "
       "and nfs volumes"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    In([&](World& world) {
      c.make(world);
      MakeUser(world, "web", c.volume);
      world.Until("told", [&] { return world.Events("FailedMount") > 0; });
      EXPECT_EQ(world.Message("FailedMount"), c.message);
      EXPECT_FALSE(world.Ready("web"));
      world.Delete("web");
      world.Until("gone", [&] { return world.Find("web") == nullptr; });
    });
  }
}

TEST(Claims, ADeviceThatIsNone) {
  struct Case {
    std::string mode;
    std::string source;
    const char* event;
    std::string message;
  };
  const Case cases[] = {
      {"Block", LocalOn("n1", "/disks/file"), "FailedMapVolume",
       "MapVolume.MapBlockVolume failed for volume \"v-c\" : /disks/file is not a block device"},
      {"Block", LocalOn("n1", "/disks/absent"), "FailedMapVolume",
       "MapVolume.MapBlockVolume failed for volume \"v-c\" : path \"/disks/absent\" does not exist"},
      {"Block", LocalOn("n2", "/disks/file"), "FailedMount",
       "MapVolume.NodeAffinity check failed for volume \"v-c\" : no matching NodeSelectorTerms"},
      {"Block", R"("hostPath":{"path":"/disks/file"})", "FailedMount",
       "MapVolume.FindMapperPluginBySpec failed to find BlockVolumeMapper plugin. Volume plugin is nil. for volume "
       "\"v-c\" "},
      {"Filesystem", LocalOn("n1", "/disks"), "FailedMount",
       "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to process "
       "volumes=[data]: volume data has volumeMode Filesystem, but is specified in volumeDevices"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.message);
    In([&](World& world) {
      MUST(world.runtime.files().MakeDirectories("/disks"));
      MUST(world.runtime.files().WriteFile("/disks/file", ""));
      MakeClaim(world, "c");
      MakeVolume(world, "c", fmt::format(R"("volumeMode":"{}",{})", c.mode, c.source));
      world.Create("web", fmt::format(R"("containers":[{{"name":"a","image":"i:1","volumeDevices":[{{"name":"data",)"
                                      R"("devicePath":"/dev/xvda"}}]}}],"volumes":[{{"name":"data",{}}}])",
                                      Uses("c")));
      world.Until("told", [&] { return world.Events(c.event) > 0; });
      EXPECT_EQ(world.Message(c.event), c.message);
    });
  }
}

TEST(Claims, AnothersVolumeIsNotShown) {
  In([](World& world) {
    MakeClaim(world, "c");
    MakeVolume(world, "c", R"("hostPath":{"path":"/disks/one"})", "another");
    MakeUser(world, "web", Uses("c"));
    world.Until("told", [&] { return world.Events("FailedMount") > 0; });
    EXPECT_TRUE(world.Message("FailedMount")
                    .contains("found PV object v-c but its pv.Spec.ClaimRef.UID another does not point to claim.UID "));
  });
}

TEST(Claims, APodBeginsWhenItsVolumeComes) {
  In([](World& world) {
    MakeUser(world, "web", Uses("c"));
    world.Until("told", [&] { return world.Events("FailedMount") > 0; });
    MUST(world.runtime.files().MakeDirectories("/disks/one"));
    MakeClaim(world, "c");
    MakeVolume(world, "c", LocalOn("n1", "/disks/one"));
    world.Until("ready", [&] { return world.Ready("web"); });
  });
}

}  // namespace
}  // namespace knarr::node
