#include "node/probe_counts.h"

#include <fmt/format.h>

#include <algorithm>

#include "node/metric_text.h"

namespace knarr::node {
namespace {

constexpr std::string_view kResults[] = {"successful", "failed", "unknown"};

}  // namespace

void ProbeCounts::Add(const api::Object& pod, std::string_view container, ProbeKind kind, ProbeResult result,
                      Duration took) {
  Series& series = series_[{std::string(pod.uid()), std::string(container), kind}];
  series.pod = pod.name();
  series.ns = pod.ns();
  ++series.results[static_cast<size_t>(result)];
  const double seconds = std::chrono::duration<double>(took).count();
  series.seconds += seconds;
  ++series.took[static_cast<size_t>(std::ranges::lower_bound(kBounds, seconds) - kBounds.begin())];
}

void ProbeCounts::Forget(const std::string& uid) {
  std::erase_if(series_, [&](const auto& entry) { return std::get<0>(entry.first) == uid; });
}

std::string ProbeCounts::Text() const {
  MetricText text;
  text.Family("prober_probe_total", "counter", "Probes tried, by result");
  for (const auto& [key, series] : series_) {
    const auto& [uid, container, kind] = key;
    for (size_t i = 0; i < std::size(kResults); ++i) {
      if (series.results[i] == 0) continue;
      const std::string labels = MetricLabels({{"container", container},
                                               {"namespace", series.ns},
                                               {"pod", series.pod},
                                               {"pod_uid", uid},
                                               {"probe_type", ProbeName(kind)},
                                               {"result", kResults[i]}});
      text.Sample(labels, static_cast<double>(series.results[i]));
    }
  }
  text.Family("prober_probe_duration_seconds", "histogram", "How long a probe took");
  for (const auto& [key, series] : series_) {
    const auto& [uid, container, kind] = key;
    const std::string labels = MetricLabels({{"container", container},
                                             {"namespace", series.ns},
                                             {"pod", series.pod},
                                             {"probe_type", ProbeName(kind)}});
    uint64_t count = 0;
    for (size_t i = 0; i < series.took.size(); ++i) {
      count += series.took[i];
      const std::string bound = i < kBounds.size() ? fmt::format("{}", kBounds[i]) : "+Inf";
      text.Part("_bucket", fmt::format(R"({},le="{}")", labels, bound), static_cast<double>(count));
    }
    text.Part("_sum", labels, series.seconds);
    text.Part("_count", labels, static_cast<double>(count));
  }
  return text.Take();
}

}  // namespace knarr::node
