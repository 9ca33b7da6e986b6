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
    EXPECT_EQ(same.status().message(), "Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"" + address +
                                           "\"]: failed to allocate IP " + address +
                                           ": provided IP is already allocated");
    const std::string ports = R"({"metadata":{"name":"b"},"spec":{"type":"NodePort","ports":[{"port":1,"nodePort":)" +
                              std::to_string(port) + "}]}}";
    EXPECT_EQ(server.Create("Service", ports).status().message(),
              "Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: " + std::to_string(port) +
                  ": provided port is already allocated");
    const auto outside = server.Create("Service", ServiceJson("b", R"(,"clusterIP":"10.1.2.3")"));
    EXPECT_EQ(
        outside.status().message(),
        R"(Service "b" is invalid: spec.clusterIPs: Invalid value: ["10.1.2.3"]: failed to allocate IP 10.1.2.3: )"
        R"(the provided network does not match the current range)");

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

const api::KindInfo& AddressKind() { return TestServer::Kind("IPAddress", "networking.k8s.io/v1"); }
const api::KindInfo& CidrKind() { return TestServer::Kind("ServiceCIDR", "networking.k8s.io/v1"); }

TEST(ServiceAddresses, EachIsAnObjectThatComesAndGoesWithItsService) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& services = TestServer::Kind("Service");
    const auto made = MUST(server.Create("Service", ServiceJson("a", "")));
    const std::string address(made->tree().Get("spec", "clusterIP").AsString());
    const auto object = MUST(server.client().Get(AddressKind(), {"", address}));
    EXPECT_EQ(object->resource_version(), made->resource_version());  // one transaction
    EXPECT_EQ(doc::ToJson(object->tree().At("spec")),
              R"({"parentRef":{"resource":"services","namespace":"default","name":"a"}})");
    EXPECT_EQ(
        doc::ToJson(object->tree().Get("metadata", "labels")),
        R"({"ipaddress.kubernetes.io/ip-family":"IPv4","ipaddress.kubernetes.io/managed-by":"ipallocator.k8s.io"})");

    // Another's object takes the address from the pool.
    doc::Document foreign = TestServer::Json(
        R"({"metadata":{"name":"10.43.7.7"},"spec":{"parentRef":{"resource":"gateways","group":"x.y","name":"g"}}})");
    MUST(server.client().Create(AddressKind(), "", foreign.root));
    EXPECT_TRUE(server.Create("Service", ServiceJson("b", R"(,"clusterIP":"10.43.7.7")")).Failed(Reason::kInvalid));

    // Who deletes the object of a Service finds it made again.
    MUST(server.client().Delete(AddressKind(), {"", address}));
    for (int i = 0; i < 100 && !server.client().Get(AddressKind(), {"", address}).ok(); ++i) MUST(runtime.Sleep(10ms));
    EXPECT_TRUE(server.client().Get(AddressKind(), {"", address}).ok());

    MUST(server.client().Patch(services, {"default", "a"}, client::PatchType::kMerge,
                               R"({"spec":{"type":"ExternalName","externalName":"x.y"}})"));
    EXPECT_TRUE(server.client().Get(AddressKind(), {"", address}).Failed(Reason::kNotFound));
    const auto back = MUST(server.client().Patch(services, {"default", "a"}, client::PatchType::kMerge,
                                                 R"({"spec":{"type":"ClusterIP","externalName":null}})"));
    const std::string other(back->tree().Get("spec", "clusterIP").AsString());
    EXPECT_TRUE(server.client().Get(AddressKind(), {"", other}).ok());
    MUST(server.client().Delete(services, {"default", "a"}));
    EXPECT_TRUE(server.client().Get(AddressKind(), {"", other}).Failed(Reason::kNotFound));
  });
}

TEST(ServiceAddresses, AStartRepairsWhatIsMissingAndWhatIsLeft) {
  InSim([](rt::Runtime& runtime) {
    TestServer first(runtime);
    const auto made = MUST(first.Create("Service", ServiceJson("a", "")));
    const std::string address(made->tree().Get("spec", "clusterIP").AsString());
    first.server().Stop(Duration(0));
    const std::string prefix = "/registry/networking.k8s.io/ipaddresses/";
    const store::Bytes bytes = first.store().Latest()->Get(prefix + address)->value;
    std::string left = *bytes;
    left.replace(left.find(address), address.size(), "10.43.9.9");
    MUST(first.store().Txn({}, {{prefix + address, std::nullopt}, {prefix + "10.43.9.9", left}}));
    auto second = MUST(ApiServer::Create(runtime, {&runtime}, first.store(), {}));
    MUST(second->Bootstrap());
    const auto client = second->LocalClient({"x", "", {"system:masters"}});
    EXPECT_TRUE(client->Get(AddressKind(), {"", address}).ok());
    EXPECT_TRUE(client->Get(AddressKind(), {"", "10.43.9.9"}).Failed(Reason::kNotFound));
    second->Stop(Duration(0));
  });
}

