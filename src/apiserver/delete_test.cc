#include "apiserver/test_server.h"

#include <fmt/format.h>

#include <limits>

namespace knarr::apiserver {
namespace {

using client::Propagation;

// What is left of an object after a delete.
enum class Left : uint8_t { kGone, kMarked };

struct DeleteCase {
  std::string_view name;
  std::string_view kind;
  std::string json;
  bool bound = false;  // the pod has a node
  std::optional<int64_t> grace = {};
  Propagation propagation = Propagation::kDefault;
  Left left = Left::kGone;
  int64_t left_grace = 0;
  std::vector<std::string> finalizers = {};
};

std::string ObjectJson(std::string_view metadata) {
  return R"({"metadata":{"name":"x")" + std::string(metadata) + R"(}})";
}
const std::string kRc = R"({"metadata":{"name":"x"},"spec":{"replicas":1,"selector":{"a":"b"},"template":{"metadata":
    {"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})";

std::vector<DeleteCase> Cases() {
  const std::string bound = R"(,"nodeName":"n1")";
  return {
      {"a pod without node goes at once", "Pod", PodJson("x")},
      {"a pod on a node gets its grace", "Pod", PodJson("x", "", bound), true, {}, {}, Left::kMarked, 30},
      {"a shorter grace", "Pod", PodJson("x", "", bound), true, 5, {}, Left::kMarked, 5},
      {"grace 0 forces", "Pod", PodJson("x", "", bound), true, 0},
      {"a negative grace is one second", "Pod", PodJson("x", "", bound), true, -3, {}, Left::kMarked, 1},
      {"finalizers hold",
       "ConfigMap",
       ObjectJson(R"(,"finalizers":["a/b"])"),
       false,
       {},
       {},
       Left::kMarked,
       0,
       {"a/b"}},
      {"a config map goes", "ConfigMap", ObjectJson("")},
      {"foreground waits for the collector",
       "ConfigMap",
       ObjectJson(""),
       false,
       {},
       Propagation::kForeground,
       Left::kMarked,
       0,
       {"foregroundDeletion"}},
      {"orphan waits for the collector",
       "ConfigMap",
       ObjectJson(""),
       false,
       {},
       Propagation::kOrphan,
       Left::kMarked,
       0,
       {"orphan"}},
      {"a replication controller orphans by default",
       "ReplicationController",
       kRc,
       false,
       {},
       {},
       Left::kMarked,
       0,
       {"orphan"}},
      {"unless asked for background", "ReplicationController", kRc, false, {}, Propagation::kBackground},
  };
}

TEST(Delete, Table) {
  for (const DeleteCase& test : Cases()) {
    SCOPED_TRACE(test.name);
    InSim([&](rt::Runtime& runtime) {
      TestServer server(runtime);
      const auto made = server.Create(test.kind, test.json);
      ASSERT_TRUE(made.ok()) << made.status().ToString();
      client::DeleteOptions options;
      options.grace_seconds = test.grace;
      options.propagation = test.propagation;
      const api::KindInfo& kind = TestServer::Kind(test.kind);
      const auto deleted = server.client().Delete(kind, {"default", "x"}, options);
      ASSERT_TRUE(deleted.ok()) << deleted.status().ToString();
      const auto now = server.client().Get(kind, {"default", "x"});
      ASSERT_EQ(now.ok(), test.left == Left::kMarked);
      if (!now.ok()) return;
      EXPECT_TRUE((*now)->deleting());
      EXPECT_EQ((*now)->tree().Get("metadata", "deletionGracePeriodSeconds").AsInt(-1), test.left_grace);
      std::vector<std::string> finalizers;
      for (const auto& item : (*now)->tree().Get("metadata", "finalizers").items()) {
        finalizers.emplace_back(item.AsString());
      }
      EXPECT_EQ(finalizers, test.finalizers);
    });
  }
}

TEST(Delete, GraceOnlyGetsShorterAndTheNodeEndsIt) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& pods = TestServer::Kind("Pod");
    ASSERT_TRUE(server.Create("Pod", PodJson("x", "", R"(,"nodeName":"n1")")).ok());
    const auto remove = [&](std::optional<int64_t> grace) {
      client::DeleteOptions options;
      options.grace_seconds = grace;
      return server.client().Delete(pods, {"default", "x"}, options);
    };
    const auto first = remove({});
    ASSERT_TRUE(first.ok());
    EXPECT_EQ((*first)->tree().Get("metadata", "generation").AsInt(), 2);
    EXPECT_EQ((*remove({}))->resource_version(), (*first)->resource_version());
    EXPECT_EQ((*remove(60))->resource_version(), (*first)->resource_version());
    const auto shorter = remove(10);
    EXPECT_EQ((*shorter)->tree().Get("metadata", "deletionGracePeriodSeconds").AsInt(), 10);
    EXPECT_LT((*shorter)->tree().Get("metadata", "deletionTimestamp").AsString(),
              (*first)->tree().Get("metadata", "deletionTimestamp").AsString());
    ASSERT_TRUE(remove(0).ok());
    EXPECT_TRUE(remove(0).Failed(Reason::kNotFound));
  });
}

