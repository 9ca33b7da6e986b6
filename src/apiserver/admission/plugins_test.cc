// The small plugins, by tables.

#include "apiserver/admission/case.h"

namespace knarr::apiserver {
namespace {

std::string StorageClass(std::string_view name, std::string_view members = "", std::string_view annotation = "") {
  return R"({"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":")" + std::string(name) +
         R"(","annotations":{)" + std::string(annotation) + R"(}},"provisioner":"p")" + std::string(members) + "}";
}

std::string Claim(std::string_view spec) {
  return R"({"kind":"PersistentVolumeClaim","metadata":{"name":"v"},"spec":{"accessModes":["ReadWriteOnce"],)"
         R"("resources":{"requests":{"storage":"1Gi"}})" +
         std::string(spec) + "}}";
}

std::string Pod(std::string_view spec) {
  return R"({"kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}])" +
         std::string(spec) + "}}";
}

TEST(DefaultStorageClass, Cases) {
  const std::string other = StorageClass("a-other");
  const std::string marked = StorageClass("slow", "", R"("storageclass.kubernetes.io/is-default-class":"true")");
  const std::string plain = Claim("");
  const std::string none = Claim(R"(,"storageClassName":"")");
  const std::vector<AdmissionCase> cases = {
      {"none is marked", {other}, plain, "", {R"("kubernetes.io/pvc-protection")", R"("volumeMode":"Filesystem"})"}},
      {"one is marked", {other, marked}, plain, "", {R"("storageClassName":"slow")"}},
      {"asked for none", {marked}, none, "", {R"("storageClassName":"")"}},
  };
  for (const AdmissionCase& each : cases) RunAdmissionCase(each);
}

TEST(StorageObjectInUse, VolumesAreHeld) {
  RunAdmissionCase({"volume",
                    {},
                    R"({"kind":"PersistentVolume","metadata":{"name":"v"},"spec":{"capacity":{"storage":"1Gi"},)"
                    R"("accessModes":["ReadWriteOnce"],"hostPath":{"path":"/x"}}})",
                    "",
                    {R"("finalizers":["kubernetes.io/pv-protection"])"}});
}

TEST(ClaimResize, OnlyBoundClaimsOfAClassThatAllowsIt) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    client::Client& client = server.client();
    MUST(Put(client, StorageClass("fixed")));
    MUST(Put(client, StorageClass("grows", R"(,"allowVolumeExpansion":true)")));
    const api::KindInfo& kind = TestServer::Kind("PersistentVolumeClaim");
    const auto grow = [&](const char* size) {
      return client
          .Patch(kind, {"default", "v"}, client::PatchType::kMerge,
                 std::string(R"({"spec":{"resources":{"requests":{"storage":")") + size + R"("}}}})")
          .status();
    };
    const auto bind = [&] {
      MUST(
          client.Patch(kind, {"default", "v"}, client::PatchType::kMerge, R"({"status":{"phase":"Bound"}})", "status"));
    };
    MUST(Put(client, Claim(R"(,"storageClassName":"fixed","volumeName":"x")")));
    // Validation is asked first.
    EXPECT_TRUE(grow("2Gi").message().starts_with(
        "PersistentVolumeClaim \"v\" is invalid: spec: Forbidden: spec is immutable after creation except "
        "resources.requests and volumeAttributesClassName for bound claims\n"));
    bind();
    EXPECT_EQ(grow("2Gi").message(),
              "persistentvolumeclaims \"v\" is forbidden: only dynamically provisioned pvc can be resized and the "
              "storageclass that provisions the pvc must support resize");
    MUST(client.Delete(kind, {"default", "v"}));
    MUST(client.Patch(kind, {"default", "v"}, client::PatchType::kMerge, R"({"metadata":{"finalizers":null}})"));
    MUST(Put(client, Claim(R"(,"storageClassName":"grows","volumeName":"x")")));
    bind();
    EXPECT_TRUE(client
                    .Patch(kind, {"default", "v"}, client::PatchType::kMerge,
                           R"({"spec":{"resources":{"requests":{"storage":"2Gi"}}}})")
                    .ok());
  });
}

