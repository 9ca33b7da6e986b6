#include "apiserver/admission/admission.h"

#include "apiserver/admission/case.h"

namespace knarr::apiserver {
namespace {

TEST(AdmissionChain, FlagsSwitchPlugins) {
  const auto all = MUST(AdmissionChain::Create({}));
  EXPECT_EQ(all->names().front(), "NamespaceLifecycle");
  EXPECT_EQ(all->names().back(), "ResourceQuota");
  AdmissionOptions options;
  options.disable = {"LimitRanger"};
  const auto fewer = MUST(AdmissionChain::Create(options));
  EXPECT_EQ(fewer->names().size() + 1, all->names().size());
  options.enable = {"LimitRanger"};
  EXPECT_EQ(AdmissionChain::Create(options).status().message(),
            "[LimitRanger] in enable-admission-plugins and disable-admission-plugins overlapped");
  options.enable = {"Nope"};
  EXPECT_EQ(AdmissionChain::Create(options).status().message(), "enable-admission-plugins plugin \"Nope\" is unknown");
  options = {};
  options.disable = {"Nope"};
  EXPECT_EQ(AdmissionChain::Create(options).status().message(), "disable-admission-plugins plugin \"Nope\" is unknown");
}

TEST(NamespaceLifecycle, NothingNewInANamespaceThatGoes) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    ASSERT_TRUE(server.Create("Namespace", R"({"metadata":{"name":"going"}})").ok());
    ASSERT_TRUE(server.Create("ConfigMap", R"({"metadata":{"name":"a"}})", "going").ok());
    ASSERT_TRUE(server.client().Delete(TestServer::Kind("Namespace"), {"", "going"}).ok());
    const auto late = server.Create("ConfigMap", R"({"metadata":{"name":"b"}})", "going");
    EXPECT_EQ(late.status().message(),
              "configmaps \"b\" is forbidden: unable to create new content in namespace going because it is being "
              "terminated");
    ASSERT_EQ(late.status().details().causes.size(), 1U);
    EXPECT_EQ(late.status().details().causes[0].type, "NamespaceTerminating");
    // What is there can still change.
    auto present = doc::Document::Copy((*server.client().Get(TestServer::Kind("ConfigMap"), {"going", "a"}))->tree());
    present.root.Ensure(present.arena, "data").Set(present.arena, "k", doc::Value::Borrow("v"));
    EXPECT_TRUE(server.client().Update(TestServer::Kind("ConfigMap"), {"going", "a"}, present.root).ok());
    const auto named = server.Create("Pod", R"({"metadata":{"generateName":"x-"},"spec":{"containers":[]}})", "none");
    EXPECT_EQ(named.status().message(), "namespaces \"none\" not found");
  });
}

// The deletion is on its way to the disk, and not to be seen yet, when the other request is admitted.
TEST(NamespaceLifecycle, NothingSlipsInBehindADeletion) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime, {}, store::OpenMemory(runtime, std::chrono::milliseconds(10)));
    ASSERT_TRUE(server.Create("Namespace", R"({"metadata":{"name":"going"}})").ok());
    rt::TaskGroup group(runtime, "deletes");
    group.Spawn("delete",
                [&] { ASSERT_TRUE(server.client().Delete(TestServer::Kind("Namespace"), {"", "going"}).ok()); });
    MUST(runtime.Sleep(std::chrono::milliseconds(3)));
    const auto space = server.client().Get(TestServer::Kind("Namespace"), {"", "going"});
    ASSERT_TRUE(space.ok() && !(*space)->deleting());
    const auto late = server.Create("ConfigMap", R"({"metadata":{"name":"a"}})", "going");
    ASSERT_TRUE(late.Failed(Reason::kForbidden));
    EXPECT_EQ(late.status().details().causes.at(0).type, "NamespaceTerminating");
    group.Join();
  });
}

TEST(NamespaceLifecycle, OffMeansOff) {
  InSim([](rt::Runtime& runtime) {
    ApiServerOptions options;
    options.admission.disable = {"NamespaceLifecycle"};
    TestServer server(runtime, options);
    EXPECT_TRUE(server.Create("ConfigMap", R"({"metadata":{"name":"a"}})", "none").ok());
  });
}

constexpr std::string_view kPod =
    R"({"kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}})";

