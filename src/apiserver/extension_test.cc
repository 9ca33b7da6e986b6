// Access, admission, fairness, devices, and what extends the API: what the server does beyond their rules.

#include "apiserver/test_server.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kRequest =
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIWU1JR0FBZ0VBTUI0eEREQUtCZ05WQkFvTUEyUmxkakVPTUF3"
    "R0ExVUVBd3dGWVd4cFkyVXdXVEFUQmdjcQpoa2pPUFFJQkJnZ3Foa2pPUFFNQkJ3TkNBQVJFZFoxVitQSXFwZW1lNHFETE5kWVha"
    "YjBxSFU1T1RDS1JTaENMCkIrc3BiTzlwSXRWRmhPcktEdzFaV2JNR0hGSk1GSklMVHlPTGJEREJpbjNxbCtKMm9BQXdDZ1lJS29a"
    "SXpqMEUKQXdJRFJ3QXdSQUlnYWdWNmFrWGhna2dYNkp5V0lwZ09UaVB2bnd4ZGN0Y2x4VFR4NnoyZmJja0NJQUppRTgrRwpnd0VI"
    "bzBveGR6NDlDTkN2YjJpVlJ5RklaV3oxaTM0eDUwV3IKLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==";

const api::KindInfo& SigningRequests() {
  return TestServer::Kind("CertificateSigningRequest", "certificates.k8s.io/v1");
}

doc::Document SigningRequest(std::string_view name, std::string_view request = kRequest) {
  std::string text = R"({"metadata":{"name":")";
  text.append(name).append(R"("},"spec":{"signerName":"example.com/s","usages":["client auth"],"username":"mallory",)");
  text.append(R"("request":")").append(request).append(R"("},"status":{"conditions":[{"type":"Approved",)");
  text.append(R"("status":"True"}]}})");
  return TestServer::Json(text);
}

doc::Document WithConditions(const Value& object, std::string_view conditions) {
  doc::Document copy = doc::Document::Copy(object);
  const doc::Document parsed = TestServer::Json(conditions);
  copy.root.Set(copy.arena, "status", Value::Object()).Set(copy.arena, "conditions", parsed.root.Clone(copy.arena));
  return copy;
}

TEST(SigningRequestTest, WhoAsksIsWrittenDown) {
  InSim([](rt::Runtime& runtime) {
    TestServer world(runtime);
    const auto alice =
        world.server().LocalClient({"alice", "u1", {"system:masters", "devs"}, {{"example.com/team", {"a", "b"}}}});
    const auto made = alice->Create(SigningRequests(), "", SigningRequest("c").root);
    ASSERT_TRUE(made.ok()) << made.status().message();
    const Value& spec = (*made)->tree().At("spec");
    EXPECT_EQ(spec.At("username").AsString(), "alice");
    EXPECT_EQ(spec.At("uid").AsString(), "u1");
    EXPECT_EQ(doc::ToJson(spec.At("groups")), R"(["system:masters","devs"])");
    EXPECT_EQ(doc::ToJson(spec.At("extra")), R"({"example.com/team":["a","b"]})");
    EXPECT_TRUE((*made)->tree().At("status").empty());
  });
}

TEST(SigningRequestTest, TheRequestMustBeSignedByItsKey) {
  InSim([](rt::Runtime& runtime) {
    TestServer world(runtime);
    std::string bytes = Base64Decode(kRequest).value();
    bytes[bytes.find("END") - 12] ^= 1;
    struct Case {
      std::string request;
      std::string_view why;
    };
    for (const Case& c : {Case{"", "Invalid value: \"\": PEM block type must be CERTIFICATE REQUEST"},
                          Case{Base64Encode("x"), "PEM block type must be CERTIFICATE REQUEST"},
                          Case{Base64Encode(bytes), "x509: ECDSA verification failure"}}) {
      const auto made = world.client().Create(SigningRequests(), "", SigningRequest("c", c.request).root);
      ASSERT_FALSE(made.ok());
      ASSERT_EQ(made.status().details().causes.size(), 1U) << made.status().message();
      EXPECT_EQ(made.status().details().causes[0].field, "spec.request");
      EXPECT_NE(made.status().message().find(c.why), std::string::npos) << made.status().message();
    }
  });
}

