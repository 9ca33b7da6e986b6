// Pods that stand in files of the node.

#include <map>

#include "node/pressure.h"
#include "node/static_pods.h"
#include "world.h"

namespace knarr::node {
namespace {

const std::string kFolder = "/manifests";

std::string Manifest(const std::string& name, const std::string& image = "i:1", const std::string& more = "") {
  return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name +
         "\nspec:\n  containers:\n  - name: a\n    image: " + image + "\n" + more;
}

class StaticWorld {
 public:
  explicit StaticWorld(World& to) : world(to) {
    MUST(world.runtime.files().MakeDirectories(kFolder));
    world.StopAgent();
    world.manifests = kFolder;
    world.StartAgent();
  }
  void Write(const std::string& file, const std::string& text) {
    MUST(world.runtime.files().WriteFile(kFolder + "/" + file, text));
  }
  void Remove(const std::string& file) { MUST(world.runtime.files().Remove(kFolder + "/" + file)); }
  std::string UidOf(const std::string& name) {
    const api::ObjectPtr pod = world.Find(name);
    return pod == nullptr ? "" : std::string(pod->uid());
  }
  std::string HashOf(const std::string& name) {
    const api::ObjectPtr pod = world.Find(name);
    return pod == nullptr
               ? ""
               : std::string(pod->tree().Get("metadata", "annotations", "kubernetes.io/config.hash").AsString());
  }
  World& world;
};

TEST(StaticPods, RunAndAreMirrored) {
  In([](World& world) {
    StaticWorld at(world);
    at.Write("web.yaml", Manifest("web"));
    world.Until("ready", [&] { return world.Ready("web-n1"); });
    const api::ObjectPtr mirror = world.Find("web-n1");
    const doc::Value& metadata = mirror->tree().At("metadata");
    const doc::Value& annotations = metadata.At("annotations");
    EXPECT_EQ(annotations.At("kubernetes.io/config.source").AsString(), "file");
    EXPECT_EQ(annotations.At("kubernetes.io/config.mirror").AsString(),
              annotations.At("kubernetes.io/config.hash").AsString());
    EXPECT_EQ(annotations.At("kubernetes.io/config.hash").AsString().size(), 32U);
    EXPECT_FALSE(annotations.At("kubernetes.io/config.seen").is_null());
    EXPECT_NE(mirror->uid(), annotations.At("kubernetes.io/config.hash").AsString());
    EXPECT_EQ(metadata.At("ownerReferences")[0].At("kind").AsString(), "Node");
    EXPECT_TRUE(metadata.At("ownerReferences")[0].At("controller").AsBool());
    EXPECT_EQ(mirror->tree().Get("spec", "nodeName").AsString(), "n1");
    EXPECT_EQ(Pod(mirror->tree()).status().qos_class(), "BestEffort");
    EXPECT_EQ(world.containers.sandboxes().begin()->second.pod_uid, at.HashOf("web-n1"));
    at.Remove("web.yaml");
    world.ExpectGone("web-n1");
  });
}

TEST(StaticPods, DoNotGoWithTheirMirror) {
  In([](World& world) {
    StaticWorld at(world);
    at.Write("web.yaml", Manifest("web"));
    world.Until("ready", [&] { return world.Ready("web-n1"); });
    const std::string id = world.containers.Newest("a");
    for (int i = 0; i < 3; ++i) {
      const std::string uid = at.UidOf("web-n1");
      world.Delete("web-n1");
      world.Until("there again", [&] { return world.Ready("web-n1") && at.UidOf("web-n1") != uid; });
    }
    EXPECT_EQ(world.containers.Newest("a"), id);
    EXPECT_TRUE(world.containers.Runs(id));
    at.Remove("web.yaml");
    world.ExpectGone("web-n1");
  });
}

/// Its end is told of before the answer to the last write of its status comes.
TEST(StaticPods, AMirrorThatGoesWhileItIsWrittenComesAgain) {
  In([](World& world) {
    StaticWorld at(world);
    at.Write("web.yaml", Manifest("web"));
    world.Until("ready", [&] { return world.Ready("web-n1"); });
    const std::string uid = at.UidOf("web-n1");
    world.client.late = 5s;
    world.containers.End(world.containers.Newest("a"), 1);
    world.Until("it is written", [&] { return world.Restarts("web-n1") == 1; });
    MUST(world.server.client().Delete(api::core_v1::PodInfo(), {"default", "web-n1"}, {.grace_seconds = 0}));
    EXPECT_EQ(world.Find("web-n1"), nullptr);
    world.Until("there again", [&] { return world.Ready("web-n1") && at.UidOf("web-n1") != uid; }, 60s);
    world.client.late = {};
    at.Remove("web.yaml");
    world.ExpectGone("web-n1");
  });
}

TEST(StaticPods, AreMadeAnewWhenTheirFileChanges) {
  In([](World& world) {
    StaticWorld at(world);
    at.Write("web.yaml", Manifest("web"));
    world.Until("ready", [&] { return world.Ready("web-n1"); });
    const std::string first = world.containers.Newest("a");
    const std::string hash = at.HashOf("web-n1");
    world.containers.ignores_term = true;
    at.Write("web.yaml", Manifest("web", "i:2"));
    world.Until("the old one is told to stop", [&] { return !world.containers.stops.empty(); });
    EXPECT_EQ(world.containers.Newest("a"), first);
    EXPECT_EQ(at.HashOf("web-n1"), hash);
    world.Until("the new one", [&] { return at.HashOf("web-n1") != hash && world.Ready("web-n1"); });
    EXPECT_FALSE(world.containers.Runs(first));
    EXPECT_EQ(world.containers.sandboxes().size(), 1U);
    EXPECT_EQ(Pod(world.Find("web-n1")->tree()).spec().containers()[0].image(), "i:2");
    EXPECT_EQ(world.Restarts("web-n1"), 0);
    // Back to what it was, while that is not through yet.
    at.Write("web.yaml", Manifest("web", "i:3"));
    world.Sleep(25s);
    at.Write("web.yaml", Manifest("web", "i:2"));
    world.Until("the second again", [&] {
      const api::ObjectPtr pod = world.Find("web-n1");
      return world.Ready("web-n1") && Pod(pod->tree()).spec().containers()[0].image() == "i:2";
    });
    at.Remove("web.yaml");
    world.ExpectGone("web-n1");
  });
}

TEST(StaticPods, SurviveTheAgent) {
  In([](World& world) {
    StaticWorld at(world);
    at.Write("stays.yaml", Manifest("stays"));
    at.Write("goes.yaml", Manifest("goes"));
    world.Until("ready", [&] { return world.Ready("stays-n1") && world.Ready("goes-n1"); });
    const std::string uid = at.UidOf("stays-n1");
    const std::string hash = at.HashOf("stays-n1");
    std::string stays;
    for (const auto& [id, container] : world.containers.containers()) {
      if (world.containers.sandboxes().at(container.sandbox_id).pod_uid == hash) stays = id;
    }
    world.StopAgent();
    at.Remove("goes.yaml");
    world.StartAgent();
    world.Until("the other is gone", [&] { return world.Find("goes-n1") == nullptr; });
    world.Until("and all of it", [&] { return world.containers.sandboxes().size() == 1; });
    world.Sleep(60s);
    EXPECT_TRUE(world.containers.Runs(stays));
    EXPECT_EQ(at.UidOf("stays-n1"), uid);
    EXPECT_TRUE(world.Ready("stays-n1"));
    EXPECT_EQ(world.Restarts("stays-n1"), 0);
  });
}

/// Whose API is away.
TEST(StaticPods, RunWithoutTheApi) {
  In([](World& world) {
    StaticWorld at(world);
    world.client.away = true;
    at.Write("web.yaml", Manifest("web"));
    world.Until("it runs", [&] { return world.containers.Runs(world.containers.Newest("a")); });
    world.containers.End(world.containers.Newest("a"), 1);
    world.Until("and again", [&] { return world.containers.Runs(world.containers.Newest("a")); });
    EXPECT_EQ(world.Find("web-n1"), nullptr);
    world.client.away = false;
    world.Until("it shows", [&] { return world.Ready("web-n1") && world.Restarts("web-n1") == 1; });
    world.client.away = true;
    at.Remove("web.yaml");
    world.Until("it is gone", [&] { return world.containers.sandboxes().empty(); });
    EXPECT_NE(world.Find("web-n1"), nullptr);
    world.client.away = false;
    world.ExpectGone("web-n1");
  });
}

/// Only files make static pods: who says of a pod in the API that it were one gets none of their rights.
TEST(StaticPods, AreNotMadeByTheApi) {
  In([](World& world) {
    const auto made = world.server.Create(
        "Pod", R"({"metadata":{"name":"web","annotations":{"kubernetes.io/config.source":"file"}},
                   "spec":{"nodeName":"n1","automountServiceAccountToken":false,)" +
                   kOne + "}}");
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    world.Until("ready", [&] { return world.Ready("web"); });
    EXPECT_FALSE(IsCritical(Pod(world.Find("web")->tree())));
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(StaticPods, OfTooManyFilesItIsSaidOnce) {
  In([](World& world) {
    MUST(world.runtime.files().MakeDirectories(kFolder));
    for (int i = 0; i < 1005; ++i) {
      MUST(world.runtime.files().WriteFile(kFolder + "/" + std::to_string(10000 + i) + ".yaml", "no pod"));
    }
    std::map<std::string, int> refused;
    StaticPods pods(world.runtime, kFolder, "n1",
                    {.added = [](const api::ObjectPtr& pod) { FAIL() << pod->name(); },
                     .removed = [](const api::ObjectPtr& pod) { FAIL() << pod->name(); },
                     .refused = [&](const std::string& path, const std::string&) { ++refused[path]; }});
    MUST(pods.Start());
    world.Sleep(90s);
    pods.Stop();
    EXPECT_EQ(refused.size(), 1001U);
    EXPECT_EQ(refused[kFolder + "/11000.yaml"], 1);
    EXPECT_EQ(refused[kFolder + "/10999.yaml"], 1);
  });
}

TEST(StaticPods, OfHostileFilesNothingComes) {
  In([](World& world) {
    StaticWorld at(world);
    MUST(world.runtime.files().MakeDirectories(kFolder + "/folder"));
    at.Write("folder/inner.yaml", Manifest("inner"));
    at.Write(".hidden.yaml", Manifest("hidden"));
    at.Write("a.yaml", Manifest("web"));
    at.Write("b.yaml", Manifest("web", "i:2"));  // a name that is taken
    at.Write("c.yaml", ":\n -");
    at.Write("d.yaml", "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n");
    at.Write("e.yaml", Manifest("e", "i:1", "  serviceAccountName: admin\n"));
    at.Write("f.yaml", Manifest("f", "i:1", "  volumes:\n  - name: v\n    secret: {secretName: s}\n"));
    at.Write("g.yaml", std::string(100, '['));
    at.Write("h.yaml", Manifest("../../h"));
    at.Write("i.yaml",
             "apiVersion: v1\nkind: Pod\nmetadata:\n  name: i\n  uid: ../../../etc\nspec:\n  containers:\n"
             "  - {name: a, image: i}\n");
    at.Write("j.yaml", "");
    world.Until("ready", [&] { return world.Ready("web-n1"); });
    world.Until("told", [&] { return world.Events("InvalidManifest") >= 10; });
    world.Sleep(60s);
    EXPECT_EQ(world.Events("InvalidManifest"), 10);
    EXPECT_EQ(world.containers.sandboxes().size(), 1U);
    EXPECT_EQ(Pod(world.Find("web-n1")->tree()).spec().containers()[0].image(), "i:1");
    // The name is free when the first goes.
    at.Remove("a.yaml");
    world.Until("the other", [&] {
      const api::ObjectPtr pod = world.Find("web-n1");
      return pod != nullptr && Pod(pod->tree()).spec().containers()[0].image() == "i:2" && world.Ready("web-n1");
    });
  });
}

}  // namespace
}  // namespace knarr::node