TEST(Delete, AGraceOfAges) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& pods = TestServer::Kind("Pod");
    ASSERT_TRUE(server.Create("Pod", PodJson("x", "", R"(,"nodeName":"n1")")).ok());
    client::DeleteOptions options;
    options.grace_seconds = std::numeric_limits<int64_t>::max();
    const auto marked = server.client().Delete(pods, {"default", "x"}, options);
    ASSERT_TRUE(marked.ok()) << marked.status().ToString();
    const doc::Value& metadata = (*marked)->tree().At("metadata");
    EXPECT_EQ(metadata.At("deletionGracePeriodSeconds").AsInt(), *options.grace_seconds);
    EXPECT_GT(metadata.At("deletionTimestamp").AsString(), "2100");
    options.grace_seconds = 10;
    const auto shorter = server.client().Delete(pods, {"default", "x"}, options);
    ASSERT_TRUE(shorter.ok()) << shorter.status().ToString();
    EXPECT_LT((*shorter)->tree().Get("metadata", "deletionTimestamp").AsString(), "2100");
  });
}

TEST(Delete, TakingTheLastFinalizerAwayRemoves) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& kind = TestServer::Kind("ConfigMap");
    ASSERT_TRUE(server.Create("ConfigMap", ObjectJson(R"(,"finalizers":["a/b"])")).ok());
    ASSERT_TRUE(server.client().Delete(kind, {"default", "x"}).ok());
    const auto added = server.client().Patch(kind, {"default", "x"}, client::PatchType::kMerge,
                                             R"({"metadata":{"finalizers":["a/b","c/d"]}})");
    EXPECT_TRUE(added.Failed(Reason::kInvalid)) << (added.ok() ? "ok" : added.status().ToString());
    const auto again = server.Create("ConfigMap", ObjectJson(""));
    EXPECT_EQ(again.status().message(), "object is being deleted: configmaps \"x\" already exists");
    const auto before = MUST(server.client().Get(kind, {"default", "x"}));
    const auto last = server.client().Patch(kind, {"default", "x"}, client::PatchType::kMerge,
                                            R"({"metadata":{"finalizers":null}})");
    ASSERT_TRUE(last.ok());
    EXPECT_EQ((*last)->resource_version(), before->resource_version());
    EXPECT_TRUE(server.client().Get(kind, {"default", "x"}).Failed(Reason::kNotFound));
  });
}

TEST(Delete, NamespacesEndThroughFinalize) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& spaces = TestServer::Kind("Namespace");
    ASSERT_TRUE(server.Create("Namespace", R"({"metadata":{"name":"n"}})").ok());
    const auto marked = server.client().Delete(spaces, {"", "n"});
    ASSERT_TRUE(marked.ok());
    EXPECT_EQ((*marked)->tree().Get("status", "phase").AsString(), "Terminating");
    const auto refused = server.Create("ConfigMap", ObjectJson(""), "n");
    EXPECT_EQ(refused.status().message(),
              "configmaps \"x\" is forbidden: unable to create new content in namespace n because it is being "
              "terminated");
    auto edit = doc::Document::Copy((*marked)->tree());
    edit.root.Find("spec")->Remove("finalizers");
    ASSERT_TRUE(server.client().Update(spaces, {"", "n"}, edit.root, "finalize").ok());
    EXPECT_TRUE(server.client().Get(spaces, {"", "n"}).Failed(Reason::kNotFound));
  });
}

TEST(Delete, PreconditionsHold) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& kind = TestServer::Kind("ConfigMap");
    const auto made = server.Create("ConfigMap", ObjectJson(""));
    client::DeleteOptions options;
    options.uid = "other";
    const auto refused = server.client().Delete(kind, {"default", "x"}, options);
    EXPECT_EQ(refused.status().message(),
              fmt::format("Operation cannot be fulfilled on ConfigMap \"x\": the UID in the precondition (other) does "
                          "not match the UID in record ({}). The object might have been deleted and then recreated",
                          (*made)->uid()));
    options.uid = (*made)->uid();
    options.dry_run = true;
    ASSERT_TRUE(server.client().Delete(kind, {"default", "x"}, options).ok());
    options.dry_run = false;
    ASSERT_TRUE(server.client().Delete(kind, {"default", "x"}, options).ok());
    EXPECT_TRUE(server.client().Get(kind, {"default", "x"}).Failed(Reason::kNotFound));
  });
}

TEST(Delete, Collections) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    for (const char* name : {"a", "b", "c"}) {
      ASSERT_TRUE(server
                      .Create("ConfigMap", std::string(R"({"metadata":{"name":")") + name + R"(","labels":{"n":")" +
                                               name + R"("}}})")
                      .ok());
    }
    client::ListOptions which;
    which.label_selector = "n in (a,b)";
    ASSERT_TRUE(server.client().DeleteCollection(TestServer::Kind("ConfigMap"), "default", which).ok());
    const auto left = server.client().List(TestServer::Kind("ConfigMap"), "default");
    ASSERT_EQ(left->items.size(), 1U);
    EXPECT_EQ(left->items[0]->name(), "c");
  });
}

}  // namespace
}  // namespace knarr::apiserver
