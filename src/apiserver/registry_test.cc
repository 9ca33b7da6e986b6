#include <fmt/format.h>

#include "apiserver/test_server.h"

namespace knarr::apiserver {
namespace {

using client::ObjectName;

TEST(Registry, BootstrapMakesNamespacesAndTheKubernetesService) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    for (const char* name : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
      const auto space = server.client().Get(TestServer::Kind("Namespace"), {"", name});
      ASSERT_TRUE(space.ok()) << space.status().ToString();
      EXPECT_EQ((*space)->tree().Get("status", "phase").AsString(), "Active");
    }
    const auto service = server.client().Get(TestServer::Kind("Service"), {"default", "kubernetes"});
    ASSERT_TRUE(service.ok());
    EXPECT_EQ((*service)->tree().Get("spec", "clusterIP").AsString(), "10.43.0.1");
  });
}

TEST(Registry, TheKubernetesServiceIsMadeAgainWhenItCanBe) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    client::Client& client = server.client();
    const api::KindInfo& services = TestServer::Kind("Service");
    const api::KindInfo& quotas = TestServer::Kind("ResourceQuota");
    ASSERT_TRUE(client.Delete(services, {"default", "kubernetes"}).ok());
    MUST(runtime.Sleep(1ms));
    EXPECT_TRUE(client.Get(services, {"default", "kubernetes"}).ok());

    const auto quota = server.Create("ResourceQuota", R"({"metadata":{"name":"q"},"spec":{"hard":{"services":"0"}}})");
    ASSERT_TRUE(quota.ok()) << quota.status().ToString();
    auto full = doc::Document::Copy((*quota)->tree());
    const doc::Document status = TestServer::Json(R"({"hard":{"services":"0"},"used":{"services":"0"}})");
    full.root.Set(full.arena, "status", status.root);
    ASSERT_TRUE(client.Update(quotas, {"default", "q"}, full.root, "status").ok());
    ASSERT_TRUE(client.Delete(services, {"default", "kubernetes"}).ok());
    MUST(runtime.Sleep(10s));
    EXPECT_TRUE(client.Get(services, {"default", "kubernetes"}).Failed(Reason::kNotFound));
    ASSERT_TRUE(client.Delete(quotas, {"default", "q"}).ok());
    MUST(runtime.Sleep(10s));
    EXPECT_TRUE(client.Get(services, {"default", "kubernetes"}).ok());
  });
}

TEST(Registry, CreateStampsDefaultsAndGets) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const auto made = server.Create("Pod", PodJson("web"));
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    const doc::Value& pod = (*made)->tree();
    EXPECT_EQ(pod.Get("metadata", "uid").AsString().size(), 36U);
    EXPECT_EQ(pod.Get("metadata", "generation").AsInt(), 1);
    EXPECT_EQ(pod.Get("status", "phase").AsString(), "Pending");
    EXPECT_EQ(pod.Get("status", "qosClass").AsString(), "BestEffort");
    EXPECT_EQ(pod.Get("spec", "restartPolicy").AsString(), "Always");
    EXPECT_EQ(pod.Get("spec", "serviceAccountName").AsString(), "default");
    EXPECT_EQ(pod.Get("spec", "tolerations").size(), 2U);
    const auto read = server.client().Get(TestServer::Kind("Pod"), {"default", "web"});
    ASSERT_TRUE(read.ok());
    EXPECT_EQ((*read)->json(), (*made)->json());
    EXPECT_FALSE((*read)->resource_version().empty());
  });
}

TEST(Registry, ANodeMayBeMadeWithAStatus) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& nodes = TestServer::Kind("Node");
    const auto made = server.Create("Node", R"({"metadata":{"name":"n1"},
        "spec":{"configSource":{"configMap":{"namespace":"a","name":"b","kubeletConfigKey":"c"}}},
        "status":{"capacity":{"cpu":"4"},"config":{"error":"x"},"nodeInfo":{"kubeletVersion":"v1.36.0"}}})");
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    const doc::Value& node = (*made)->tree();
    EXPECT_EQ(node.Get("status", "capacity").At("cpu").AsString(), "4");
    EXPECT_EQ(node.Get("status", "nodeInfo").At("kubeletVersion").AsString(), "v1.36.0");
    EXPECT_TRUE(node.Get("status", "config").is_null());
    EXPECT_TRUE(node.Get("spec", "configSource").is_null());
    // Afterwards only through the status subresource.
    auto change = doc::Document::Copy(node);
    change.root.Find("status")->Find("capacity")->Set(change.arena, "cpu", doc::Value::Borrow("8"));
    const auto updated = server.client().Update(nodes, {"", "n1"}, change.root);
    ASSERT_TRUE(updated.ok()) << updated.status().ToString();
    EXPECT_EQ((*updated)->tree().Get("status", "capacity").At("cpu").AsString(), "4");
    const auto status = server.client().Update(nodes, {"", "n1"}, change.root, "status");
    ASSERT_TRUE(status.ok()) << status.status().ToString();
    EXPECT_EQ((*status)->tree().Get("status", "capacity").At("cpu").AsString(), "8");
  });
}

