#include "node/metric_text.h"

#include <fmt/format.h>

#include "base/strings.h"

namespace knarr::node {

std::string MetricLabels(std::initializer_list<std::pair<std::string_view, std::string_view>> labels) {
  std::string out;
  for (const auto& [name, value] : labels) {
    const std::string escaped = ReplaceAll(ReplaceAll(ReplaceAll(value, "\\", "\\\\"), "\n", "\\n"), "\"", "\\\"");
    out += fmt::format("{}{}=\"{}\"", out.empty() ? "" : ",", name, escaped);
  }
  return out;
}

void MetricText::Family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  head_ = fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void MetricText::Put(std::string_view suffix, std::string_view labels, double value, std::optional<WallTime> time) {
  text_ += std::exchange(head_, {});
  text_ += name_;
  text_ += suffix;
  if (!labels.empty()) text_.append("{").append(labels).append("}");
  text_ += fmt::format(" {}", value);
  if (time) {
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(time->time_since_epoch());
    text_ += fmt::format(" {}", milliseconds.count());
  }
  text_ += '\n';
}

void MetricText::Sample(std::string_view labels, double value, std::optional<WallTime> time) {
  Put({}, labels, value, time);
}

void MetricText::Part(std::string_view suffix, std::string_view labels, double value) {
  Put(suffix, labels, value, std::nullopt);
}

}  // namespace knarr::node
