#include "node/shutdown.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"
#include "node/pressure.h"

namespace knarr::node {
namespace {

// More of them than anybody has classes of pods.
constexpr size_t kPeriodsMax = 1000;

Ok CheckGrace(std::string_view name, Duration grace) {
  if (grace == Duration::zero() || grace >= 1s) return {};
  return BadRequest(fmt::format("invalid configuration: {} {{{}}} must be either zero or otherwise >= 1 sec", name,
                                FormatDuration(grace)));
}

Result<ShutdownPeriod> ParsePeriod(std::string_view text) {
  const auto pair = Cut(text, "=");
  if (!pair) return BadRequest(fmt::format("{}: want priority=duration", GoQuote(text)));
  const int32_t priority = TRY(ParseInt<int32_t>(pair->first).Context(GoQuote(text)));
  const Duration grace = TRY(ParseDuration(pair->second).Context(GoQuote(text)));
  if (grace < Duration::zero() || grace % 1s != Duration::zero()) {
    return BadRequest(fmt::format("{}: want whole seconds", GoQuote(text)));
  }
  return ShutdownPeriod{priority, grace / 1s};
}

Result<std::vector<ShutdownPeriod>> ParseByPriority(std::string_view text) {
  std::vector<ShutdownPeriod> out;
  for (const std::string_view part : Split(text, ',')) {
    if (out.size() >= kPeriodsMax) return BadRequest(fmt::format("more than {} periods", kPeriodsMax));
    out.push_back(TRY(ParsePeriod(part)));
  }
  std::ranges::sort(out, {}, &ShutdownPeriod::priority);
  const auto twice = std::ranges::adjacent_find(out, {}, &ShutdownPeriod::priority);
  if (twice != out.end()) return BadRequest(fmt::format("priority {} is given twice", twice->priority));
  return out;
}

}  // namespace

Result<std::vector<ShutdownPeriod>> ParseShutdown(const ShutdownFlags& flags) {
  if (flags.grace_critical > flags.grace) {
    return BadRequest(
        fmt::format("invalid configuration: shutdownGracePeriodCriticalPods {{{}}} must be <= "
                    "shutdownGracePeriod {{{}}}",
                    FormatDuration(flags.grace_critical), FormatDuration(flags.grace)));
  }
  TRY(CheckGrace("shutdownGracePeriod", flags.grace));
  TRY(CheckGrace("shutdownGracePeriodCriticalPods", flags.grace_critical));
  if (!flags.by_priority.empty()) {
    if (flags.grace > Duration::zero()) {
      return BadRequest(
          "invalid configuration: Cannot specify both shutdownGracePeriodByPodPriority and shutdownGracePeriod at the "
          "same time");
    }
    return ParseByPriority(flags.by_priority).Context("--shutdown-grace-period-by-pod-priority");
  }
  if (flags.grace == Duration::zero()) return std::vector<ShutdownPeriod>();
  return std::vector<ShutdownPeriod>{{0, (flags.grace - flags.grace_critical) / 1s},
                                     {kSystemCriticalPriority, flags.grace_critical / 1s}};
}

Duration TotalOf(const std::vector<ShutdownPeriod>& periods) {
  Duration out{};
  for (const ShutdownPeriod& period : periods) out += std::chrono::seconds(period.seconds);
  return out;
}

size_t PeriodOf(const std::vector<ShutdownPeriod>& periods, int32_t priority) {
  CHECK(!periods.empty());
  const auto above = std::ranges::upper_bound(periods, priority, {}, &ShutdownPeriod::priority);
  // Those below the lowest one go with it.
  return above == periods.begin() ? 0 : static_cast<size_t>(above - periods.begin()) - 1;
}

}  // namespace knarr::node
