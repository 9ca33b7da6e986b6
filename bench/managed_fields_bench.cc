// What keeping track of fields costs: microseconds an operation, on one thread. One JSON line per figure.

#include <chrono>
#include <cstdio>
#include <functional>
#include <string>

#include "api/codec.h"
#include "api/defaulting.h"
#include "api/managed/field_manager.h"
#include "doc/json.h"
#include "rt/real.h"

namespace {

using namespace knarr;  // a benchmark is a program of its own

constexpr std::string_view kPod =
    R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-6b7f9c5d8-x2x9z","namespace":"default","labels":{)"
    R"("app":"web","pod-template-hash":"6b7f9c5d8","tier":"front"},"annotations":{"a.b/c":"d","e":"f"},)"
    R"("ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-6b7f9c5d8","uid":"u-1",)"
    R"("controller":true,"blockOwnerDeletion":true}]},"spec":{"containers":[{"name":"c","image":"nginx:1.25","env":[)"
    R"({"name":"A","value":"1"},{"name":"B","value":"2"},{"name":"NODE","valueFrom":{"fieldRef":{"fieldPath":)"
    R"("spec.nodeName"}}}],"ports":[{"containerPort":80},{"containerPort":443}],"resources":{"requests":{"cpu":"100m",)"
    R"("memory":"64Mi"},"limits":{"memory":"128Mi"}},"livenessProbe":{"httpGet":{"path":"/","port":80}},)"
    R"("readinessProbe":{"httpGet":{"path":"/ready","port":80}},"volumeMounts":[{"name":"data","mountPath":"/data"},)"
    R"({"name":"conf","mountPath":"/etc/conf","readOnly":true}]},{"name":"sidecar","image":"side:1"}],"volumes":[)"
    R"({"name":"data","emptyDir":{}},{"name":"conf","configMap":{"name":"conf"}}],"nodeSelector":{"disk":"ssd"},)"
    R"("tolerations":[{"key":"k","operator":"Exists","effect":"NoSchedule"}]}})";

constexpr std::string_view kStatus =
    R"({"phase":"Running","podIP":"10.42.0.7","podIPs":[{"ip":"10.42.0.7"}],"hostIP":"10.0.0.1","conditions":[)"
    R"({"type":"Initialized","status":"True"},{"type":"Ready","status":"True"},{"type":"ContainersReady",)"
    R"("status":"True"},{"type":"PodScheduled","status":"True"}],"containerStatuses":[{"name":"c",)"
    R"("image":"nginx:1.25","imageID":"sha256:1","ready":true,"restartCount":0}],"startTime":"2026-01-01T00:00:00Z"})";

class Measure {
 public:
  explicit Measure(rt::Runtime& runtime) : runtime_(runtime) {}

  void operator()(const char* name, const std::function<void()>& work) {
    constexpr int kRounds = 20000;
    for (int i = 0; i < kRounds / 10; ++i) work();
    const MonoTime start = runtime_.Mono();
    for (int i = 0; i < kRounds; ++i) work();
    const double us = std::chrono::duration<double, std::micro>(runtime_.Mono() - start).count() / kRounds;
    std::printf(R"({"name":"managed_fields.%s","value":%.2f,"unit":"us/op"})"
                "\n",
                name, us);
    std::fflush(stdout);
  }

 private:
  rt::Runtime& runtime_;
};

doc::Document Decoded(const std::string& json) {
  api::Decoded decoded = MUST(api::DecodeJson(json));
  api::ApplyDefaults(*decoded.type, decoded.document.root, decoded.document.arena);
  return std::move(decoded.document);
}

void Run(rt::Runtime& runtime) {
  using api::managed::FieldManager;
  const api::KindInfo& kind = *api::FindKind("v1", "Pod");
  const FieldManager fields(kind, "", {R"({"f:status":{}})"});
  const FieldManager status_fields(kind, "status", {R"({"f:spec":{}})"});
  const WallTime now = runtime.Wall();
  const doc::Document pod = Decoded(std::string(kPod));
  Measure measure(runtime);

  measure("copy_pod", [&] { (void)doc::Document::Copy(pod.root); });
  measure("copy_and_track_created_pod", [&] {
    doc::Document copy = doc::Document::Copy(pod.root);
    MUST(fields.Update(doc::Value::Null(), copy, "kube-controller-manager", now));
  });
  doc::Document live = doc::Document::Copy(pod.root);
  MUST(fields.Update(doc::Value::Null(), live, "kube-controller-manager", now));
  std::string bare;
  std::string tracked;
  doc::WriteJson(pod.root, bare);
  doc::WriteJson(live.root, tracked);
  std::printf(R"({"name":"managed_fields.pod_bytes","value":%zu,"unit":"bytes","without":%zu})"
              "\n",
              tracked.size(), bare.size());
  const auto json = [&](const char* name, const doc::Value& tree, const std::string& text) {
    measure((std::string("write_json_") + name).c_str(), [&] {
      std::string out;
      doc::WriteJson(tree, out);
    });
    measure((std::string("parse_json_") + name).c_str(), [&] {
      doc::Arena arena;
      (void)doc::ParseJsonBorrowing(text, arena);
    });
  };
  json("bare", pod.root, bare);
  json("tracked", live.root, tracked);

  doc::Document started = doc::Document::Copy(live.root);
  started.root.Set(started.arena, "status", MUST(doc::ParseJsonBorrowing(kStatus, started.arena)));
  MUST(api::Canonicalize(*kind.type, started.root, started.arena));
  measure("copy_and_track_status", [&] {
    doc::Document copy = doc::Document::Copy(started.root);
    MUST(status_fields.Update(live.root, copy, "kubelet", now));
  });
  measure("copy_and_track_unchanged", [&] {
    doc::Document copy = doc::Document::Copy(live.root);
    MUST(fields.Update(live.root, copy, "kubelet", now));
  });
  const doc::Document configuration = MUST(doc::ParseJson(kPod));
  measure("apply_new_pod",
          [&] { (void)MUST(fields.Apply(doc::Value::Null(), configuration.root, {"me", false, now})); });
  const doc::Document applied = MUST(fields.Apply(doc::Value::Null(), configuration.root, {"me", false, now}));
  measure("apply_unchanged_pod",
          [&] { (void)MUST(fields.Apply(applied.root, configuration.root, {"me", false, now})); });
}

}  // namespace

int main() {
  const auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(1));
  runtime->Run([&] { Run(*runtime); });
  return 0;
}
