// Events through both group-versions that serve them.

#include "apiserver/event_expiry.h"
#include "apiserver/test_server.h"

namespace knarr::apiserver {
namespace {

const api::KindInfo& Core() { return TestServer::Kind("Event"); }
const api::KindInfo& New() { return TestServer::Kind("Event", "events.k8s.io/v1"); }

constexpr std::string_view kNewEvent = R"({"metadata":{"name":"e"},"eventTime":"2024-01-02T03:04:05.000006Z",
    "reportingController":"example.com/it","reportingInstance":"it-1","action":"Binding","reason":"Bound",
    "regarding":{"kind":"Pod","namespace":"default","name":"p"},"note":"done","type":"Normal"})";
constexpr std::string_view kCoreEvent = R"({"metadata":{"name":"c"},"involvedObject":{"kind":"Pod",
    "namespace":"default","name":"q"},"message":"hello","reason":"Said","count":3,"type":"Warning",
    "source":{"component":"kubelet","host":"n"},"firstTimestamp":"2024-01-02T03:04:05Z"})";

TEST(EventVersions, OneObjectInBothForms) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    client::Client& client = server.client();
    const auto made = MUST(client.Create(New(), "default", TestServer::Json(kNewEvent).root));
    EXPECT_EQ(made->api_version(), "events.k8s.io/v1");
    EXPECT_EQ(made->tree().At("note").AsString(), "done");
    const auto core = MUST(client.Get(Core(), {"default", "e"}));
    EXPECT_EQ(core->api_version(), "v1");
    EXPECT_EQ(core->tree().At("message").AsString(), "done");
    EXPECT_EQ(core->tree().Get("involvedObject", "name").AsString(), "p");
    EXPECT_EQ(core->tree().At("reportingComponent").AsString(), "example.com/it");
    EXPECT_EQ(core->resource_version(), made->resource_version());

    MUST(client.Create(Core(), "default", TestServer::Json(kCoreEvent).root));
    const auto fresh = MUST(client.Get(New(), {"default", "c"}));
    EXPECT_EQ(fresh->tree().Get("deprecatedSource", "component").AsString(), "kubelet");
    EXPECT_EQ(fresh->tree().At("deprecatedCount").AsInt(), 3);
    EXPECT_EQ(fresh->tree().At("note").AsString(), "hello");
    for (const api::KindInfo* kind : {&Core(), &New()}) {
      const auto list = MUST(client.List(*kind, "default", {}));
      ASSERT_EQ(list.items.size(), 2u);
      for (const auto& item : list.items) EXPECT_EQ(item->api_version(), kind->api_version);
    }
    EXPECT_EQ(MUST(client.Delete(New(), {"default", "c"}))->api_version(), "events.k8s.io/v1");
    EXPECT_TRUE(client.Get(Core(), {"default", "c"}).Failed(Reason::kNotFound));
  });
}

TEST(EventVersions, PatchesAreInTheVersionOfTheRequest) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    client::Client& client = server.client();
    MUST(client.Create(New(), "default", TestServer::Json(kNewEvent).root));
    const auto series =
        MUST(client.Patch(New(), {"default", "e"}, client::PatchType::kMerge,
                          R"({"series":{"count":2,"lastObservedTime":"2024-01-02T03:04:06.000000Z"}})"));
    EXPECT_EQ(series->tree().Get("series", "count").AsInt(), 2);
    const auto changed = client.Patch(New(), {"default", "e"}, client::PatchType::kMerge, R"({"note":"other"})");
    ASSERT_TRUE(changed.Failed(Reason::kInvalid));
    EXPECT_EQ(changed.status().message(),
              R"(Event "e" is invalid: message: Invalid value: "other": field is immutable)");
    const auto old = MUST(client.Patch(Core(), {"default", "e"}, client::PatchType::kMerge, R"({"message":"other"})"));
    EXPECT_EQ(old->tree().At("message").AsString(), "other");
  });
}