TEST(SigningRequestTest, ApprovalAndStatusChangeWhatIsTheirs) {
  InSim([](rt::Runtime& runtime) {
    TestServer world(runtime);
    client::Client& client = world.client();
    const auto made = client.Create(SigningRequests(), "", SigningRequest("c").root);
    ASSERT_TRUE(made.ok()) << made.status().message();
    const doc::Document approved =
        WithConditions((*made)->tree(), R"([{"type":"Approved","status":"True","reason":"r"}])");
    const auto by_status = client.Update(SigningRequests(), {"", "c"}, approved.root, "status");
    ASSERT_FALSE(by_status.ok());
    EXPECT_NE(by_status.status().message().find("updates may not add a condition of type \"Approved\""),
              std::string::npos);
    const auto by_object = client.Update(SigningRequests(), {"", "c"}, approved.root);
    ASSERT_TRUE(by_object.ok());
    EXPECT_TRUE((*by_object)->tree().At("status").empty());
    const auto done = client.Update(SigningRequests(), {"", "c"}, approved.root, "approval");
    ASSERT_TRUE(done.ok()) << done.status().message();
    const Value& condition = (*done)->tree().Get("status", "conditions")[0];
    EXPECT_TRUE(condition.At("lastUpdateTime").is_string());
    EXPECT_TRUE(condition.At("lastTransitionTime").is_string());
    const auto read = client.Get(SigningRequests(), {"", "c"}, "approval");
    ASSERT_TRUE(read.ok());
    EXPECT_EQ((*read)->tree().Get("status", "conditions").size(), 1U);

    doc::Document issued = doc::Document::Copy((*done)->tree());
    issued.root.Find("status")->Set(issued.arena, "certificate", Value::Borrow("eA=="));
    const auto garbage = client.Update(SigningRequests(), {"", "c"}, issued.root, "status");
    ASSERT_FALSE(garbage.ok());
    EXPECT_NE(garbage.status().message().find("must contain at least one CERTIFICATE PEM block"), std::string::npos);
  });
}

TEST(SigningRequestTest, AreFoundByTheirSigner) {
  InSim([](rt::Runtime& runtime) {
    TestServer world(runtime);
    ASSERT_TRUE(world.client().Create(SigningRequests(), "", SigningRequest("c").root).ok());
    client::ListOptions options;
    options.field_selector = "spec.signerName=example.com/s";
    const auto found = world.client().List(SigningRequests(), "", options);
    ASSERT_TRUE(found.ok()) << found.status().message();
    EXPECT_EQ(found->items.size(), 1U);
    options.field_selector = "spec.signerName!=example.com/s";
    EXPECT_TRUE(world.client().List(SigningRequests(), "", options)->items.empty());
  });
}

TEST(ExtensionTest, GenerationCountsChangesAndVersionsAreNeeded) {
  InSim([](rt::Runtime& runtime) {
    TestServer world(runtime);
    const api::KindInfo& kind = TestServer::Kind("ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1");
    const auto made = world.client().Create(
        kind, "",
        TestServer::Json(R"({"metadata":{"name":"w"},"webhooks":[{"name":"a.b.example.com","clientConfig":)"
                         R"({"url":"https://h/"},"sideEffects":"None","admissionReviewVersions":["v1"]}]})")
            .root);
    ASSERT_TRUE(made.ok()) << made.status().message();
    EXPECT_EQ((*made)->tree().Get("metadata", "generation").AsInt(), 1);
    doc::Document changed = doc::Document::Copy((*made)->tree());
    (*changed.root.Find("webhooks"))[0].Set(changed.arena, "timeoutSeconds", Value::Int(3));
    const auto updated = world.client().Update(kind, {"", "w"}, changed.root);
    ASSERT_TRUE(updated.ok()) << updated.status().message();
    EXPECT_EQ((*updated)->tree().Get("metadata", "generation").AsInt(), 2);
    changed.root.Find("metadata")->Remove("resourceVersion");
    const auto refused = world.client().Update(kind, {"", "w"}, changed.root);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.status().message().find("must be specified for an update"), std::string::npos);
  });
}

TEST(ExtensionTest, EveryClusterBeginsWithFlowSchemas) {
  InSim([](rt::Runtime& runtime) {
    TestServer world(runtime);
    const api::KindInfo& schemas = TestServer::Kind("FlowSchema", "flowcontrol.apiserver.k8s.io/v1");
    const api::KindInfo& levels = TestServer::Kind("PriorityLevelConfiguration", "flowcontrol.apiserver.k8s.io/v1");
    EXPECT_EQ(world.client().List(schemas, "", {})->items.size(), 11U);
    EXPECT_EQ(world.client().List(levels, "", {})->items.size(), 8U);
    const auto exempt = world.client().Get(schemas, {"", "exempt"});
    ASSERT_TRUE(exempt.ok());
    doc::Document changed = doc::Document::Copy((*exempt)->tree());
    changed.root.Find("spec")->Set(changed.arena, "matchingPrecedence", Value::Int(5));
    const auto refused = world.client().Update(schemas, {"", "exempt"}, changed.root);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.status().message().find("spec of 'exempt' must equal the fixed value"), std::string::npos);
  });
}

TEST(ExtensionTest, LocalApiServicesAreAvailable) {
  InSim([](rt::Runtime& runtime) {
    TestServer world(runtime);
    const api::KindInfo& kind = TestServer::Kind("APIService", "apiregistration.k8s.io/v1");
    const auto apps = world.client().Get(kind, {"", "v1.apps"});
    ASSERT_TRUE(apps.ok()) << apps.status().message();
    EXPECT_EQ((*apps)->tree().Get("status", "conditions")[0].At("status").AsString(), "True");
  });
}

