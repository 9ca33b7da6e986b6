#include "apiserver/test_server.h"

namespace knarr::apiserver {
namespace {

std::string ServiceJson(std::string_view name, std::string_view spec) {
  return R"({"metadata":{"name":")" + std::string(name) + R"("},"spec":{"ports":[{"port":80}])" + std::string(spec) +
         "}}";
}

TEST(Service, AddressesAndPortsAreTakenAndGivenBack) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& kind = TestServer::Kind("Service");
    const auto a = server.Create("Service", ServiceJson("a", R"(,"type":"NodePort")"));
    ASSERT_TRUE(a.ok()) << a.status().ToString();
    const std::string address((*a)->tree().Get("spec", "clusterIP").AsString());
    const int64_t port = (*a)->tree().Get("spec", "ports")[0].At("nodePort").AsInt();
    EXPECT_TRUE(address.starts_with("10.43.")) << address;
    EXPECT_GE(port, 30000);
    EXPECT_EQ((*a)->tree().Get("spec", "clusterIPs")[0].AsString(), address);
    EXPECT_EQ((*a)->tree().Get("spec", "ipFamilyPolicy").AsString(), "SingleStack");

    const auto same = server.Create("Service", ServiceJson("b", R"(,"clusterIP":")" + address + "\""));
    EXPECT_EQ(same.status().message(), "Service \"b\" is invalid: spec.clusterIPs: Invalid value: []string{\"" +
                                           address + "\"}: failed to allocate IP " + address +
                                           ": provided IP is already allocated");
    const std::string ports = R"({"metadata":{"name":"b"},"spec":{"type":"NodePort","ports":[{"port":1,"nodePort":)" +
                              std::to_string(port) + "}]}}";
    EXPECT_EQ(server.Create("Service", ports).status().message(),
              "Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: " + std::to_string(port) +
                  ": provided port is already allocated");
    const auto outside = server.Create("Service", ServiceJson("b", R"(,"clusterIP":"10.1.2.3")"));
    EXPECT_NE(outside.status().message().find("is not in the valid range. The range of valid IPs is 10.43.0.0/16"),
              std::string::npos);

    ASSERT_TRUE(server.client().Delete(kind, {"default", "a"}).ok());
    EXPECT_TRUE(server.Create("Service", ServiceJson("b", R"(,"clusterIP":")" + address + "\"")).ok());
    EXPECT_TRUE(server.Create("Service", ports).Failed(Reason::kAlreadyExists));
  });
}

TEST(Service, UpdatesKeepWhatWasAllocated) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& kind = TestServer::Kind("Service");
    const auto made = MUST(server.Create("Service", ServiceJson("a", R"(,"type":"NodePort")")));
    const doc::Document plain = TestServer::Json(ServiceJson("a", R"(,"type":"NodePort","selector":{"x":"y"})"));
    const auto updated = server.client().Update(kind, {"default", "a"}, plain.root);
    ASSERT_TRUE(updated.ok()) << updated.status().ToString();
    EXPECT_TRUE((*updated)->tree().Get("spec", "clusterIP").Equals(made->tree().Get("spec", "clusterIP")));
    EXPECT_TRUE((*updated)->tree().Get("spec", "ports").Equals(made->tree().Get("spec", "ports")));
    const int64_t port = made->tree().Get("spec", "ports")[0].At("nodePort").AsInt();
    const auto typed =
        server.client().Patch(kind, {"default", "a"}, client::PatchType::kMerge, R"({"spec":{"type":"ClusterIP"}})");
    ASSERT_TRUE(typed.ok()) << typed.status().ToString();
    EXPECT_TRUE((*typed)->tree().Get("spec", "ports")[0].At("nodePort").is_null());
    // The port is free again.
    const auto other = server.Create("Service", R"({"metadata":{"name":"b"},"spec":{"type":"NodePort","ports":
        [{"port":1,"nodePort":)" + std::to_string(port) +
                                                    "}]}}");
    EXPECT_TRUE(other.ok()) << (other.ok() ? "" : other.status().ToString());
  });
}

TEST(Service, FailedAndDryWritesTakeNothing) {
  InSim([](rt::Runtime& runtime) {
    ApiServerOptions options;
    options.service_cidr = "10.9.0.0/29";  // six addresses: one for kubernetes
    TestServer server(runtime, options);
    client::WriteOptions dry;
    dry.dry_run = true;
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(server.Create("Service", ServiceJson("dry", ""), "default", dry).ok());
    }
    for (int i = 0; i < 5; ++i) {
      const auto made = server.Create("Service", ServiceJson("s" + std::to_string(i), ""));
      ASSERT_TRUE(made.ok()) << made.status().ToString();
    }
    EXPECT_TRUE(server.Create("Service", ServiceJson("more", "")).Failed(Reason::kInternalError));
    const auto headless = server.Create("Service", ServiceJson("h", R"(,"clusterIP":"None","selector":{"a":"b"})"));
    ASSERT_TRUE(headless.ok()) << headless.status().ToString();
    EXPECT_EQ((*headless)->tree().Get("spec", "clusterIP").AsString(), "None");
  });
}

TEST(Service, AnotherServerOnTheSameStoreKnowsWhatIsTaken) {
  InSim([](rt::Runtime& runtime) {
    TestServer first(runtime);
    const auto made = MUST(first.Create("Service", ServiceJson("a", "")));
    auto second = MUST(ApiServer::Create(runtime, {&runtime}, first.store(), {}));
    auto client = second->LocalClient({"x", "", {"system:masters"}});
    const std::string address(made->tree().Get("spec", "clusterIP").AsString());
    const auto doc = TestServer::Json(ServiceJson("b", R"(,"clusterIP":")" + address + "\""));
    EXPECT_TRUE(client->Create(TestServer::Kind("Service"), "default", doc.root).Failed(Reason::kInvalid));
    second->Stop(Duration(0));
  });
}

}  // namespace
}  // namespace knarr::apiserver