TEST(ServiceAccountAdmission, Cases) {
  const std::vector<AdmissionCase> cases = {
      {"default account, token volume",
       {},
       kPod,
       "",
       {R"("serviceAccountName":"default")", R"("name":"kube-api-access-)",
        R"("projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},)"
        R"({"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}},)"
        R"({"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"apiVersion":"v1",)"
        R"("fieldPath":"metadata.namespace"}}]}}],"defaultMode":420})",
        R"("readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount")"}},
      {"no such account",
       {},
       R"({"kind":"Pod","metadata":{"name":"p"},"spec":{"serviceAccountName":"x",)"
       R"("containers":[{"name":"c","image":"i"}]}})",
       "pods \"p\" is forbidden: error looking up service account default/x: serviceaccount \"x\" not found",
       {}},
      {"pull secrets are the account's",
       {R"({"kind":"ServiceAccount","metadata":{"name":"x"},"imagePullSecrets":[{"name":"pull"}],)"
        R"("automountServiceAccountToken":false})"},
       R"({"kind":"Pod","metadata":{"name":"p"},"spec":{"serviceAccountName":"x",)"
       R"("containers":[{"name":"c","image":"i"}]}})",
       "",
       {R"("imagePullSecrets":[{"name":"pull"}])", R"("containers":[{"name":"c","image":"i","resources":{},"term)"}},
      {"the account's older name",
       {R"({"kind":"ServiceAccount","metadata":{"name":"x"}})"},
       R"({"kind":"Pod","metadata":{"name":"p"},"spec":{"serviceAccount":"x",)"
       R"("containers":[{"name":"c","image":"i"}]}})",
       "",
       {R"("serviceAccountName":"x","serviceAccount":"x")"}},
      {"secrets the account does not list",
       {R"({"kind":"ServiceAccount","metadata":{"name":"x","annotations":{)"
        R"("kubernetes.io/enforce-mountable-secrets":"true"}},"secrets":[{"name":"mine"}]})"},
       R"({"kind":"Pod","metadata":{"name":"p"},"spec":{"serviceAccountName":"x",)"
       R"("containers":[{"name":"c","image":"i",)"
       R"("envFrom":[{"secretRef":{"name":"mine"}},{"secretRef":{"name":"yours"}}]}]}})",
       "pods \"p\" is forbidden: container c with envFrom referencing secret.secretName=\"yours\" is not allowed "
       "because service account x does not reference that secret",
       {}},
      {"mirror pods have no account",
       {},
       R"({"kind":"Pod","metadata":{"name":"p","annotations":{"kubernetes.io/config.mirror":"h"}},"spec":{)"
       R"("nodeName":"n","serviceAccountName":"default","containers":[{"name":"c","image":"i"}]}})",
       "pods \"p\" is forbidden: a mirror pod may not reference service accounts",
       {}},
  };
  for (const AdmissionCase& each : cases) RunAdmissionCase(each);
}

TEST(ServiceAccountAdmission, AMountOfOnesOwnStays) {
  RunAdmissionCase({"own mount",
                    {},
                    R"({"kind":"Pod","metadata":{"name":"p"},"spec":{"volumes":[{"name":"own","emptyDir":{}}],)"
                    R"("containers":[{"name":"c","image":"i","volumeMounts":[{"name":"own",)"
                    R"("mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}]}]}})",
                    "",
                    {R"("volumes":[{"name":"own","emptyDir":{}}],"containers")"}});
}

TEST(PriorityAdmission, Cases) {
  constexpr std::string_view kHigh =
      R"({"apiVersion":"scheduling.k8s.io/v1","kind":"PriorityClass","metadata":{"name":"high"},"value":1000})";
  constexpr std::string_view kNormal =
      R"({"apiVersion":"scheduling.k8s.io/v1","kind":"PriorityClass","metadata":{"name":"normal"},"value":7,)"
      R"("globalDefault":true,"preemptionPolicy":"Never"})";
  const auto pod = [](std::string_view members) {
    return std::string(R"({"kind":"Pod","metadata":{"name":"p"},"spec":{)") + std::string(members) +
           R"(,"containers":[{"name":"c","image":"i"}]}})";
  };
  const std::string high = pod(R"("priorityClassName":"high")");
  const std::string wrong = pod(R"("priorityClassName":"high","priority":5)");
  const std::string unknown = pod(R"("priorityClassName":"low")");
  const std::string policy = pod(R"("preemptionPolicy":"PreemptLowerPriority")");
  const std::string critical = pod(R"("priorityClassName":"system-node-critical")");
  const std::vector<AdmissionCase> cases = {
      {"none", {}, kPod, "", {R"("priority":0)", R"("preemptionPolicy":"PreemptLowerPriority")"}},
      {"class", {kHigh}, high, "", {R"("priorityClassName":"high","priority":1000)"}},
      {"default class", {kNormal}, kPod, "", {R"("priorityClassName":"normal","priority":7)", R"("Never")"}},
      {"made at bootstrap", {}, critical, "", {R"("priority":2000001000)"}},
      {"no such class", {}, unknown, "pods \"p\" is forbidden: no PriorityClass with name low was found", {}},
      {"another number",
       {kHigh},
       wrong,
       "pods \"p\" is forbidden: the integer value of priority (5) must not be provided in pod spec; priority "
       "admission controller computed 1000 from the given PriorityClass name",
       {}},
      {"another policy",
       {kNormal},
       policy,
       "pods \"p\" is forbidden: the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in "
       "pod spec; priority admission controller computed Never from the given PriorityClass name",
       {}},
      {"one default",
       {kNormal},
       R"({"apiVersion":"scheduling.k8s.io/v1","kind":"PriorityClass","metadata":{"name":"b"},)"
       R"("value":1,"globalDefault":true})",
       "priorityclasses.scheduling.k8s.io \"b\" is forbidden: PriorityClass normal is already marked as default. Only "
       "one default can exist",
       {}},
  };
  for (const AdmissionCase& each : cases) RunAdmissionCase(each);
}

TEST(DefaultTolerationSeconds, AddsWhatIsNotThere) {
  RunAdmissionCase({"both",
                    {},
                    kPod,
                    "",
                    {R"({"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute",)"
                     R"("tolerationSeconds":300})"}});
  RunAdmissionCase(
      {"one",
       {},
       R"({"kind":"Pod","metadata":{"name":"p"},"spec":{"tolerations":[{"key":"node.kubernetes.io/not-ready",)"
       R"("operator":"Exists"}],"containers":[{"name":"c","image":"i"}]}})",
       "",
       {R"("tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists"},)"
        R"({"key":"node.kubernetes.io/unreachable")"}});
}

}  // namespace
}  // namespace knarr::apiserver
