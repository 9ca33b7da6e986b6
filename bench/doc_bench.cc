// How fast trees are read and written: one JSON line per figure, in megabytes of text a second.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>

#include "doc/json.h"
#include "doc/yaml.h"

namespace knarr {
namespace {

// A pod as a cluster stores it: about 5 KB, status and managed fields included.
std::string PodJson(int number) {
  const std::string name = "web-7d4b9c6f5d-" + std::to_string(100000 + number);
  const std::string time = "\"2026-11-21T03:00:00Z\"";
  std::string conditions;
  for (const char* type : {"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"}) {
    if (!conditions.empty()) conditions += ',';
    conditions += std::string(R"({"type":")") + type +
                  R"(","status":"True","lastProbeTime":null,"lastTransitionTime":)" + time + "}";
  }
  std::string containers;
  std::string statuses;
  for (const char* container : {"app", "proxy"}) {
    if (!containers.empty()) containers += ',', statuses += ',';
    containers +=
        std::string(R"({"name":")") + container + R"(","image":"registry.example.com/team/)" + container +
        R"(:1.25.3","ports":[{"name":"http","containerPort":8080,"protocol":"TCP"}],"env":[{"name":"POD_NAME",)"
        R"("valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.name"}}},{"name":"MESSAGE",)"
        R"("value":"say \"hello\" to <all>"}],"resources":{"limits":{"cpu":"500m","memory":"128Mi"},"requests":)"
        R"({"cpu":"100m","memory":"64Mi"}},"volumeMounts":[{"name":"data","mountPath":"/data"},{"name":)"
        R"("kube-api-access-x7k2p","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],)"
        R"("livenessProbe":{"httpGet":{"path":"/healthz","port":8080,"scheme":"HTTP"},"initialDelaySeconds":3,)"
        R"("timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3},)"
        R"("terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File",)"
        R"("imagePullPolicy":"IfNotPresent"})";
    statuses += std::string(R"({"name":")") + container + R"(","state":{"running":{"startedAt":)" + time +
                R"(}},"lastState":{},"ready":true,"restartCount":0,"image":"registry.example.com/team/)" + container +
                R"(:1.25.3","imageID":"registry.example.com/team/app@sha256:)" + std::string(64, 'a') +
                R"(","containerID":"containerd://)" + std::string(64, 'b') + R"(","started":true})";
  }
  return R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":")" + name +
         R"(","generateName":"web-7d4b9c6f5d-","namespace":"default","uid":"0d5a6c1e-4f3b-4c55-9a83-6b6f0a1b2c3d",)"
         R"("resourceVersion":"123456","creationTimestamp":)" +
         time +
         R"(,"labels":{"app":"web","pod-template-hash":"7d4b9c6f5d","tier":"frontend"},"annotations":{"note":"한국어 글"},)"
         R"("ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-7d4b9c6f5d","uid":)"
         R"("1a2b3c4d-0000-4000-8000-123456789abc","controller":true,"blockOwnerDeletion":true}],"managedFields":[{)"
         R"("manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":)" +
         time +
         R"(,"fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:generateName":{},"f:labels":{".":{},"f:app":{},)"
         R"("f:pod-template-hash":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"1a2b3c4d\"}":{}}},"f:spec":{)"
         R"("f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:image":{},"f:imagePullPolicy":{},"f:name":{},)"
         R"("f:resources":{}}},"f:dnsPolicy":{},"f:restartPolicy":{}}}}]},"spec":{"volumes":[{"name":"data",)"
         R"("emptyDir":{}},)"
         R"({"name":"kube-api-access-x7k2p","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,)"
         R"("path":"token"}},{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}}],)"
         R"("defaultMode":420}}],"containers":[)" +
         containers +
         R"(],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst",)"
         R"("serviceAccountName":"default","nodeName":"node-17","securityContext":{},)"
         R"("schedulerName":"default-scheduler",)"
         R"("tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute",)"
         R"("tolerationSeconds":300}],"priority":0,"enableServiceLinks":true,)"
         R"("preemptionPolicy":"PreemptLowerPriority"},)"
         R"("status":{"phase":"Running","conditions":[)" +
         conditions + R"(],"hostIP":"192.168.10.17","podIP":"10.42.3.19","startTime":)" + time +
         R"(,"containerStatuses":[)" + statuses + R"(],"qosClass":"Burstable"}})";
}

std::string PodListJson(size_t bytes) {
  std::string out = R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"99"},"items":[)";
  for (int i = 0; out.size() < bytes; ++i) out += (i == 0 ? "" : ",") + PodJson(i);
  return out + "]}";
}

// The best of several runs of at least 0.1 s each.
void Report(const char* name, size_t bytes, const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  for (int run = 0; run < 7; ++run) {
    size_t rounds = 0;
    const auto begin = Clock::now();
    double seconds = 0;
    while (seconds < 0.1) {
      work();
      ++rounds;
      seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    }
    best = std::max(best, static_cast<double>(bytes * rounds) / seconds / 1e6);
  }
  std::printf("{\"bench\":\"doc\",\"name\":\"%s\",\"bytes\":%zu,\"value\":%.1f,\"unit\":\"MB/s\"}\n", name, bytes,
              best);
  std::fflush(stdout);
}

void Json(const std::string& name, const std::string& text) {
  Report(("json_parse_" + name).c_str(), text.size(), [&] {
    if (!doc::ParseJson(text).ok()) std::abort();
  });
  Report(("json_parse_borrowing_" + name).c_str(), text.size(), [&] {
    doc::Arena arena;
    if (!doc::ParseJsonBorrowing(text, arena).ok()) std::abort();
  });
  const doc::Document document = std::move(doc::ParseJson(text)).value();
  std::string out;
  Report(("json_write_" + name).c_str(), text.size(), [&] {
    out.clear();
    doc::WriteJson(document.root, out);
  });
}

void Yaml(const std::string& name, const std::string& json) {
  const doc::Document document = std::move(doc::ParseJson(json)).value();
  const std::string text = doc::ToYaml(document.root);
  Report(("yaml_parse_" + name).c_str(), text.size(), [&] {
    if (!doc::ParseYaml(text).ok()) std::abort();
  });
  std::string out;
  Report(("yaml_write_" + name).c_str(), text.size(), [&] {
    out.clear();
    doc::WriteYaml(document.root, out);
  });
}

}  // namespace
}  // namespace knarr

int main() {
  knarr::Json("pod", knarr::PodJson(1));
  knarr::Json("list_50mb", knarr::PodListJson(50'000'000));
  knarr::Yaml("pod", knarr::PodJson(1));
  knarr::Yaml("list_5mb", knarr::PodListJson(5'000'000));
  return 0;
}
