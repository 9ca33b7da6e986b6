#include "apiserver/admission/pod_security.h"

#include <fstream>

#include "apiserver/admission/admission.h"
#include "apiserver/admission/case.h"

namespace knarr::apiserver {
namespace {

std::string Pod(std::string_view spec, std::string_view container = "", std::string_view metadata = "") {
  return R"({"kind":"Pod","metadata":{"name":"p")" + std::string(metadata) +
         R"(},"spec":{"containers":[{"name":"c","image":"i")" + std::string(container) + "}]" + std::string(spec) +
         "}}";
}

std::string Details(std::string_view policy, const std::string& pod) {
  PodSecurityPolicy wanted;
  const size_t colon = policy.find(':');
  wanted.level = MUST(ParsePodSecurityLevel(policy.substr(0, colon)));
  wanted.minor = MUST(ParsePodSecurityVersion(policy.substr(colon + 1)));
  const doc::Document object = MUST(doc::ParseJson(pod));
  return ViolationDetails(CheckPodSecurity(wanted, object.root.At("metadata"), object.root.At("spec")));
}

struct RuleCase {
  std::string_view policy;
  std::string pod;
  std::string_view details;
};

constexpr std::string_view kGood =
    R"(,"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]},"runAsNonRoot":true,)"
    R"("seccompProfile":{"type":"RuntimeDefault"}})";

TEST(PodSecurityRules, Baseline) {
  const RuleCase cases[] = {
      {"baseline:latest", Pod(""), ""},
      {"baseline:latest", Pod(R"(,"hostNetwork":true,"hostPID":true)"),
       "host namespaces (hostNetwork=true, hostPID=true)"},
      {"baseline:latest", Pod(R"(,"volumes":[{"name":"v","hostPath":{"path":"/"}}])"),
       "hostPath volumes (volume \"v\")"},
      {"baseline:latest", Pod("", R"(,"ports":[{"containerPort":80,"hostPort":80}])"),
       "hostPort (container \"c\" uses hostPort 80)"},
      {"baseline:latest", Pod("", R"(,"securityContext":{"privileged":true,"capabilities":{"add":["NET_ADMIN"]}})"),
       "non-default capabilities (container \"c\" must not include \"NET_ADMIN\" in "
       "securityContext.capabilities.add), privileged (container \"c\" must not set "
       "securityContext.privileged=true)"},
      {"baseline:v1.33", Pod("", R"(,"livenessProbe":{"httpGet":{"host":"h","port":1}})"), ""},
      {"baseline:v1.34", Pod("", R"(,"livenessProbe":{"httpGet":{"host":"h","port":1}})"),
       "probe or lifecycle host (container \"c\" uses probe or lifecycle host \"h\")"},
      {"baseline:v1.26", Pod(R"(,"securityContext":{"sysctls":[{"name":"net.ipv4.ip_local_reserved_ports"}]})"),
       "forbidden sysctls (net.ipv4.ip_local_reserved_ports)"},
      {"baseline:v1.27", Pod(R"(,"securityContext":{"sysctls":[{"name":"net.ipv4.ip_local_reserved_ports"}]})"), ""},
      {"baseline:latest", Pod(R"(,"securityContext":{"seLinuxOptions":{"type":"x","user":"u"}})"),
       "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type \"x\"; user may not be set)"},
      {"baseline:latest", Pod(R"(,"securityContext":{"appArmorProfile":{"type":"Unconfined"}})"),
       "forbidden AppArmor profile (pod must not set AppArmor profile type to \"Unconfined\")"},
      {"baseline:v1.18", Pod("", "", R"(,"annotations":{"seccomp.security.alpha.kubernetes.io/pod":"unconfined"})"),
       "seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod=\"unconfined\")"},
      {"baseline:latest", Pod("", R"(,"securityContext":{"procMount":"Unmasked"})"),
       "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\")"},
      {"baseline:latest", Pod(R"(,"hostUsers":false)", R"(,"securityContext":{"procMount":"Unmasked"})"), ""},
      {"baseline:latest", Pod(R"(,"securityContext":{"windowsOptions":{"hostProcess":true}})"),
       "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)"},
      {"privileged:latest", Pod(R"(,"hostNetwork":true)"), ""},
  };
  for (const RuleCase& each : cases) EXPECT_EQ(Details(each.policy, each.pod), each.details) << each.pod;
}