TEST(Registry, MessagesAreUpstreams) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& pods = TestServer::Kind("Pod");
    const auto missing = server.client().Get(pods, {"default", "x"});
    EXPECT_EQ(missing.status().message(), "pods \"x\" not found");
    ASSERT_TRUE(server.Create("Pod", PodJson("x")).ok());
    const auto twice = server.Create("Pod", PodJson("x"));
    EXPECT_EQ(twice.status().message(), "pods \"x\" already exists");
    const auto nowhere = server.Create("Pod", PodJson("x"), "none");
    EXPECT_EQ(nowhere.status().message(), "namespaces \"none\" not found");
    auto stale = doc::Document::Copy((*server.client().Get(pods, {"default", "x"}))->tree());
    stale.root.Find("metadata")->Set(stale.arena, "resourceVersion", doc::Value::Borrow("1"));
    EXPECT_EQ(server.client().Update(pods, {"default", "x"}, stale.root).status().message(),
              "Operation cannot be fulfilled on pods \"x\": the object has been modified; please apply your changes to "
              "the latest version and try again");
    const auto kept = server.client().Delete(TestServer::Kind("Namespace"), {"", "default"});
    EXPECT_EQ(kept.status().message(), "namespaces \"default\" is forbidden: this namespace may not be deleted");
  });
}

TEST(Registry, GenerateNameAndDryRun) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const std::string json = R"({"metadata":{"generateName":"a-"},"spec":{"containers":[{"name":"a","image":"i"}]}})";
    const auto made = server.Create("Pod", json);
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    EXPECT_EQ((*made)->name().size(), 7U);
    client::WriteOptions dry_run;
    dry_run.dry_run = true;
    const auto dry = server.Create("Pod", PodJson("dry"), "default", dry_run);
    ASSERT_TRUE(dry.ok());
    EXPECT_EQ((*dry)->resource_version(), "");
    EXPECT_TRUE(server.client().Get(TestServer::Kind("Pod"), {"default", "dry"}).Failed(Reason::kNotFound));
  });
}

TEST(Registry, NamesThatCouldHaveBeenGenerated) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    constexpr std::string_view kJson = R"({"metadata":{"name":"a-b","generateName":"a-"}})";
    MUST(server.Create("ConfigMap", kJson));
    const auto again = server.Create("ConfigMap", kJson);
    ASSERT_TRUE(again.Failed(Reason::kAlreadyExists));
    EXPECT_EQ(again.status().message(),
              "configmaps \"a-b\" already exists, the server was not able to generate a unique name for the object");
    EXPECT_EQ(again.status().details().retry_after_seconds, 1);
  });
}

TEST(Registry, ObjectsAreBounded) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const auto pod = [](std::string_view name, size_t size) {
      return fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{{"containers":[{{"name":"a","image":"i","env":)"
                         R"([{{"name":"E","value":"{}"}}]}}]}}}})",
                         name, std::string(size, 'x'));
    };
    MUST(server.Create("Pod", pod("fits", 1500 << 10)));
    const auto refused = server.Create("Pod", pod("large", 1540 << 10));
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.status().message(), "etcdserver: request is too large");
    EXPECT_EQ(refused.status().code(), 500);
  });
}

