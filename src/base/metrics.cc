#include "base/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/strings.h"

namespace knarr {
namespace {

// Held for a map look-up only. base/ has no threads of its own, so no mutex either.
class SpinGuard {
 public:
  explicit SpinGuard(std::atomic_flag& flag) : flag_(flag) {
    while (flag_.test_and_set(std::memory_order_acquire)) flag_.wait(true, std::memory_order_relaxed);
  }
  ~SpinGuard() {
    flag_.clear(std::memory_order_release);
    flag_.notify_one();
  }
  SpinGuard(const SpinGuard&) = delete;
  SpinGuard& operator=(const SpinGuard&) = delete;

 private:
  std::atomic_flag& flag_;
};

std::string NumberText(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

std::string EscapeLabel(std::string_view value) {
  return ReplaceAll(ReplaceAll(ReplaceAll(value, "\\", "\\\\"), "\n", "\\n"), "\"", "\\\"");
}

std::string EscapeHelp(std::string_view help) { return ReplaceAll(ReplaceAll(help, "\\", "\\\\"), "\n", "\\n"); }

std::string Labels(const std::vector<std::string>& names, const std::vector<std::string>& values,
                   std::string_view bound = {}) {
  std::vector<std::string> pairs;
  for (size_t i = 0; i < names.size(); ++i) pairs.push_back(names[i] + "=\"" + EscapeLabel(values[i]) + "\"");
  if (!bound.empty()) pairs.push_back("le=\"" + std::string(bound) + "\"");
  return pairs.empty() ? "" : "{" + Join(pairs, ",") + "}";
}

}  // namespace

struct Registry::Entry {
  std::string help;
  std::string type;
  std::unique_ptr<Family<Counter>> counters;
  std::unique_ptr<Family<Gauge>> gauges;
  std::unique_ptr<Family<Histogram>> histograms;
  std::function<double()> function;
};

Histogram::Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), buckets_(bounds_.size() + 1) {
  CHECK(std::ranges::is_sorted(bounds_));
}

void Histogram::Observe(double value) {
  const auto bucket = static_cast<size_t>(std::ranges::lower_bound(bounds_, value) - bounds_.begin());
  buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

uint64_t Histogram::count() const {
  uint64_t count = 0;
  for (const auto& bucket : buckets_) count += bucket.load(std::memory_order_relaxed);
  return count;
}

std::vector<double> LatencyBuckets() { return {0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}; }

std::vector<double> ExponentialBuckets(double start, double factor, size_t count) {
  std::vector<double> bounds;
  for (size_t i = 0; i < count; ++i, start *= factor) bounds.push_back(start);
  return bounds;
}

template <typename T>
T& Family<T>::Find(std::vector<std::string> values) {
  CHECK(values.size() == label_names_.size());
  const SpinGuard guard(lock_);
  const auto found = series_.find(values);
  if (found != series_.end()) return *found->second;
  if (series_.size() >= kSeriesMax) values.assign(label_names_.size(), "overflow");
  std::unique_ptr<T>& series = series_[std::move(values)];
  if (series == nullptr) series = make_();
  return *series;
}

template <typename T>
void Family<T>::ForEach(
    const std::function<void(const std::vector<std::string>& values, const T& series)>& visit) const {
  const SpinGuard guard(lock_);
  for (const auto& [values, series] : series_) visit(values, *series);
}

template class Family<Counter>;
template class Family<Gauge>;
template class Family<Histogram>;

Registry::Registry() = default;
Registry::~Registry() = default;

Registry::Entry& Registry::AddEntry(std::string name, std::string help, std::string_view type) {
  std::unique_ptr<Entry>& entry = entries_[std::move(name)];
  CHECK(entry == nullptr);
  entry = std::make_unique<Entry>();
  entry->help = std::move(help);
  entry->type = type;
  return *entry;
}

Family<Counter>& Registry::AddCounter(std::string name, std::string help, std::vector<std::string> label_names) {
  const SpinGuard guard(lock_);
  Entry& entry = AddEntry(std::move(name), std::move(help), "counter");
  entry.counters =
      std::make_unique<Family<Counter>>(std::move(label_names), [] { return std::make_unique<Counter>(); });
  return *entry.counters;
}

Family<Gauge>& Registry::AddGauge(std::string name, std::string help, std::vector<std::string> label_names) {
  const SpinGuard guard(lock_);
  Entry& entry = AddEntry(std::move(name), std::move(help), "gauge");
  entry.gauges = std::make_unique<Family<Gauge>>(std::move(label_names), [] { return std::make_unique<Gauge>(); });
  return *entry.gauges;
}

Family<Histogram>& Registry::AddHistogram(std::string name, std::string help, std::vector<double> bounds,
                                          std::vector<std::string> label_names) {
  const SpinGuard guard(lock_);
  Entry& entry = AddEntry(std::move(name), std::move(help), "histogram");
  entry.histograms = std::make_unique<Family<Histogram>>(
      std::move(label_names), [bounds = std::move(bounds)] { return std::make_unique<Histogram>(bounds); });
  return *entry.histograms;
}

void Registry::AddGaugeFunction(std::string name, std::string help, std::function<double()> value) {
  const SpinGuard guard(lock_);
  AddEntry(std::move(name), std::move(help), "gauge").function = std::move(value);
}

std::string Registry::Text() const {
  const SpinGuard guard(lock_);
  std::string out;
  for (const auto& [name, entry] : entries_) {
    out += "# HELP " + name + " " + EscapeHelp(entry->help) + "\n# TYPE " + name + " " + entry->type + "\n";
    const auto line = [&](std::string_view suffix, const std::string& labels, const std::string& value) {
      out += name;
      out += suffix;
      out += labels + " " + value + "\n";
    };
    if (entry->function) line("", "", NumberText(entry->function()));
    if (entry->counters != nullptr) {
      const Family<Counter>& family = *entry->counters;
      family.ForEach([&](const auto& values, const Counter& counter) {
        line("", Labels(family.label_names_, values), std::to_string(counter.value()));
      });
    }
    if (entry->gauges != nullptr) {
      const Family<Gauge>& family = *entry->gauges;
      family.ForEach([&](const auto& values, const Gauge& gauge) {
        line("", Labels(family.label_names_, values), NumberText(gauge.value()));
      });
    }
    if (entry->histograms != nullptr) {
      const Family<Histogram>& family = *entry->histograms;
      family.ForEach([&](const auto& values, const Histogram& histogram) {
        uint64_t total = 0;
        for (size_t i = 0; i <= histogram.bounds().size(); ++i) {
          total += histogram.bucket(i);
          const std::string bound = i < histogram.bounds().size() ? NumberText(histogram.bounds()[i]) : "+Inf";
          line("_bucket", Labels(family.label_names_, values, bound), std::to_string(total));
        }
        line("_sum", Labels(family.label_names_, values), NumberText(histogram.sum()));
        line("_count", Labels(family.label_names_, values), std::to_string(total));
      });
    }
  }
  return out;
}

}  // namespace knarr
