// Claims and volumes, with the controllers, the scheduler and hollow nodes that keep folders.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "api/core_v1.h"
#include "api/storage_v1.h"
#include "rt/file_system.h"
#include "sim/testing_world.h"

namespace knarr::sim {
namespace {

using api::ObjectPtr;
using api::core_v1::PersistentVolume;
using api::core_v1::PersistentVolumeClaim;
using client::ObjectName;

const ObjectName kClaim{"default", "c"};

class World : public TestWorld {
 public:
  explicit World(rt::Runtime& runtime) : TestWorld(runtime) {
    for (int i = 0; i < 2; ++i) cluster().AddNode({.index = i}).Start();
    MUST(this->runtime().Sleep(5s));  // the nodes, the namespace's service account
  }

  void CreateClaim(const std::string& spec = "", const char* name = "c") {
    Create(api::core_v1::PersistentVolumeClaimInfo(), "default",
           fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{{"accessModes":["ReadWriteOnce"],"resources":)"
                       R"({{"requests":{{"storage":"1Gi"}}}}{}}}}})",
                       name, spec));
  }
  void CreateVolume(const char* name, const std::string& spec = "") {
    Create(api::core_v1::PersistentVolumeInfo(), "",
           fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{{"accessModes":["ReadWriteOnce"],"capacity":)"
                       R"({{"storage":"1Gi"}},"hostPath":{{"path":"/data"}}{}}}}})",
                       name, spec));
  }
  void CreateClass(const char* name, const std::string& more) {
    Create(api::storage_v1::StorageClassInfo(), "",
           fmt::format(R"({{"metadata":{{"name":"{}"}},"provisioner":"knarr.dev/local",)"
                       R"("volumeBindingMode":"WaitForFirstConsumer"{}}})",
                       name, more));
  }
  void CreatePod(const char* name, const std::string& volume = R"("persistentVolumeClaim":{"claimName":"c"})") {
    Create(api::core_v1::PodInfo(), "default",
           fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{{"terminationGracePeriodSeconds":1,"containers":)"
                       R"([{{"name":"c","image":"i"}}],"volumes":[{{"name":"v",{}}}]}}}})",
                       name, volume));
  }
  void Delete(const api::KindInfo& kind, const ObjectName& name) { MUST(client().Delete(kind, name)); }
  ObjectPtr Claim(const ObjectName& name = kClaim) { return Get(api::core_v1::PersistentVolumeClaimInfo(), name); }
  ObjectPtr Volume(std::string_view name) {
    return Get(api::core_v1::PersistentVolumeInfo(), {"", std::string(name)});
  }
  std::string PhaseOf(const ObjectPtr& object) {
    return object == nullptr ? "gone" : std::string(object->tree().Get("status", "phase").AsString());
  }
  bool Running(const char* pod) {
    return Eventually([&] { return PhaseOf(Get(api::core_v1::PodInfo(), {"default", pod})) == "Running"; });
  }
  bool HasPhase(const char* phase, const ObjectName& claim = kClaim) {
    return Eventually([&] { return PhaseOf(Claim(claim)) == phase; });
  }
  bool VolumeHas(std::string_view name, const char* phase) {
    return Eventually([&] { return PhaseOf(Volume(name)) == phase; });
  }
  std::string VolumeOf(const ObjectName& claim = kClaim) {
    return std::string(PersistentVolumeClaim(Claim(claim)->tree()).spec().volume_name());
  }
  /// The folders on both nodes, notes besides.
  std::vector<std::string> Folders() {
    std::vector<std::string> out;
    for (const auto& node : cluster().nodes()) {
      const auto entries = runtime().files().List(node->storage());
      if (!entries.ok()) continue;
      for (const rt::DirectoryEntry& entry : *entries) {
        if (!entry.name.starts_with('.')) out.push_back(entry.name);
      }
    }
    return out;
  }
  /// Whether an event of this reason about an object of the name says so.
  bool Told(std::string_view name, std::string_view reason, std::string_view message) {
    const client::ObjectList events = MUST(client().List(api::core_v1::EventInfo(), ""));
    return std::ranges::any_of(events.items, [&](const ObjectPtr& event) {
      const doc::Value& tree = event->tree();
      return tree.Get("involvedObject", "name").AsString() == name && tree.At("reason").AsString() == reason &&
             tree.At("message").AsString() == message;
    });
  }
};

void InWorld(const std::function<void(World&)>& body) { InWorldOf<World>(body); }

TEST(Volumes, AClaimOfTheDefaultClassGetsAFolderWhereItsPodGoes) {
  InWorld([](World& world) {
    world.CreateClaim();
    MUST(world.runtime().Sleep(2s));
    EXPECT_EQ(world.PhaseOf(world.Claim()), "Pending");
    EXPECT_TRUE(
        world.Told("c", "WaitForFirstConsumer", "waiting for first consumer to be created before binding"));
    EXPECT_TRUE(world.Folders().empty());
    world.CreatePod("p");
    ASSERT_TRUE(world.Running("p"));
    EXPECT_TRUE(world.HasPhase("Bound"));
    const std::string name = "pvc-" + std::string(world.Claim()->uid());
    EXPECT_EQ(world.VolumeOf(), name);
    EXPECT_EQ(world.Folders(), std::vector<std::string>{name + "_default_c"});
    EXPECT_TRUE(world.Told("c", "ProvisioningSucceeded", "Successfully provisioned volume " + name));
    const ObjectPtr volume = world.Volume(name);
    const std::string node(
        world.Get(api::core_v1::PodInfo(), {"default", "p"})->tree().Get("spec", "nodeName").AsString());
    EXPECT_EQ(volume->tree().Get("spec", "local", "path").AsString(),
              "/" + node + "/storage/" + name + "_default_c");
    EXPECT_EQ(PersistentVolume(volume->tree()).spec().storage_class_name(), "local-path");
    EXPECT_EQ(world.Claim()->tree().Get("status", "capacity", "storage").AsString(), "1Gi");
    // In use it stays; then all of it goes.
    world.Delete(api::core_v1::PersistentVolumeClaimInfo(), kClaim);
    MUST(world.runtime().Sleep(5s));
    EXPECT_NE(world.Claim(), nullptr);
    world.Delete(api::core_v1::PodInfo(), {"default", "p"});
    EXPECT_TRUE(world.Eventually([&] { return world.Volume(name) == nullptr; }));
    EXPECT_EQ(world.Claim(), nullptr);
    EXPECT_TRUE(world.Folders().empty());
  });
}

TEST(Volumes, WhatIsRetainedStays) {
  InWorld([](World& world) {
    world.CreateClass("kept", R"(,"reclaimPolicy":"Retain")");
    world.CreateClaim(R"(,"storageClassName":"kept")");
    world.CreatePod("p");
    ASSERT_TRUE(world.Running("p"));
    const std::string name = world.VolumeOf();
    world.Delete(api::core_v1::PodInfo(), {"default", "p"});
    world.Delete(api::core_v1::PersistentVolumeClaimInfo(), kClaim);
    EXPECT_TRUE(world.VolumeHas(name, "Released"));
    world.Delete(api::core_v1::PersistentVolumeInfo(), {"", name});
    EXPECT_TRUE(world.VolumeHas(name, "gone"));
    EXPECT_EQ(world.Folders().size(), 1U);
  });
}

TEST(Volumes, AReleasedVolumeWaitsForItsNode) {
  InWorld([](World& world) {
    world.CreateClaim();
    world.CreatePod("p");
    ASSERT_TRUE(world.Running("p"));
    const std::string name = world.VolumeOf();
    world.Delete(api::core_v1::PodInfo(), {"default", "p"});
    ASSERT_TRUE(world.Eventually([&] { return world.Get(api::core_v1::PodInfo(), {"default", "p"}) == nullptr; }));
    for (const auto& node : world.cluster().nodes()) node->Stop();
    world.Delete(api::core_v1::PersistentVolumeClaimInfo(), kClaim);
    EXPECT_TRUE(world.VolumeHas(name, "Released"));
    // Also when somebody is impatient.
    world.Delete(api::core_v1::PersistentVolumeInfo(), {"", name});
    MUST(world.runtime().Sleep(20s));
    EXPECT_NE(world.Volume(name), nullptr);
    EXPECT_EQ(world.Folders().size(), 1U);
    for (const auto& node : world.cluster().nodes()) node->Start();
    EXPECT_TRUE(world.VolumeHas(name, "gone"));
    EXPECT_TRUE(world.Folders().empty());
  });
}

TEST(Volumes, AClaimGrows) {
  InWorld([](World& world) {
    world.CreateClaim();
    world.CreatePod("p");
    ASSERT_TRUE(world.Running("p"));
    MUST(world.client().Patch(api::core_v1::PersistentVolumeClaimInfo(), kClaim, client::PatchType::kMerge,
                              R"({"spec":{"resources":{"requests":{"storage":"3Gi"}}}})"));
    EXPECT_TRUE(world.Eventually([&] {
      return world.Claim()->tree().Get("status", "capacity", "storage").AsString() == "3Gi";
    }));
    const doc::Value& status = world.Claim()->tree().At("status");
    EXPECT_EQ(status.Get("allocatedResources", "storage").AsString(), "3Gi");
    EXPECT_TRUE(status.At("allocatedResourceStatuses").is_null());
    EXPECT_TRUE(status.At("conditions").is_null());
    EXPECT_EQ(world.Volume(world.VolumeOf())->tree().Get("spec", "capacity", "storage").AsString(), "3Gi");
    EXPECT_TRUE(world.Told("c", "VolumeResizeSuccessful", "Resize volume succeeded"));
    EXPECT_EQ(world.PhaseOf(world.Claim()), "Bound");
  });
}

TEST(Volumes, StaticVolumesAreBoundBothWays) {
  InWorld([](World& world) {
    // Nothing there, and no class wanted.
    world.CreateClaim(R"(,"storageClassName":"")");
    MUST(world.runtime().Sleep(1s));
    EXPECT_TRUE(world.Told("c", "FailedBinding",
                           "no persistent volumes available for this claim and no storage class is set"));
    world.CreateVolume("v", R"(,"persistentVolumeReclaimPolicy":"Retain")");
    EXPECT_TRUE(world.HasPhase("Bound"));
    EXPECT_EQ(world.VolumeOf(), "v");
    EXPECT_TRUE(world.VolumeHas("v", "Bound"));
    // A claim that names its volume, and one that the volume names.
    world.CreateVolume("named");
    world.CreateVolume("meant", R"(,"claimRef":{"namespace":"default","name":"e"})");
    world.CreateClaim(R"(,"storageClassName":"","volumeName":"named")", "d");
    world.CreateClaim(R"(,"storageClassName":"")", "e");
    EXPECT_TRUE(world.HasPhase("Bound", {"default", "d"}));
    EXPECT_TRUE(world.HasPhase("Bound", {"default", "e"}));
    EXPECT_EQ(world.VolumeOf({"default", "d"}), "named");
    EXPECT_EQ(world.VolumeOf({"default", "e"}), "meant");
    // Nobody else gets it.
    world.CreateClaim(R"(,"storageClassName":"","volumeName":"named")", "f");
    MUST(world.runtime().Sleep(1s));
    EXPECT_TRUE(world.Told("f", "FailedBinding", "volume \"named\" already bound to a different claim."));
    EXPECT_EQ(world.PhaseOf(world.Claim({"default", "f"})), "Pending");
  });
}

TEST(Volumes, WhoCantBeReclaimedFails) {
  InWorld([](World& world) {
    struct Case {
      const char* policy;
      const char* reason;
      const char* message;
    };
    for (const Case& c : {Case{"Delete", "VolumeFailedDelete",
                               "host_path deleter only supports /tmp/.+ but received provided /data"},
                          Case{"Recycle", "VolumeFailedRecycle", "No recycler plugin found for the volume!"}}) {
      const std::string name = fmt::format("v-{}", c.policy[0] == 'D' ? "d" : "r");
      world.CreateVolume(name.c_str(), fmt::format(R"(,"persistentVolumeReclaimPolicy":"{}")", c.policy));
      world.CreateClaim(fmt::format(R"(,"storageClassName":"","volumeName":"{}")", name), name.c_str());
      ASSERT_TRUE(world.HasPhase("Bound", {"default", name}));
      world.Delete(api::core_v1::PersistentVolumeClaimInfo(), {"default", name});
      EXPECT_TRUE(world.VolumeHas(name, "Failed"));
      EXPECT_EQ(world.Volume(name)->tree().Get("status", "message").AsString(), c.message);
      MUST(world.runtime().Sleep(1s));
      EXPECT_TRUE(world.Told(name, c.reason, c.message));
    }
  });
}

TEST(Volumes, AClassIsNamedWhenThereIsADefault) {
  InWorld([](World& world) {
    world.Delete(api::storage_v1::StorageClassInfo(), {"", "local-path"});
    world.CreateClaim();
    MUST(world.runtime().Sleep(2s));
    EXPECT_TRUE(world.Claim()->tree().Get("spec", "storageClassName").is_null());
    world.Create(api::storage_v1::StorageClassInfo(), "",
                 R"({"metadata":{"name":"new","annotations":{"storageclass.kubernetes.io/is-default-class":"true"}},)"
                 R"("provisioner":"knarr.dev/local","volumeBindingMode":"WaitForFirstConsumer"})");
    EXPECT_TRUE(world.Eventually(
        [&] { return world.Claim()->tree().Get("spec", "storageClassName").AsString() == "new"; }));
  });
}

TEST(Volumes, APodsOwnVolumeLivesAsLongAsThePod) {
  InWorld([](World& world) {
    world.CreatePod("p", R"("ephemeral":{"volumeClaimTemplate":{"metadata":{"labels":{"a":"b"}},"spec":{"accessModes":)"
                         R"(["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}})");
    ASSERT_TRUE(world.Running("p"));
    const ObjectName claim{"default", "p-v"};
    ASSERT_NE(world.Claim(claim), nullptr);
    EXPECT_EQ(world.Claim(claim)->tree().Get("metadata", "labels", "a").AsString(), "b");
    EXPECT_EQ(world.PhaseOf(world.Claim(claim)), "Bound");
    world.Delete(api::core_v1::PodInfo(), {"default", "p"});
    EXPECT_TRUE(world.Eventually([&] { return world.Claim(claim) == nullptr && world.Folders().empty(); }));
  });
}