TEST(Registry, UpdateKeepsStatusAndCountsGeneration) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& kind = TestServer::Kind("ReplicaSet", "apps/v1");
    const auto made = server.Create("ReplicaSet", R"({"metadata":{"name":"r"},"spec":{"replicas":1,"selector":
        {"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},
        "spec":{"containers":[{"name":"c","image":"i"}]}}}})");
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    const ObjectName name{"default", "r"};
    auto edit = doc::Document::Copy((*made)->tree());
    edit.root.Find("status")->Set(edit.arena, "replicas", doc::Value::Int(9));
    edit.root.Find("spec")->Set(edit.arena, "replicas", doc::Value::Int(2));
    const auto status = server.client().Update(kind, name, edit.root, "status");
    ASSERT_TRUE(status.ok()) << status.status().ToString();
    EXPECT_EQ((*status)->tree().Get("spec", "replicas").AsInt(), 1);
    EXPECT_EQ((*status)->tree().Get("status", "replicas").AsInt(), 9);
    EXPECT_EQ((*status)->tree().Get("metadata", "generation").AsInt(), 1);
    const auto scaled =
        server.client().Patch(kind, name, client::PatchType::kMerge, R"({"spec":{"replicas":5}})", "scale");
    ASSERT_TRUE(scaled.ok()) << scaled.status().ToString();
    EXPECT_EQ((*scaled)->kind(), "Scale");
    EXPECT_EQ((*scaled)->tree().Get("status", "selector").AsString(), "a=b");
    const auto now = server.client().Get(kind, name, "");
    EXPECT_EQ((*now)->tree().Get("spec", "replicas").AsInt(), 5);
    EXPECT_EQ((*now)->tree().Get("metadata", "generation").AsInt(), 2);
    const auto same = server.client().Update(kind, name, (*now)->tree());
    EXPECT_EQ((*same)->resource_version(), (*now)->resource_version());
  });
}

TEST(Registry, BindingGivesTheNodeOnce) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& pods = TestServer::Kind("Pod");
    ASSERT_TRUE(server.Create("Pod", PodJson("p")).ok());
    const auto binding = TestServer::Json(R"({"metadata":{"name":"p"},"target":{"kind":"Node","name":"n1"}})");
    const auto bound = server.client().CreateSub(pods, {"default", "p"}, "binding", binding.root);
    ASSERT_TRUE(bound.ok()) << bound.status().ToString();
    EXPECT_EQ((*bound)->tree().Get("spec", "nodeName").AsString(), "n1");
    EXPECT_EQ((*bound)->tree().Get("metadata", "generation").AsInt(), 1);
    const auto again = server.client().CreateSub(pods, {"default", "p"}, "binding", binding.root);
    EXPECT_EQ(again.status().message(),
              "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node \"n1\"");
  });
}

TEST(Registry, ListPagesWalkOneRevision) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& kind = TestServer::Kind("ConfigMap");
    for (int i = 0; i < 7; ++i) {
      ASSERT_TRUE(server.Create("ConfigMap", R"({"metadata":{"name":"c)" + std::to_string(i) + R"("}})").ok());
    }
    client::ListOptions options;
    options.limit = 3;
    std::vector<std::string> names;
    for (int page = 0;; ++page) {
      const auto list = server.client().List(kind, "default", options);
      ASSERT_TRUE(list.ok()) << list.status().ToString();
      for (const auto& item : list->items) names.emplace_back(item->name());
      if (page == 0) {
        ASSERT_TRUE(server.Create("ConfigMap", R"({"metadata":{"name":"c9"}})").ok());
      }
      if (list->continue_token.empty()) break;
      options.continue_token = list->continue_token;
    }
    EXPECT_EQ(names, (std::vector<std::string>{"c0", "c1", "c2", "c3", "c4", "c5", "c6"}));
  });
}

TEST(Registry, SelectorsFilter) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& pods = TestServer::Kind("Pod");
    ASSERT_TRUE(server.Create("Pod", PodJson("a", R"(,"labels":{"app":"x"})")).ok());
    ASSERT_TRUE(server.Create("Pod", PodJson("b", R"(,"labels":{"app":"y"})", R"(,"nodeName":"n1")")).ok());
    struct Case {
      std::string_view labels, fields;
      std::vector<std::string> names;
    };
    const std::vector<Case> cases = {
        {"app=x", "", {"a"}},
        {"app!=x", "", {"b"}},
        {"app in (x,y)", "", {"a", "b"}},
        {"!app", "", {}},
        {"", "spec.nodeName=n1", {"b"}},
        {"", "spec.nodeName!=n1", {"a"}},
        {"", "metadata.name=b", {"b"}},
        {"", "metadata.name=b,status.phase=Pending", {"b"}},
        {"app=x", "metadata.name=b", {}},
        {"", "metadata.namespace=other", {}},
    };
    for (const Case& test : cases) {
      for (const char* ns : {"default", ""}) {
        client::ListOptions options;
        options.label_selector = test.labels;
        options.field_selector = test.fields;
        const auto list = server.client().List(pods, ns, options);
        ASSERT_TRUE(list.ok()) << list.status().ToString();
        std::vector<std::string> names;
        for (const auto& item : list->items) names.emplace_back(item->name());
        EXPECT_EQ(names, test.names) << test.labels << " / " << test.fields << " in " << ns;
      }
    }
    client::ListOptions bad;
    bad.field_selector = "spec.foo=1";
    EXPECT_TRUE(server.client().List(pods, "", bad).Failed(Reason::kBadRequest));
  });
}