TEST(RuntimeClassAdmission, Cases) {
  constexpr std::string_view kClass =
      R"({"apiVersion":"node.k8s.io/v1","kind":"RuntimeClass","metadata":{"name":"vm"},"handler":"h",)"
      R"("overhead":{"podFixed":{"cpu":"100m"}},"scheduling":{"nodeSelector":{"vm":"yes"},)"
      R"("tolerations":[{"key":"vm","operator":"Exists"}]}})";
  const std::string plain = Pod(R"(,"runtimeClassName":"vm")");
  const std::string missing = Pod(R"(,"runtimeClassName":"none")");
  const std::string other = Pod(R"(,"runtimeClassName":"vm","overhead":{"cpu":"1"})");
  const std::string own = Pod(R"(,"overhead":{"cpu":"1"})");
  const std::string elsewhere = Pod(R"(,"runtimeClassName":"vm","nodeSelector":{"vm":"no"})");
  const std::vector<AdmissionCase> cases = {
      {"filled in",
       {kClass},
       plain,
       "",
       {R"("nodeSelector":{"vm":"yes"})", R"("overhead":{"cpu":"100m"})", R"({"key":"vm","operator":"Exists"})"}},
      {"no such class", {}, missing, "pods \"p\" is forbidden: pod rejected: RuntimeClass \"none\" not found", {}},
      {"another overhead",
       {kClass},
       other,
       "pods \"p\" is forbidden: pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
       {}},
      {"overhead without a class",
       {},
       own,
       "pods \"p\" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
       {}},
      {"another node",
       {kClass},
       elsewhere,
       "pods \"p\" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = "
       "no",
       {}},
  };
  for (const AdmissionCase& each : cases) RunAdmissionCase(each);
}

TEST(DefaultIngressClass, Cases) {
  constexpr std::string_view kClass =
      R"({"apiVersion":"networking.k8s.io/v1","kind":"IngressClass","metadata":{"name":"front","annotations":{)"
      R"("ingressclass.kubernetes.io/is-default-class":"true"}},"spec":{"controller":"a/b"}})";
  const auto ingress = [](std::string_view metadata) {
    return R"({"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"i")" + std::string(metadata) +
           R"(},"spec":{"defaultBackend":{"service":{"name":"s","port":{"number":80}}}}})";
  };
  const std::string plain = ingress("");
  const std::string old = ingress(R"(,"annotations":{"kubernetes.io/ingress.class":"x"})");
  RunAdmissionCase({"default", {kClass}, plain, "", {R"("ingressClassName":"front")"}});
  RunAdmissionCase({"named the old way", {kClass}, old, "", {R"("spec":{"defaultBackend")"}});
}

TEST(Nodes, TaintsAndTopologyLabels) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    client::Client& client = server.client();
    const auto node = MUST(Put(client, R"({"kind":"Node","metadata":{"name":"n","labels":{)"
                                       R"("topology.kubernetes.io/zone":"z1","other":"x"}}})"));
    EXPECT_NE(node->json().find(R"("taints":[{"key":"node.kubernetes.io/not-ready","effect":"NoSchedule"}])"),
              std::string::npos)
        << node->json();
    MUST(Put(client, Pod("")));
    const doc::Document binding = TestServer::Json(R"({"metadata":{"name":"p"},"target":{"kind":"Node","name":"n"}})");
    MUST(client.CreateSub(TestServer::Kind("Pod"), {"default", "p"}, "binding", binding.root));
    const auto pod = MUST(client.Get(TestServer::Kind("Pod"), {"default", "p"}));
    EXPECT_EQ(pod->tree().Get("metadata", "labels", "topology.kubernetes.io/zone").AsString(), "z1");
    EXPECT_TRUE(pod->tree().Get("metadata", "labels", "other").is_null());
  });
}

TEST(CertificateSubjectRestriction, NobodyBecomesAMaster) {
  // openssl req -new -newkey ed25519 -subj /O=system:masters/CN=me
  constexpr std::string_view kRequest =
      "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHbE1Ga0NBUUF3SmpFWE1CVUdBMVVFQ2d3T2MzbHpkR1Z0T20x"
      "aGMzUmxjbk14Q3pBSkJnTlZCQU1NQW0xbApNQ293QlFZREsyVndBeUVBT2psbndJTTVVQXhvVW91UG1aSG9VdlZzVmdkZDhnMWZD"
      "eHlJRUQyVXNBeWdBREFGCkJnTXJaWEFEUVFBdGJHc3NBOEhpYTJGUXN4V05VcVVxRTY0clJEMng3RjVCWjJjVXM2NXhzczlUcWtJ"
      "MC9iOFUKdjE5Ull2VWsrS1FWSjdYeWRFbm9ObmFTMkxFa1liOEoKLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==";
  const std::string object =
      R"({"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest","metadata":{"name":"c"},"spec":{)"
      R"("signerName":"kubernetes.io/kube-apiserver-client","usages":["client auth"],"request":")" +
      std::string(kRequest) + R"("}})";
  RunAdmissionCase({"masters",
                    {},
                    object,
                    "certificatesigningrequests.certificates.k8s.io \"c\" is forbidden: use of "
                    "kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed",
                    {}});
}

}  // namespace
}  // namespace knarr::apiserver
