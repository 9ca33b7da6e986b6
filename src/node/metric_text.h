#pragma once

// Prometheus' text format, for figures that are read when somebody asks and not kept (those that are kept are in
// base/metrics.h).

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.h"

namespace knarr::node {

/// `a="1",b="2"`, escaped.
std::string MetricLabels(std::initializer_list<std::pair<std::string_view, std::string_view>> labels);

class MetricText {
 public:
  /// Begins a family: its samples follow. One without samples is not told of.
  void Family(std::string_view name, std::string_view type, std::string_view help);
  /// `labels` as MetricLabels gives them.
  void Sample(std::string_view labels, double value, std::optional<WallTime> time = std::nullopt);
  /// One of a family's parts ("_bucket", "_sum", "_count").
  void Part(std::string_view suffix, std::string_view labels, double value);
  std::string Take() { return std::move(text_); }

 private:
  void Put(std::string_view suffix, std::string_view labels, double value, std::optional<WallTime> time);
  std::string text_;
  std::string head_;  // not yet written
  std::string name_;
};

}  // namespace knarr::node