TEST(PodSecurityRules, Restricted) {
  const RuleCase cases[] = {
      {"restricted:latest", Pod("", kGood), ""},
      {"restricted:latest", Pod(""),
       "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), "
       "unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot "
       "!= true (pod or container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "
       "\"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"},
      {"restricted:v1.7", Pod(""),
       "runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true)"},
      {"restricted:latest", Pod(R"(,"volumes":[{"name":"v","hostPath":{"path":"/"}},{"name":"n","nfs":{}}])", kGood),
       "restricted volume types (volumes \"v\", \"n\" use restricted volume types \"hostPath\", \"nfs\")"},
      {"restricted:latest", Pod(R"(,"securityContext":{"runAsUser":0})", kGood),
       "runAsUser=0 (pod must not set runAsUser=0)"},
      {"restricted:v1.22", Pod(R"(,"securityContext":{"runAsUser":0})", kGood), ""},
      {"restricted:latest", Pod(R"(,"os":{"name":"windows"},"securityContext":{"runAsNonRoot":true})"), ""},
      {"restricted:latest", Pod(R"(,"securityContext":{"runAsNonRoot":false})", kGood),
       "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)"},
      {"restricted:latest", Pod(R"(,"hostNetwork":true)", kGood), "host namespaces (hostNetwork=true)"},
  };
  for (const RuleCase& each : cases) EXPECT_EQ(Details(each.policy, each.pod), each.details) << each.pod;
}

// With Kubernetes 1.36.3's own evaluator.
TEST(PodSecurityRules, AsKubernetesDecides) {
  std::ifstream in(KNARR_SOURCE_DIR "/tests/golden/admission/pod_security.jsonl");
  std::string line;
  int cases = 0;
  while (std::getline(in, line)) {
    const doc::Document each = MUST(doc::ParseJson(line));
    const std::string policy =
        std::string(each.root.At("level").AsString()) + ":" + std::string(each.root.At("version").AsString());
    EXPECT_EQ(Details(policy, doc::ToJson(each.root.At("pod"))), each.root.At("details").AsString()) << line;
    ++cases;
  }
  EXPECT_EQ(cases, 300);
}

TEST(PodSecurityRules, LevelsAndVersions) {
  EXPECT_EQ(ParsePodSecurityLevel("strict").status().message(), "must be one of privileged, baseline, restricted");
  for (const char* bad : {"", "1.2", "v1", "v1.", "v1.x", "v1.01", "v2.1", "v1.99999999999999999999"}) {
    EXPECT_EQ(ParsePodSecurityVersion(bad).status().message(), "must be \"latest\" or \"v1.x\"") << bad;
  }
  EXPECT_EQ((PodSecurityPolicy{PodSecurityLevel::kBaseline, 25}.Text()), "baseline:v1.25");
}

std::string Space(std::string_view labels) {
  return R"({"kind":"Namespace","metadata":{"name":"strict","labels":{)" + std::string(labels) + "}}}";
}
std::string InStrict(std::string_view object) {
  std::string out(object);
  out.insert(out.find(R"("name":"p")"), R"("namespace":"strict",)");
  return out;
}

TEST(PodSecurity, EnforcedByLabels) {
  const std::string space = Space(R"("pod-security.kubernetes.io/enforce":"baseline")");
  const std::string bad = InStrict(Pod(R"(,"hostNetwork":true)"));
  const std::string good = InStrict(Pod(""));
  const std::string account = R"({"kind":"ServiceAccount","metadata":{"name":"default","namespace":"strict"}})";
  RunAdmissionCase({"refused",
                    {space, account},
                    bad,
                    "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces "
                    "(hostNetwork=true)",
                    {}});
  RunAdmissionCase({"admitted", {space, account}, good, "", {}});
  const std::string wrong = Space(R"("pod-security.kubernetes.io/enforce":"strict")");
  RunAdmissionCase({"wrong label",
                    {},
                    wrong,
                    "Namespace \"strict\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid "
                    "value: \"strict\": must be one of privileged, baseline, restricted",
                    {}});
}

TEST(PodSecurity, DefaultsAndExemptions) {
  ApiServerOptions options;
  options.admission.configuration["PodSecurity"] = R"(
apiVersion: pod-security.admission.config.k8s.io/v1
kind: PodSecurityConfiguration
defaults: {enforce: baseline, enforce-version: v1.30}
exemptions: {namespaces: [kube-system], runtimeClasses: [vm]}
)";
  const std::string bad = Pod(R"(,"hostNetwork":true)");
  RunAdmissionCase({"default",
                    {},
                    bad,
                    "pods \"p\" is forbidden: violates PodSecurity \"baseline:v1.30\": host namespaces "
                    "(hostNetwork=true)",
                    {}},
                   options);
  std::string exempt = bad;
  exempt.insert(exempt.find(R"("name":"p")"), R"("namespace":"kube-system",)");
  RunAdmissionCase({"exempt namespace", {}, exempt, "", {}}, options);
  options.admission.configuration["PodSecurity"] = "kind: Other";
  EXPECT_EQ(AdmissionChain::Create(options.admission).status().message(),
            "PodSecurity: no kind \"Other\" is registered for version \"\"");
}

}  // namespace
}  // namespace knarr::apiserver