TEST(Volumes, SomebodyElsesClaimIsNotTaken) {
  InWorld([](World& world) {
    world.CreateClaim("", "p-v");
    world.CreatePod("p", R"("ephemeral":{"volumeClaimTemplate":{"spec":{"accessModes":["ReadWriteOnce"],"resources":)"
                         R"({"requests":{"storage":"1Gi"}}}}})");
    MUST(world.runtime().Sleep(5s));
    EXPECT_TRUE(world.Told("p", "FailedBinding",
                           "ephemeral volume v: PVC default/p-v was not created for pod default/p (pod is not owner)"));
    EXPECT_EQ(world.PhaseOf(world.Get(api::core_v1::PodInfo(), {"default", "p"})), "Pending");
  });
}

TEST(Volumes, WhatCantBeMadeIsSaid) {
  InWorld([](World& world) {
    world.CreateClass("at-once", R"(,"parameters":{"a":"b"})");
    world.CreateClaim(R"(,"storageClassName":"at-once")");
    world.CreatePod("p");
    MUST(world.runtime().Sleep(10s));
    EXPECT_TRUE(world.Told("c", "ProvisioningFailed",
                           "failed to provision volume with StorageClass \"at-once\": parameter \"a\" of the storage "
                           "class is not known"));
    EXPECT_TRUE(world.Folders().empty());
  });
}

