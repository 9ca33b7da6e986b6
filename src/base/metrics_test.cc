#include "base/metrics.h"

#include <gtest/gtest.h>

namespace knarr {
namespace {

TEST(MetricsTest, PrintsPrometheusText) {
  Registry registry;
  Family<Counter>& requests = registry.AddCounter("requests_total", "Requests\nby verb.", {"verb", "code"});
  requests.With({"GET", "200"}).Add(3);
  requests.With({"PUT", "a\"b\\c"}).Add();
  registry.AddGauge("inflight", "Now.").Get().Set(2.5);
  registry.AddGaugeFunction("fibers", "Alive.", [] { return 7.0; });
  Histogram& latency = registry.AddHistogram("latency_seconds", "Time.", {0.1, 1}, {"op"}).With({"read"});
  latency.Observe(0.1);
  latency.Observe(0.5);
  latency.Observe(99);
  EXPECT_EQ(registry.Text(), R"(# HELP fibers Alive.
# TYPE fibers gauge
fibers 7
# HELP inflight Now.
# TYPE inflight gauge
inflight 2.5
# HELP latency_seconds Time.
# TYPE latency_seconds histogram
latency_seconds_bucket{op="read",le="0.1"} 1
latency_seconds_bucket{op="read",le="1"} 2
latency_seconds_bucket{op="read",le="+Inf"} 3
latency_seconds_sum{op="read"} 99.6
latency_seconds_count{op="read"} 3
# HELP requests_total Requests\nby verb.
# TYPE requests_total counter
requests_total{verb="GET",code="200"} 3
requests_total{verb="PUT",code="a\"b\\c"} 1
)");
  EXPECT_EQ(latency.count(), 3U);
}

TEST(MetricsTest, SeriesAreBounded) {
  Registry registry;
  Family<Counter>& family = registry.AddCounter("c_total", "C.", {"k"});
  for (size_t i = 0; i < Family<Counter>::kSeriesMax + 5; ++i) family.With({std::to_string(i)}).Add();
  EXPECT_EQ(family.With({"overflow"}).value(), 5U);
}

TEST(MetricsTest, Buckets) {
  EXPECT_EQ(ExponentialBuckets(1, 2, 4), (std::vector<double>{1, 2, 4, 8}));
  EXPECT_EQ(LatencyBuckets().front(), 0.001);
}

}  // namespace
}  // namespace knarr