TEST(DeviceTest, SlicesSayWhenTaintsCameAndDropWhatIsOff) {
  InSim([](rt::Runtime& runtime) {
    TestServer world(runtime);
    const auto made = world.client().Create(
        TestServer::Kind("ResourceSlice", "resource.k8s.io/v1"), "",
        TestServer::Json(R"({"metadata":{"name":"s"},"spec":{"driver":"d.example.com","allNodes":true,"pool":)"
                         R"({"name":"p","generation":1,"resourceSliceCount":1},"devices":[{"name":"d","attributes":)"
                         R"({"a":{"string":"x","ints":[1]}},"taints":[{"key":"k","effect":"NoSchedule"}]}]}})")
            .root);
    ASSERT_TRUE(made.ok()) << made.status().message();
    const Value& device = (*made)->tree().Get("spec", "devices")[0];
    EXPECT_TRUE(device.At("taints")[0].At("timeAdded").is_string());
    EXPECT_EQ(doc::ToJson(device.At("attributes")), R"({"a":{"string":"x"}})");
  });
}

TEST(DeviceTest, AdministratorsAccessNeedsTheNamespacesLabel) {
  InSim([](rt::Runtime& runtime) {
    TestServer world(runtime);
    const api::KindInfo& kind = TestServer::Kind("ResourceClaim", "resource.k8s.io/v1");
    const doc::Document claim = TestServer::Json(
        R"({"metadata":{"name":"c"},"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"x",)"
        R"("adminAccess":true}}]}}})");
    const auto refused = world.client().Create(kind, "default", claim.root);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.status().message().find("spec.devices.requests[0].adminAccess: Forbidden: admin access"),
              std::string::npos)
        << refused.status().message();
    ASSERT_TRUE(world
                    .Create("Namespace",
                            R"({"metadata":{"name":"adm","labels":{"resource.kubernetes.io/admin-access":"true"}}})")
                    .ok());
    EXPECT_TRUE(world.client().Create(kind, "adm", claim.root).ok());
  });
}

constexpr char kDefinition[] =
    R"({"metadata":{"name":"xs.g.example.com"},"spec":{"group":"g.example.com","scope":"Cluster",)"
    R"("names":{"plural":"xs","kind":"X"},"versions":[{"name":"v1","served":true,"storage":true,)"
    R"("schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":{)"
    R"("a":{"type":"string","default":"x","pattern":"^[a-z]$"}}}}}}}]}})";

TEST(DefinitionTest, SchemasAreCheckedAndAnUpdateNeedsNoMoreThanBefore) {
  InSim([](rt::Runtime& runtime) {
    TestServer world(runtime);
    const api::KindInfo& kind = TestServer::Kind("CustomResourceDefinition", "apiextensions.k8s.io/v1");
    const auto made = world.client().Create(kind, "", TestServer::Json(kDefinition).root);
    ASSERT_TRUE(made.ok()) << made.status().message();
    EXPECT_EQ(doc::ToJson((*made)->tree().Get("status", "storedVersions")), R"(["v1"])");
    EXPECT_EQ((*made)->tree().Get("spec", "names").At("listKind").AsString(), "XList");
    doc::Document changed = doc::Document::Copy((*made)->tree());
    Value& field = *(*changed.root.Find("spec")->Find("versions"))[0]
                        .Find("schema")
                        ->Find("openAPIV3Schema")
                        ->Find("properties")
                        ->Find("spec")
                        ->Find("properties")
                        ->Find("a");
    field.Set(changed.arena, "default", Value::Borrow("X"));
    const auto refused = world.client().Update(kind, {"", "xs.g.example.com"}, changed.root);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.status().message(),
              "CustomResourceDefinition.apiextensions.k8s.io \"xs.g.example.com\" is invalid: "
              "spec.validation.openAPIV3Schema.properties[spec].properties[a].default: Invalid value: \"X\":  in body "
              "should match '^[a-z]$'");
  });
}

// Schemas hold schemas: the deepest that a request's text can have must fit a fiber's stack.
TEST(DefinitionTest, DeepSchemasFitTheStack) {
  InSim([](rt::Runtime& runtime) {
    TestServer world(runtime);
    std::string schema = R"({"type":"object"})";
    for (int i = 0; i < 140; ++i) schema = R"({"not":)" + schema + "}";
    const auto made = world.client().Create(
        TestServer::Kind("CustomResourceDefinition", "apiextensions.k8s.io/v1"), "",
        TestServer::Json(R"({"metadata":{"name":"xs.g.example.com"},"spec":{"group":"g.example.com","scope":"Cluster",)"
                         R"("names":{"plural":"xs","kind":"X"},"versions":[{"name":"v1","served":true,"storage":true,)"
                         R"("schema":{"openAPIV3Schema":)" +
                         schema + "}}]}}")
            .root);
    EXPECT_FALSE(made.Failed(Reason::kInternalError)) << made.status().message();
  });
}

}  // namespace
}  // namespace knarr::apiserver