TEST(ServiceAddresses, AStartGivesAnAddressToTheServiceThatHasIt) {
  InSim([](rt::Runtime& runtime) {
    TestServer first(runtime);
    const auto made = MUST(first.Create("Service", ServiceJson("a", "")));
    const std::string address(made->tree().Get("spec", "clusterIP").AsString());
    first.server().Stop(Duration(0));
    const auto stored = [&](const std::string& key) { return *first.store().Latest()->Get(key)->value; };
    const auto renamed = [](std::string text, const std::string& from, const std::string& to) {
      return text.replace(text.find(from), from.size(), to);
    };
    const std::string object = "/registry/networking.k8s.io/ipaddresses/" + address;
    const std::string services = "/registry/core/services/default/";
    // Its object names a Service that is not there; and many more say that they have the address.
    std::vector<store::Op> ops = {{object, renamed(stored(object), R"("name":"a")", R"("name":"z")")}};
    for (int i = 0; i < 250; ++i) {
      const std::string name = "b" + std::to_string(i);
      ops.push_back({services + name, renamed(stored(services + "a"), R"("name":"a")", "\"name\":\"" + name + '"')});
    }
    MUST(first.store().Txn({}, std::move(ops)));
    auto second = MUST(ApiServer::Create(runtime, {&runtime}, first.store(), {}));
    MUST(second->Bootstrap());
    const auto client = second->LocalClient({"x", "", {"system:masters"}});
    const auto found = MUST(client->Get(AddressKind(), {"", address}));
    EXPECT_EQ(found->tree().Get("spec", "parentRef", "name").AsString(), "a");
    second->Stop(Duration(0));
  });
}

TEST(ServiceAddresses, TheServersNetworkIsAServiceCidr) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const auto cidr = MUST(server.client().Get(CidrKind(), {"", "kubernetes"}));
    EXPECT_EQ(doc::ToJson(cidr->tree().Get("spec", "cidrs")), R"(["10.43.0.0/16"])");
    const doc::Value& condition = cidr->tree().Get("status", "conditions")[0];
    EXPECT_EQ(condition.At("type").AsString(), "Ready");
    EXPECT_EQ(condition.At("status").AsString(), "True");
    EXPECT_EQ(condition.At("message").AsString(), "Kubernetes default Service CIDR is ready");

    // Another network counts once it is ready.
    MUST(server.client().Create(
        CidrKind(), "", TestServer::Json(R"({"metadata":{"name":"more"},"spec":{"cidrs":["10.77.0.0/24"]}})").root));
    const std::string inside = R"(,"clusterIP":"10.77.0.5")";
    EXPECT_TRUE(server.Create("Service", ServiceJson("a", inside)).Failed(Reason::kInvalid));
    MUST(server.client().Patch(CidrKind(), {"", "more"}, client::PatchType::kMerge,
                               R"({"status":{"conditions":[{"type":"Ready","status":"True","reason":"","message":"",)"
                               R"("lastTransitionTime":"2024-01-01T00:00:00Z"}]}})",
                               "status"));
    EXPECT_TRUE(server.Create("Service", ServiceJson("a", inside)).ok());
  });
}

TEST(ServiceAddresses, TwoFamilies) {
  InSim([](rt::Runtime& runtime) {
    ApiServerOptions options;
    options.service_cidr = "10.43.0.0/16,fd43::/112";
    TestServer server(runtime, options);
    const auto families = [&](const api::ObjectPtr& service) {
      return doc::ToJson(service->tree().Get("spec", "ipFamilies"));
    };
    const auto one = MUST(server.Create("Service", ServiceJson("one", "")));
    EXPECT_EQ(families(one), R"(["IPv4"])");
    const auto both = MUST(server.Create("Service", ServiceJson("both", R"(,"ipFamilyPolicy":"PreferDualStack")")));
    EXPECT_EQ(families(both), R"(["IPv4","IPv6"])");
    ASSERT_EQ(both->tree().Get("spec", "clusterIPs").size(), 2u);
    const std::string second(both->tree().Get("spec", "clusterIPs")[1].AsString());
    EXPECT_TRUE(second.starts_with("fd43::")) << second;
    EXPECT_TRUE(server.client().Get(AddressKind(), {"", second}).ok());

    const api::KindInfo& services = TestServer::Kind("Service");
    const auto grown = MUST(server.client().Patch(services, {"default", "one"}, client::PatchType::kMerge,
                                                  R"({"spec":{"ipFamilyPolicy":"RequireDualStack"}})"));
    EXPECT_EQ(grown->tree().Get("spec", "clusterIPs").size(), 2u);
    const auto shrunk = MUST(server.client().Patch(services, {"default", "both"}, client::PatchType::kMerge,
                                                   R"({"spec":{"ipFamilyPolicy":"SingleStack"}})"));
    EXPECT_EQ(shrunk->tree().Get("spec", "clusterIPs").size(), 1u);
    EXPECT_EQ(families(shrunk), R"(["IPv4"])");
    EXPECT_TRUE(server.client().Get(AddressKind(), {"", second}).Failed(Reason::kNotFound));
    const auto v6 = MUST(server.Create("Service", ServiceJson("six", R"(,"ipFamilies":["IPv6"])")));
    EXPECT_TRUE(v6->tree().Get("spec", "clusterIP").AsString().starts_with("fd43::"));
  });
}

TEST(Service, AnotherServerOnTheSameStoreKnowsWhatIsTaken) {
  InSim([](rt::Runtime& runtime) {
    TestServer first(runtime);
    const auto made = MUST(first.Create("Service", ServiceJson("a", "")));
    auto second = MUST(ApiServer::Create(runtime, {&runtime}, first.store(), {}));
    auto client = second->LocalClient({"x", "", {"system:masters"}}, "x");
    const std::string address(made->tree().Get("spec", "clusterIP").AsString());
    const auto doc = TestServer::Json(ServiceJson("b", R"(,"clusterIP":")" + address + "\""));
    EXPECT_TRUE(client->Create(TestServer::Kind("Service"), "default", doc.root).Failed(Reason::kInvalid));
    second->Stop(Duration(0));
  });
}

}  // namespace
}  // namespace knarr::apiserver
