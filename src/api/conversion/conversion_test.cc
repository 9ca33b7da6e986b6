#include "api/conversion/conversion.h"

#include <gtest/gtest.h>

#include <string>

#include "api/autoscaling_v1.h"
#include "api/autoscaling_v2.h"
#include "api/codec.h"
#include "api/core_v1.h"
#include "api/events_v1.h"
#include "doc/json.h"

namespace knarr::api {
namespace {

const KindInfo& V1() { return autoscaling_v1::HorizontalPodAutoscalerInfo(); }
const KindInfo& V2() { return autoscaling_v2::HorizontalPodAutoscalerInfo(); }

std::string Converted(const KindInfo& from, const KindInfo& to, const std::string& json) {
  const Result<Decoded> decoded = DecodeJson(json, {from.api_version, from.kind});
  if (!decoded.ok()) return decoded.status().message();
  const Result<doc::Document> out = ConvertKind(decoded->document.root, from, to);
  if (!out.ok()) return out.status().message();
  EXPECT_EQ(out->root.At("apiVersion").AsString(), to.api_version);
  EXPECT_EQ(out->root.At("kind").AsString(), to.kind);
  return doc::ToJson(out->root);
}

// {"metadata":{"annotations":{NAME:JSON}},"spec":…,"status":…}
std::string Object(const std::string& spec, const std::string& status, const std::string& annotations = {}) {
  std::string out = "{";
  if (!annotations.empty()) out += R"("metadata":{"annotations":{)" + annotations + "}},";
  return out + R"("spec":{)" + spec + R"(},"status":{)" + status + "}}";
}
std::string Annotation(const std::string& name, const std::string& json) {
  std::string out = "\"autoscaling.alpha.kubernetes.io/" + name + "\":";
  doc::WriteJsonString(json, out);
  return out;
}

constexpr const char* kTarget = R"("scaleTargetRef":{"kind":"Deployment","name":"d","apiVersion":"apps/v1"})";
std::string Spec(const std::string& more) { return std::string(kTarget) + R"(,"maxReplicas":3)" + more; }
std::string Metrics(const std::string& list) { return Spec(R"(,"metrics":[)" + list + "]"); }

constexpr const char* kCpu =
    R"({"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":80}}})";

struct Pair {
  const char* name;
  std::string v1;
  std::string v2;
};

std::vector<Pair> RoundTrips() {
  return {
      {"cpu", Object(Spec(R"(,"targetCPUUtilizationPercentage":55)"), R"("currentReplicas":1,"desiredReplicas":2)"),
       Object(Metrics(R"({"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization",)"
                      R"("averageUtilization":55}}})"),
              R"("currentReplicas":1,"desiredReplicas":2)")},
      {"object",
       Object(Spec(""), R"("desiredReplicas":0)",
              Annotation("metrics", R"([{"type":"Object","object":{"target":{"kind":"I","name":"i"},"metricName":"m",)"
                                    R"("targetValue":"5","selector":{"matchLabels":{"a":"b"}}}}])")),
       Object(
           Metrics(R"({"type":"Object","object":{"describedObject":{"kind":"I","name":"i"},"target":{"type":"Value",)"
                   R"("value":"5"},"metric":{"name":"m","selector":{"matchLabels":{"a":"b"}}}}})"),
           "")},
      {"object by average",
       Object(Spec(""), "",
              Annotation("metrics", R"([{"type":"Object","object":{"target":{"kind":"I","name":"i"},"metricName":"m",)"
                                    R"("targetValue":"0","averageValue":"7"}}])")),
       Object(Metrics(R"({"type":"Object","object":{"describedObject":{"kind":"I","name":"i"},)"
                      R"("target":{"type":"AverageValue","averageValue":"7"},"metric":{"name":"m"}}})"),
              "")},
      {"pods and external, before cpu",
       Object(Spec(R"(,"targetCPUUtilizationPercentage":80)"), "",
              Annotation("metrics", R"([{"type":"Pods","pods":{"metricName":"p","targetAverageValue":"1k"}},)"
                                    R"({"type":"External","external":{"metricName":"q","targetAverageValue":"2"}}])")),
       Object(Metrics(R"({"type":"Pods","pods":{"metric":{"name":"p"},"target":{"type":"AverageValue",)"
                      R"("averageValue":"1k"}}},{"type":"External","external":{"metric":{"name":"q"},)"
                      R"("target":{"type":"AverageValue","averageValue":"2"}}},)" +
                      std::string(kCpu)),
              "")},
      {"container resource, with behavior",
       Object(Spec(""), "",
              Annotation("metrics", R"([{"type":"ContainerResource","containerResource":{"name":"memory",)"
                                    R"("targetAverageUtilization":60,"container":"c"}}])") +
                  "," +
                  Annotation("behavior",
                             R"({"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":"Max","Policies":[{"Type":)"
                             R"("Pods","Value":4,"PeriodSeconds":15}],"Tolerance":"100m"},"ScaleDown":null})")),
       Object(Metrics(R"({"type":"ContainerResource","containerResource":{"name":"memory","target":{"type":)"
                      R"("Utilization","averageUtilization":60},"container":"c"}})") +
                  R"(,"behavior":{"scaleUp":{"stabilizationWindowSeconds":0,"selectPolicy":"Max","policies":[{"type":)"
                  R"("Pods","value":4,"periodSeconds":15}],"tolerance":"100m"}})",
              "")},
      {"status",
       Object(
           Spec(R"(,"targetCPUUtilizationPercentage":80)"), R"("currentCPUUtilizationPercentage":33)",
           Annotation("current-metrics",
                      R"([{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":33,)"
                      R"("currentAverageValue":"10m"}},{"type":"External","external":{"metricName":"q",)"
                      R"("currentValue":"0","currentAverageValue":"3"}}])") +
               "," +
               Annotation("conditions",
                          R"([{"type":"AbleToScale","status":"True","lastTransitionTime":"2020-01-01T00:00:00Z"}])")),
       Object(Metrics(kCpu),
              R"("currentMetrics":[{"type":"Resource","resource":{"name":"cpu","current":{"averageValue":"10m",)"
              R"("averageUtilization":33}}},{"type":"External","external":{"metric":{"name":"q"},"current":{"value":)"
              R"("0","averageValue":"3"}}}],"conditions":[{"type":"AbleToScale","status":"True",)"
              R"("lastTransitionTime":"2020-01-01T00:00:00Z"}])")},
  };
}

std::string Canonical(const KindInfo& kind, const std::string& json) { return Converted(kind, kind, json); }

TEST(ConversionTest, AutoscalersGoBothWays) {
  for (const Pair& pair : RoundTrips()) {
    SCOPED_TRACE(pair.name);
    EXPECT_EQ(Converted(V1(), V2(), pair.v1), Canonical(V2(), pair.v2));
    EXPECT_EQ(Converted(V2(), V1(), pair.v2), [&] {
      // Annotations are sorted, as canonical objects have them.
      return Canonical(V1(), pair.v1);
    }());
  }
}

TEST(ConversionTest, AutoscalersFromV1Only) {
  const std::vector<Pair> pairs = {
      {"cpu is watched when nothing else is said", Object(Spec(""), ""), Object(Metrics(kCpu), "")},
      {"annotations that are no JSON are ignored",
       Object(Spec(""), "", Annotation("metrics", "[") + "," + Annotation("behavior", "7") + ",\"a\":\"b\""),
       R"({"metadata":{"annotations":{"a":"b"}},)" + Object(Metrics(kCpu), "").substr(1)},
      {"keys in any case", Object(Spec(""), "", Annotation("behavior", R"({"scaleup":{"selectpolicy":"Min"}})")),
       Object(Metrics(kCpu) + R"(,"behavior":{"scaleUp":{"selectPolicy":"Min"}})", "")},
      {"wrong types are ignored", Object(Spec(""), "", Annotation("metrics", R"([{"type":7}])")),
       Object(Metrics(kCpu), "")},
      {"a use of cpu that no annotation tells of", Object(Spec(""), R"("currentCPUUtilizationPercentage":5)"),
       Object(Metrics(kCpu), R"("currentMetrics":[{"type":"Resource","resource":{"name":"cpu","current":)"
                             R"({"averageUtilization":5}}}])")},
  };
  for (const Pair& pair : pairs) {
    SCOPED_TRACE(pair.name);
    EXPECT_EQ(Converted(V1(), V2(), pair.v1), Canonical(V2(), pair.v2));
  }
}

TEST(ConversionTest, EventsGoBothWays) {
  const std::string core =
      R"({"kind":"Event","apiVersion":"v1","metadata":{"name":"n"},"involvedObject":{"kind":"Pod","name":"p"},)"
      R"("reason":"R","message":"m","source":{"component":"c"},"firstTimestamp":"2020-01-01T00:00:00Z",)"
      R"("lastTimestamp":"2020-01-01T00:00:01Z","count":2,"type":"Normal","eventTime":"2020-01-01T00:00:00.000001Z",)"
      R"("series":{"count":3,"lastObservedTime":"2020-01-01T00:00:02.000000Z"},"action":"a",)"
      R"("related":{"kind":"Node"},"reportingComponent":"rc","reportingInstance":"ri"})";
  const std::string events =
      R"({"kind":"Event","apiVersion":"events.k8s.io/v1","metadata":{"name":"n"},)"
      R"("eventTime":"2020-01-01T00:00:00.000001Z","series":{"count":3,)"
      R"("lastObservedTime":"2020-01-01T00:00:02.000000Z"},"reportingController":"rc","reportingInstance":"ri",)"
      R"("action":"a","reason":"R","regarding":{"kind":"Pod","name":"p"},"related":{"kind":"Node"},"note":"m",)"
      R"("type":"Normal","deprecatedSource":{"component":"c"},"deprecatedFirstTimestamp":"2020-01-01T00:00:00Z",)"
      R"("deprecatedLastTimestamp":"2020-01-01T00:00:01Z","deprecatedCount":2})";
  EXPECT_EQ(Converted(core_v1::EventInfo(), events_v1::EventInfo(), core), events);
  EXPECT_EQ(Converted(events_v1::EventInfo(), core_v1::EventInfo(), events), core);
  EXPECT_EQ(StoredFieldLabel(events_v1::EventInfo(), "regarding.kind"), "involvedObject.kind");
  EXPECT_EQ(StoredFieldLabel(core_v1::PodInfo(), "spec.host"), "spec.nodeName");
  EXPECT_EQ(StoredFieldLabel(events_v1::EventInfo(), "type"), "type");
  EXPECT_EQ(StoredFieldLabel(core_v1::EventInfo(), "regarding.kind"), "regarding.kind");
}

TEST(ConversionTest, EachKindIsStoredOnce) {
  EXPECT_EQ(&StorageKind(V1()), &V2());
  EXPECT_EQ(&StorageKind(events_v1::EventInfo()), &core_v1::EventInfo());
  EXPECT_EQ(&StorageKind(core_v1::PodInfo()), &core_v1::PodInfo());
  for (const KindInfo& kind : AllKinds()) EXPECT_EQ(&StorageKind(StorageKind(kind)), &StorageKind(kind)) << kind.kind;
}

}  // namespace
}  // namespace knarr::api
