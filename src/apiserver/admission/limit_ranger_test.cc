#include "apiserver/admission/limit_ranger.h"

#include <algorithm>
#include <fstream>

#include "api/defaulting.h"
#include "api/resource_list.h"
#include "apiserver/admission/case.h"

namespace knarr::apiserver {
namespace {

std::string Range(std::string_view limits) {
  return std::string(R"({"kind":"LimitRange","metadata":{"name":"r"},"spec":{"limits":[)") + std::string(limits) +
         "]}}";
}

std::string Pod(std::string_view resources) {
  return std::string(
             R"({"kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i","resources":)") +
         std::string(resources) + "}]}}";
}

std::string Claim(std::string_view storage) {
  return std::string(
             R"({"kind":"PersistentVolumeClaim","metadata":{"name":"v"},"spec":{"accessModes":["ReadWriteOnce"],)") +
         R"("resources":{"requests":{"storage":")" + std::string(storage) + R"("}}}})";
}

TEST(LimitRanger, Cases) {
  const std::string bounds =
      Range(R"({"type":"Container","min":{"cpu":"50m"},"max":{"cpu":"1"},"maxLimitRequestRatio":{"cpu":"2"}})");
  const std::string defaults = Range(R"({"type":"Container","default":{"cpu":"500m","memory":"1Gi"},)"
                                     R"("defaultRequest":{"cpu":"250m"},"max":{"cpu":"2"}})");
  const std::string whole = Range(R"({"type":"Pod","max":{"memory":"1Gi"}})");
  const std::string storage =
      Range(R"({"type":"PersistentVolumeClaim","min":{"storage":"1Gi"},"max":{"storage":"5Gi"}})");
  const std::string fits = Pod(R"({"requests":{"cpu":"500m"},"limits":{"cpu":"1"}})");
  const std::string little = Pod(R"({"requests":{"cpu":"10m"},"limits":{"cpu":"20m"}})");
  const std::string much = Pod(R"({"requests":{"cpu":"1"},"limits":{"cpu":"1500m"}})");
  const std::string steep = Pod(R"({"requests":{"cpu":"100m"},"limits":{"cpu":"1"}})");
  const std::string nothing = Pod("{}");
  const std::string fat = Pod(R"({"limits":{"memory":"2Gi"}})");
  const std::string small = Claim("512Mi");
  const std::string large = Claim("6Gi");
  const std::vector<AdmissionCase> cases = {
      {"fits", {bounds}, fits, "", {}},
      {"too little",
       {bounds},
       little,
       "pods \"p\" is forbidden: minimum cpu usage per Container is 50m, but request is 10m",
       {}},
      {"too much",
       {bounds},
       much,
       "pods \"p\" is forbidden: maximum cpu usage per Container is 1, but limit is 1500m",
       {}},
      {"ratio",
       {bounds},
       steep,
       "pods \"p\" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 10.000000",
       {}},
      {"nothing said", {bounds}, nothing, "", {}},
      {"defaults",
       {defaults},
       nothing,
       "",
       {R"("resources":{"limits":{"cpu":"500m","memory":"1Gi"},"requests":{"cpu":"250m","memory":"1Gi"}})",
        R"("kubernetes.io/limit-ranger":"LimitRanger plugin set: cpu,)"
        R"( memory request for container c; cpu, memory limit for container c")"}},
      {"whole pod", {whole}, fat, "pods \"p\" is forbidden: maximum memory usage per Pod is 1Gi, but limit is 2Gi", {}},
      {"small claim",
       {storage},
       small,
       "persistentvolumeclaims \"v\" is forbidden: minimum storage usage per PersistentVolumeClaim is 1Gi, but request "
       "is 512Mi",
       {}},
      {"large claim",
       {storage},
       large,
       "persistentvolumeclaims \"v\" is forbidden: maximum storage usage per PersistentVolumeClaim is 5Gi, but request "
       "is 6Gi",
       {}},
  };
  for (const AdmissionCase& each : cases) RunAdmissionCase(each);
}

// With Kubernetes 1.36.3's own plugin (tests/golden/admission/quota.jsonl has pods with LimitRanges).
TEST(LimitRanger, AsKubernetesDoesIt) {
  std::ifstream in(KNARR_SOURCE_DIR "/tests/golden/admission/quota.jsonl");
  std::string line;
  int cases = 0;
  while (std::getline(in, line)) {
    doc::Document each = MUST(doc::ParseJson(line));
    const doc::Value& want = each.root.At("want");
    if (want.At("problems").is_null()) continue;
    SCOPED_TRACE(line);
    ++cases;
    api::ApplyDefaults(*TestServer::Kind("LimitRange").type, *each.root.Find("range"), each.arena);
    const doc::Value& limits = std::as_const(each.root).Get("range", "spec", "limits");
    doc::Document pod = doc::Document::Copy(each.root.At("object"));
    ApplyLimitDefaults(limits, pod);
    EXPECT_EQ(pod.root.Get("metadata", "annotations", "kubernetes.io/limit-ranger").AsString(),
              want.At("note").AsString());
    const auto containers = std::as_const(pod.root).Get("spec", "containers").items();
    for (size_t i = 0; i < containers.size(); ++i) {
      for (const char* side : {"requests", "limits"}) {
        EXPECT_EQ(api::ResourcesText(api::ReadResources(containers[i].Get("resources", side))),
                  api::ResourcesText(api::ReadResources(want.At("resources")[i].At(side))));
      }
    }
    std::vector<std::string> problems = PodLimitProblems(limits, pod.root);
    std::ranges::sort(problems);
    std::vector<std::string> wanted;
    for (const doc::Value& problem : want.At("problems").items()) wanted.emplace_back(problem.AsString());
    EXPECT_EQ(problems, wanted);
  }
  EXPECT_GT(cases, 100);
}

}  // namespace
}  // namespace knarr::apiserver
