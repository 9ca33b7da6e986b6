#include "node/eviction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "base/strings.h"

namespace knarr::node {
namespace {

struct SignalInfo {
  Signal signal;
  std::string_view name;
  Starved resource;
};
constexpr SignalInfo kSignals[] = {
    {Signal::kMemoryAvailable, "memory.available", Starved::kMemory},
    {Signal::kNodeFsAvailable, "nodefs.available", Starved::kDisk},
    {Signal::kNodeFsInodesFree, "nodefs.inodesFree", Starved::kInodes},
    {Signal::kImageFsAvailable, "imagefs.available", Starved::kDisk},
    {Signal::kImageFsInodesFree, "imagefs.inodesFree", Starved::kInodes},
    {Signal::kContainerFsAvailable, "containerfs.available", Starved::kDisk},
    {Signal::kContainerFsInodesFree, "containerfs.inodesFree", Starved::kInodes},
    {Signal::kPidAvailable, "pid.available", Starved::kPids},
};

const SignalInfo& InfoOf(Signal signal) { return *std::ranges::find(kSignals, signal, &SignalInfo::signal); }

using Pairs = std::vector<std::pair<std::string_view, std::string_view>>;

/// "a<1,b<2" or "a=1,b=2": the last of a name counts.
Result<Pairs> ParsePairs(std::string_view text, std::string_view separator, std::string_view flag) {
  Pairs out;
  for (const std::string_view part : Split(text, ',')) {
    if (part.empty()) continue;
    const auto pair = Cut(part, separator);
    if (!pair) {
      return BadRequest(fmt::format("invalid argument {} for \"--{}\" flag: malformed pair, expect string{}string",
                                    GoQuote(text), flag, separator));
    }
    const std::string_view key = TrimSpace(pair->first);
    std::erase_if(out, [&](const auto& other) { return other.first == key; });
    out.emplace_back(key, TrimSpace(pair->second));
  }
  return out;
}

Result<Signal> ParseSignal(std::string_view name) {
  const auto at = std::ranges::find(kSignals, name, &SignalInfo::name);
  if (at == std::end(kSignals)) return BadRequest(fmt::format("unsupported eviction signal {}", name));
  return at->signal;
}

/// Of "12.5%": 0.125.
Result<float> ParsePercentage(std::string_view text) {
  const std::string_view number = TrimRight(text, "%");
  const Result<double> value = ParseDouble(number);
  if (!value.ok()) return BadRequest(fmt::format("strconv.ParseFloat: parsing {}: invalid syntax", GoQuote(number)));
  return static_cast<float>(*value) / 100;
}

/// nullopt: one that is to be ignored.
Result<std::optional<EvictionAmount>> ParseThresholdAmount(std::string_view signal, std::string_view text) {
  EvictionAmount out;
  if (text.ends_with('%')) {
    if (text == "0%" || text == "100%") return std::optional<EvictionAmount>();
    out.fraction = TRY(ParsePercentage(text));
    if (out.fraction < 0) {
      return BadRequest(fmt::format("eviction percentage threshold {} must be >= 0%: {}", signal, text));
    }
    if (out.fraction > 1) {
      return BadRequest(fmt::format("eviction percentage threshold {} must be <= 100%: {}", signal, text));
    }
    return std::optional(out);
  }
  out.quantity = TRY(Quantity::Parse(text));
  if (out.quantity->Sign() <= 0) {
    return BadRequest(fmt::format("eviction threshold {} must be positive: {}", signal, out.quantity->ToString()));
  }
  return std::optional(out);
}

Result<std::vector<Threshold>> ParseThresholds(std::string_view text, std::string_view flag) {
  std::vector<Threshold> out;
  for (const auto& [name, value] : TRY(ParsePairs(text, "<", flag))) {
    const Signal signal = TRY(ParseSignal(name));
    const auto amount = TRY(ParseThresholdAmount(name, value));
    if (!amount) continue;
    // Written layers lie with the rest of the node's files: the kubelet, too, lets nobody set these.
    if (signal == Signal::kContainerFsAvailable || signal == Signal::kContainerFsInodesFree) {
      LOG_WARN("a threshold is ignored: containers write where nodefs is", {"signal", name});
      continue;
    }
    out.push_back({.signal = signal, .value = *amount, .reclaim = std::nullopt, .grace = {}});
  }
  return out;
}

Result<std::map<Signal, Duration>> ParseGraces(std::string_view text) {
  std::map<Signal, Duration> out;
  for (const auto& [name, value] : TRY(ParsePairs(text, "=", "eviction-soft-grace-period"))) {
    const Signal signal = TRY(ParseSignal(name));
    const Duration grace = TRY(ParseDuration(value));
    if (grace < Duration::zero()) {
      return BadRequest(
          fmt::format("invalid eviction grace period specified: {}, must be a positive value", value));
    }
    out[signal] = grace;
  }
  return out;
}

Result<std::map<Signal, EvictionAmount>> ParseReclaims(std::string_view text) {
  std::map<Signal, EvictionAmount> out;
  for (const auto& [name, value] : TRY(ParsePairs(text, "=", "eviction-minimum-reclaim"))) {
    EvictionAmount& amount = out[TRY(ParseSignal(name))];
    if (value.ends_with('%')) {
      amount.fraction = TRY(ParsePercentage(value));
      if (amount.fraction <= 0) {
        return BadRequest(fmt::format("eviction percentage minimum reclaim {} must be positive: {}", name, value));
      }
      continue;
    }
    amount.quantity = TRY(Quantity::Parse(value));
    if (amount.quantity->Sign() < 0) {
      return BadRequest(fmt::format("negative eviction minimum reclaim specified for {}", name));
    }
  }
  return out;
}

bool IsSame(const Threshold& a, const Threshold& b) {
  return a.signal == b.signal && a.grace == b.grace && a.value.fraction == b.value.fraction &&
         a.value.quantity.has_value() == b.value.quantity.has_value() &&
         (!a.value.quantity || *a.value.quantity == *b.value.quantity);
}

}  // namespace

std::string_view SignalName(Signal signal) { return InfoOf(signal).name; }

Starved ResourceOf(Signal signal) { return InfoOf(signal).resource; }

std::string_view ResourceName(Starved resource) {
  switch (resource) {
    case Starved::kMemory:
      return "memory";
    case Starved::kInodes:
      return "inodes";
    case Starved::kPids:
      return "pids";
    case Starved::kDisk:
      break;
  }
  return "ephemeral-storage";
}

int64_t EvictionAmount::Of(int64_t capacity) const {
  if (quantity) return quantity->Value();
  return static_cast<int64_t>(static_cast<double>(capacity) * static_cast<double>(fraction));
}

std::string EvictionAmount::ToString() const {
  // As the flags have it; what a float adds beyond is left out.
  return quantity ? quantity->ToString() : fmt::format("{}%", std::round(static_cast<double>(fraction) * 1e6) / 1e4);
}

Result<EvictionConfig> ParseEviction(const EvictionFlags& flags) {
  EvictionConfig out;
  out.transition = flags.transition;
  out.pod_grace_most = flags.pod_grace_most;
  if (out.transition < Duration::zero()) {
    return BadRequest("--eviction-pressure-transition-period: want no less than 0");
  }
  out.thresholds = TRY(ParseThresholds(flags.hard, "eviction-hard"));
  auto soft = TRY(ParseThresholds(flags.soft, "eviction-soft"));
  const auto graces = TRY(ParseGraces(flags.soft_grace));
  const auto reclaims = TRY(ParseReclaims(flags.reclaim));
  for (Threshold& threshold : soft) {
    const auto grace = graces.find(threshold.signal);
    if (grace == graces.end()) {
      return BadRequest(fmt::format("grace period must be specified for the soft eviction threshold {}",
                                    SignalName(threshold.signal)));
    }
    threshold.grace = grace->second;
    out.thresholds.push_back(threshold);
  }
  for (Threshold& threshold : out.thresholds) {
    const auto reclaim = reclaims.find(threshold.signal);
    if (reclaim != reclaims.end()) threshold.reclaim = reclaim->second;
  }
  std::ranges::stable_partition(out.thresholds,
                                [](const Threshold& one) { return one.signal == Signal::kMemoryAvailable; });
  return out;
}

EvictionConfig DefaultEviction() { return MUST(ParseEviction({})); }  // the flags' own defaults

std::vector<Threshold> ThresholdsMet(const std::vector<Threshold>& thresholds, const Observations& observations,
                                     bool reclaiming) {
  std::vector<Threshold> out;
  for (const Threshold& threshold : thresholds) {
    const auto seen = observations.find(threshold.signal);
    if (seen == observations.end()) continue;
    int64_t least = threshold.value.Of(seen->second.capacity);
    if (reclaiming && threshold.reclaim) least += threshold.reclaim->Of(seen->second.capacity);
    if (seen->second.available < least) out.push_back(threshold);
  }
  return out;
}

std::vector<Threshold> Pressures::Look(const Observations& observations, MonoTime now) {
  std::vector<Threshold> met = ThresholdsMet(config_.thresholds, observations, false);
  for (const Threshold& old : ThresholdsMet(unresolved_, observations, true)) {
    if (std::ranges::none_of(met, [&](const Threshold& one) { return IsSame(one, old); })) met.push_back(old);
  }
  std::ranges::stable_partition(met, [](const Threshold& one) { return one.signal == Signal::kMemoryAvailable; });
  std::vector<Seen> seen;
  std::vector<Threshold> due;
  for (const Threshold& threshold : met) {
    const auto before = std::ranges::find_if(seen_, [&](const Seen& one) { return IsSame(one.threshold, threshold); });
    seen.push_back({threshold, before == seen_.end() ? now : before->first});
    if (now - seen.back().first >= threshold.grace) due.push_back(threshold);
    const Starved resource = ResourceOf(threshold.signal);
    (resource == Starved::kMemory ? memory_seen_ : resource == Starved::kPids ? pids_seen_ : disk_seen_) = now;
  }
  seen_ = std::move(seen);
  unresolved_ = due;
  const auto holds = [&](const std::optional<MonoTime>& last) { return last && now - *last < config_.transition; };
  conditions_ = {.memory = holds(memory_seen_), .disk = holds(disk_seen_), .pids = holds(pids_seen_)};
  return due;
}

std::string BytesText(int64_t bytes) {
  constexpr std::string_view kUnits[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi"};
  size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{}{}", bytes, kUnits[unit]);
}

std::string AmountText(Signal signal, int64_t amount) {
  const Starved resource = ResourceOf(signal);
  return resource == Starved::kMemory || resource == Starved::kDisk ? BytesText(amount) : Quantity(amount).ToString();
}

}  // namespace knarr::node
