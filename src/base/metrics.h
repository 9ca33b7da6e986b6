#pragma once

// Counters, gauges and histograms, and the text that Prometheus reads.
//
// A Registry belongs to one program and is handed down by constructor. A family (one name) is made once; With(labels)
// finds or makes the series and may lock, so keep the reference it returns: adding to it is one atomic operation, from
// any thread, and it lives as long as the registry.

#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace knarr {

/// Only goes up.
class Counter {
 public:
  void Add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

class Gauge {
 public:
  void Set(double value) { value_.store(value, std::memory_order_relaxed); }
  void Add(double delta) { value_.fetch_add(delta, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// Counts observations into buckets with fixed upper bounds.
class Histogram {
 public:
  /// REQUIRES: bounds ascend.
  explicit Histogram(std::vector<double> bounds);
  void Observe(double value);
  uint64_t count() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }
  const std::vector<double>& bounds() const { return bounds_; }
  /// Observations in bucket `index`, not cumulative; index bounds().size() is the rest.
  uint64_t bucket(size_t index) const { return buckets_[index].load(std::memory_order_relaxed); }

 private:
  std::vector<double> bounds_;
  std::vector<std::atomic<uint64_t>> buckets_;
  std::atomic<double> sum_{0};
};

/// Seconds, from 1 ms to 10 s.
std::vector<double> LatencyBuckets();
/// start, start*factor, …: `count` of them.
std::vector<double> ExponentialBuckets(double start, double factor, size_t count);

/// All series of one name.
template <typename T>
class Family {
 public:
  Family(std::vector<std::string> label_names, std::function<std::unique_ptr<T>()> make)
      : label_names_(std::move(label_names)), make_(std::move(make)) {}
  /// The series with these label values. CHECKs that there are as many as names. Bounded: beyond `kSeriesMax` all new
  /// values share one series labelled "overflow".
  T& With(std::initializer_list<std::string_view> values) { return Find({values.begin(), values.end()}); }
  /// The series of a family without labels.
  T& Get() { return Find({}); }

  static constexpr size_t kSeriesMax = 10000;

 private:
  friend class Registry;
  T& Find(std::vector<std::string> values);
  void ForEach(const std::function<void(const std::vector<std::string>& values, const T& series)>& visit) const;

  std::vector<std::string> label_names_;
  std::function<std::unique_ptr<T>()> make_;
  mutable std::atomic_flag lock_;
  std::map<std::vector<std::string>, std::unique_ptr<T>> series_;
};

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// REQUIRES: a name is used once. Any thread.
  Family<Counter>& AddCounter(std::string name, std::string help, std::vector<std::string> label_names = {});
  Family<Gauge>& AddGauge(std::string name, std::string help, std::vector<std::string> label_names = {});
  Family<Histogram>& AddHistogram(std::string name, std::string help, std::vector<double> bounds,
                                  std::vector<std::string> label_names = {});
  /// A gauge that is asked for its value when it is read. Called on the reader's thread.
  void AddGaugeFunction(std::string name, std::string help, std::function<double()> value);

  /// The text exposition format (version 0.0.4), ordered by name.
  std::string Text() const;

 private:
  struct Entry;
  Entry& AddEntry(std::string name, std::string help, std::string_view type);
  mutable std::atomic_flag lock_;
  std::map<std::string, std::unique_ptr<Entry>> entries_;
};

}  // namespace knarr