TEST(Volumes, WhatWasBegunOnOneNodeGoesWhenAnotherMadeTheVolume) {
  InWorld([](World& world) {
    world.CreateClaim();
    world.CreatePod("p");
    ASSERT_TRUE(world.Running("p"));
    const std::string name = world.VolumeOf();
    const std::string folder = name + "_default_c";
    const ObjectPtr pod = world.Get(api::core_v1::PodInfo(), {"default", "p"});
    const std::string has(pod->tree().Get("spec", "nodeName").AsString());
    const auto& nodes = world.cluster().nodes();
    HollowNode& other = *nodes[nodes[0]->name() == has ? 1 : 0];
    // As it was killed when the claim was still its own, and its note twice: the second one is not in its place yet.
    other.Stop();
    rt::FileSystem& files = world.runtime().files();
    MUST(files.MakeDirectories(other.storage() + "/.begun"));
    MUST(files.MakeDirectories(other.storage() + "/" + folder));
    const std::string note = fmt::format("default/c {} {}", world.Claim()->uid(), folder);
    for (const char* suffix : {"", ".tmp-1"}) {
      MUST(files.WriteFile(other.storage() + "/.begun/" + name + suffix, note));
    }
    EXPECT_EQ(world.Folders().size(), 2U);
    other.Start();
    EXPECT_TRUE(world.Eventually([&] {
      return world.Folders().size() == 1 && files.List(other.storage() + "/.begun")->empty();
    }));
    EXPECT_FALSE(files.Exists(other.storage() + "/" + folder));
    EXPECT_TRUE(world.VolumeHas(name, "Bound"));
  });
}

TEST(Volumes, ASharedClaimKeepsItsPodsTogether) {
  InWorld([](World& world) {
    world.CreateClaim();
    for (const char* name : {"p", "q", "r"}) world.CreatePod(name);
    std::string node;
    for (const char* name : {"p", "q", "r"}) {
      ASSERT_TRUE(world.Running(name)) << name;
      const ObjectPtr pod = world.Get(api::core_v1::PodInfo(), {"default", name});
      const std::string on(pod->tree().Get("spec", "nodeName").AsString());
      if (node.empty()) node = on;
      EXPECT_EQ(on, node);
    }
    EXPECT_EQ(world.Folders().size(), 1U);
  });
}

}  // namespace
}  // namespace knarr::sim