// What is on its way to the disk may yet be lost: nobody is told of it before.
TEST(Registry, WhatIsToldOfAnothersWriteIsDurable) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime, {}, store::OpenMemory(runtime, 10ms));
    const api::KindInfo& kind = TestServer::Kind("ConfigMap");
    const client::ObjectName name{"default", "m"};
    const auto race = [&](const std::function<Result<api::ObjectPtr>()>& write,
                          const std::function<void(const Result<api::ObjectPtr>&)>& judge) {
      rt::TaskGroup group(runtime, "writers");
      for (const Duration after : {0ms, 3ms, 6ms}) {
        group.Spawn("writer", [&, after] {
          MUST(runtime.Sleep(after));
          judge(write());
        });
      }
      group.Join();
    };
    int made = 0;
    race([&] { return server.Create("ConfigMap", R"({"metadata":{"name":"m"}})"); },
         [&](const Result<api::ObjectPtr>& done) {
           made += done.ok() ? 1 : 0;
           EXPECT_TRUE(done.ok() || done.Failed(Reason::kAlreadyExists));
           EXPECT_TRUE(server.client().Get(kind, name, "").ok());
         });
    int gone = 0;
    race([&] { return server.client().Delete(kind, name, {}); },
         [&](const Result<api::ObjectPtr>& done) {
           gone += done.ok() ? 1 : 0;
           EXPECT_TRUE(done.ok() || done.Failed(Reason::kNotFound));
           EXPECT_TRUE(server.client().Get(kind, name, "").Failed(Reason::kNotFound));
         });
    EXPECT_EQ(made, 1);
    EXPECT_EQ(gone, 1);
  });
}

// As many as fit into a request: none is held against all others.
TEST(Registry, ManyOwnersAreMergedInTime) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    constexpr size_t kOwners = 30'000;
    std::string owners;
    for (size_t i = 0; i < kOwners; ++i) {
      // The first ones once more, with their members in another order.
      owners += fmt::format(R"({{"apiVersion":"v1","kind":"Pod","name":"n","uid":"u{}"}},)", i);
      if (i < 3) owners += fmt::format(R"({{"uid":"u{}","name":"n","kind":"Pod","apiVersion":"v1"}},)", i);
    }
    owners.pop_back();
    const auto made =
        MUST(server.Create("ConfigMap", R"({"metadata":{"name":"m","ownerReferences":[)" + owners + "]}}"));
    EXPECT_EQ(made->tree().Get("metadata", "ownerReferences").size(), kOwners);
  });
}

TEST(Registry, ManyLabelKeysBecomeRequirementsInTime) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    constexpr size_t kKeys = 60'000;
    std::string keys;
    for (size_t i = 0; i < kKeys; ++i) keys += "\"a\",";
    keys.pop_back();
    const std::string pod = R"({"metadata":{"name":"p","labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":)"
                            R"("i"}],"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"z",)"
                            R"("whenUnsatisfiable":"DoNotSchedule","labelSelector":{},"matchLabelKeys":[)";
    const auto refused = server.Create("Pod", pod + keys + "]}]}}");
    ASSERT_TRUE(refused.Failed(Reason::kInvalid)) << refused.status().ToString();
    EXPECT_NE(refused.status().message().find("exists in both matchLabelKeys and labelSelector"), std::string::npos);
    const auto made = MUST(server.Create("Pod", pod + "\"a\"]}]}}"));
    EXPECT_EQ(doc::ToJson(made->tree().Get("spec", "topologySpreadConstraints")[0].At("labelSelector")),
              R"({"matchExpressions":[{"key":"a","operator":"In","values":["b"]}]})");
  });
}

}  // namespace
}  // namespace knarr::apiserver
