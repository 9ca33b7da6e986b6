#include "sim/journal.h"

#include <fmt/format.h>

namespace knarr::sim {

std::string Journal::Stamp() const {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(runtime_.Mono() - start_).count();
  return fmt::format("{:>5}.{:03}s ", since / 1000, since % 1000);
}

void Journal::Note(std::string text) {
  lines_.push_back(Stamp() + std::move(text));
  if (lines_.size() > kLinesMost) lines_.pop_front();
}

void Journal::Violation(std::string text) {
  Note("VIOLATION " + text);
  if (violations_.size() < kViolationsMost) violations_.push_back(Stamp() + std::move(text));
}

std::string Journal::ToString() const {
  std::string out;
  for (const std::string& line : lines_) out += line + "\n";
  for (const std::string& line : violations_) out += "violated: " + line + "\n";
  return out;
}

}  // namespace knarr::sim