TEST(EventVersions, SelectorsAndWatches) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    client::Client& client = server.client();
    client::WatchOptions watch;
    watch.field_selector = "regarding.name=p";
    auto stream = MUST(client.Watch(New(), "default", watch));
    MUST(client.Create(Core(), "default", TestServer::Json(kCoreEvent).root));
    MUST(client.Create(New(), "default", TestServer::Json(kNewEvent).root));
    MUST(client.Delete(Core(), {"default", "e"}));
    std::vector<client::WatchEvent> events;
    while (events.size() < 2) {
      for (client::WatchEvent& event : MUST(stream->Next())) events.push_back(std::move(event));
    }
    for (const client::WatchEvent& event : events) {
      EXPECT_EQ(event.object->api_version(), "events.k8s.io/v1");
      EXPECT_EQ(event.object->tree().Get("regarding", "name").AsString(), "p");
    }
    EXPECT_EQ(events.back().type, client::WatchEventType::kDeleted);

    struct Case {
      const api::KindInfo& kind;
      std::string_view selector;
      size_t found;
      std::string_view error;
    };
    for (const Case& c :
         {Case{New(), "regarding.kind=Pod,type=Warning", 1, ""}, Case{New(), "regarding.kind=Node", 0, ""},
          Case{Core(), "source=kubelet", 1, ""}, Case{Core(), "involvedObject.name=q", 1, ""},
          Case{New(), "source=kubelet", 0, "field label not supported: source"},
          Case{Core(), "regarding.kind=Pod", 0, "field label not supported: regarding.kind"}}) {
      client::ListOptions options;
      options.field_selector = c.selector;
      const auto list = client.List(c.kind, "default", options);
      ASSERT_EQ(list.ok(), c.error.empty()) << c.selector;
      if (list.ok()) {
        EXPECT_EQ(list->items.size(), c.found) << c.selector;
      } else {
        EXPECT_EQ(list.status().message(), c.error);
      }
    }
  });
}

TEST(AutoscalerVersions, OneObjectInBothForms) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    client::Client& client = server.client();
    const api::KindInfo& v1 = TestServer::Kind("HorizontalPodAutoscaler", "autoscaling/v1");
    const api::KindInfo& v2 = TestServer::Kind("HorizontalPodAutoscaler", "autoscaling/v2");
    const auto made = MUST(client.Create(v1, "default",
                                         TestServer::Json(R"({"metadata":{"name":"h"},"spec":{
        "scaleTargetRef":{"kind":"Deployment","name":"d","apiVersion":"apps/v1"},"maxReplicas":3,
        "targetCPUUtilizationPercentage":70}})")
                                             .root));
    EXPECT_EQ(made->api_version(), "autoscaling/v1");
    const auto newer = MUST(client.Get(v2, {"default", "h"}));
    EXPECT_EQ(newer->tree().Get("spec", "metrics")[0].Get("resource", "target", "averageUtilization").AsInt(), 70);
    MUST(client.Patch(v2, {"default", "h"}, client::PatchType::kMerge, R"({"spec":{"maxReplicas":5}})"));
    EXPECT_EQ(MUST(client.Get(v1, {"default", "h"}))->tree().Get("spec", "maxReplicas").AsInt(), 5);
    EXPECT_EQ(MUST(client.List(v1, "", {})).items.size(), 1u);
  });
}

TEST(EventExpiry, OldEventsGoAndNewOnesStay) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    client::Client& client = server.client();
    const auto make = [&](const std::string& name) {
      MUST(client.Create(Core(), "default", TestServer::Json(R"({"metadata":{"name":")" + name + R"("},"reason":"Said",
          "involvedObject":{"kind":"Pod","namespace":"default","name":"q"}})").root));
    };
    for (int i = 0; i < 200; ++i) make("old-" + std::to_string(i));
    MUST(runtime.Sleep(std::chrono::minutes(4)));
    make("new");
    MUST(runtime.Sleep(std::chrono::minutes(2)));
    EventExpiry expiry(runtime, server.store(), std::chrono::minutes(5));
    MUST(expiry.Sweep());
    const auto left = MUST(client.List(Core(), "default", {}));
    ASSERT_EQ(left.items.size(), 1u);
    EXPECT_EQ(left.items.front()->name(), "new");
  });
}

TEST(EventVersions, TheNewVersionIsStricter) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    client::Client& client = server.client();
    MUST(client.Create(Core(), "default",
                       TestServer::Json(R"({"metadata":{"name":"a"},"involvedObject":{"namespace":"default"}})").root));
    const auto refused = client.Create(
        New(), "default",
        TestServer::Json(R"({"metadata":{"name":"b"},"regarding":{"namespace":"default"},"deprecatedCount":1})").root);
    ASSERT_TRUE(refused.Failed(Reason::kInvalid));
    EXPECT_EQ(refused.status().message(),
              R"(Event "b" is invalid: [eventTime: Required value, type: Invalid value: "": has invalid value: , )"
              R"(count: Invalid value: "": needs to be unset])");
    const auto elsewhere = client.Create(
        Core(), "default",
        TestServer::Json(R"({"metadata":{"name":"b"},"involvedObject":{"namespace":"kube-system"}})").root);
    ASSERT_TRUE(elsewhere.Failed(Reason::kInvalid));
    EXPECT_EQ(elsewhere.status().message(),
              R"(Event "b" is invalid: involvedObject.namespace: Invalid value: "kube-system": does not match )"
              R"(event.namespace)");
  });
}

}  // namespace
}  // namespace knarr::apiserver
