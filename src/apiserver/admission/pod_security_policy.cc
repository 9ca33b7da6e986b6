#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "apiserver/admission/pod_security.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::array<std::string_view, 3> kLevels = {"privileged", "baseline", "restricted"};

/// The rules by level and version, made once.
class RuleTable {
 public:
  RuleTable() {
    const std::vector<VersionedRule> baseline = BaselineRules();
    const std::vector<VersionedRule> restricted = RestrictedRules();
    for (const auto* rules : {&baseline, &restricted}) {
      for (const VersionedRule& rule : *rules) newest_ = std::max(newest_, rule.since);
    }
    for (int minor = 0; minor <= newest_; ++minor) {
      const auto own = At(baseline, minor);
      const auto more = At(restricted, minor);
      std::vector<PodSecurityRule> strict;
      for (const auto& [id, rule] : own) {
        baseline_[minor].push_back(rule->check);
        const bool stood_for =
            std::ranges::any_of(more, [&](const auto& each) { return each.second->overrides == id; });
        if (!stood_for) strict.push_back(rule->check);
      }
      for (const auto& [id, rule] : more) strict.push_back(rule->check);
      restricted_[minor] = std::move(strict);
    }
  }

  const std::vector<PodSecurityRule>& For(const PodSecurityPolicy& policy) const {
    const bool latest = policy.minor == PodSecurityPolicy::kLatest || policy.minor > newest_;
    const int minor = latest ? newest_ : policy.minor;
    return (policy.level == PodSecurityLevel::kBaseline ? baseline_ : restricted_).at(minor);
  }

 private:
  using ById = std::map<std::string_view, const VersionedRule*>;
  static ById At(const std::vector<VersionedRule>& rules, int minor) {
    ById out;
    for (const VersionedRule& rule : rules) {
      if (rule.since > minor) continue;
      const VersionedRule*& present = out[rule.id];
      if (present == nullptr || rule.since > present->since) present = &rule;
    }
    return out;
  }

  int newest_ = 0;
  std::map<int, std::vector<PodSecurityRule>> baseline_;
  std::map<int, std::vector<PodSecurityRule>> restricted_;
};

}  // namespace

std::string PodSecurityPolicy::Text() const {
  const std::string_view name = kLevels[static_cast<size_t>(level)];
  return minor == kLatest ? fmt::format("{}:latest", name) : fmt::format("{}:v1.{}", name, minor);
}

Result<PodSecurityLevel> ParsePodSecurityLevel(std::string_view text) {
  for (size_t i = 0; i < kLevels.size(); ++i) {
    if (kLevels[i] == text) return static_cast<PodSecurityLevel>(i);
  }
  return BadRequest(fmt::format("must be one of {}", fmt::join(kLevels, ", ")));
}

Result<int> ParsePodSecurityVersion(std::string_view text) {
  if (text == "latest") return PodSecurityPolicy::kLatest;
  std::string_view minor = text;
  const bool digits = ConsumePrefix(minor, "v1.") && !minor.empty() &&
                      std::ranges::all_of(minor, [](char c) { return c >= '0' && c <= '9'; });
  const Result<int64_t> number = ParseInt64(minor);
  if (!digits || !number.ok() || *number > INT32_MAX || (minor.size() > 1 && minor.front() == '0')) {
    return BadRequest("must be \"latest\" or \"v1.x\"");
  }
  return static_cast<int>(*number);
}

std::vector<PodSecurityViolation> CheckPodSecurity(const PodSecurityPolicy& policy, const Value& metadata,
                                                   const Value& spec) {
  static const RuleTable kTable;
  std::vector<PodSecurityViolation> out;
  if (policy.level == PodSecurityLevel::kPrivileged) return out;
  for (const PodSecurityRule rule : kTable.For(policy)) rule({metadata, spec, out});
  return out;
}

std::string ViolationReasons(const std::vector<PodSecurityViolation>& violations) {
  std::string out;
  for (const PodSecurityViolation& each : violations) {
    if (!out.empty()) out += ", ";
    out += each.reason;
  }
  return out;
}

std::string ViolationDetails(const std::vector<PodSecurityViolation>& violations) {
  std::string out;
  for (const PodSecurityViolation& each : violations) {
    if (!out.empty()) out += ", ";
    out += each.reason;
    if (!each.detail.empty()) out += fmt::format(" ({})", each.detail);
  }
  return out;
}

std::vector<const Value*> ContainersOf(const Value& spec) {
  std::vector<const Value*> out;
  for (const std::string_view list : {"initContainers", "containers", "ephemeralContainers"}) {
    for (const Value& container : spec.At(list).items()) out.push_back(&container);
  }
  return out;
}

std::string Quoted(const std::vector<std::string>& items) {
  return items.empty() ? std::string() : fmt::format("\"{}\"", fmt::join(items, "\", \""));
}

std::string ContainersText(const std::vector<std::string>& names) {
  return fmt::format("{} {}", names.size() == 1 ? "container" : "containers", Quoted(names));
}

std::string NameOfContainer(const Value& container) { return std::string(container.At("name").AsString()); }

bool InUserNamespace(const Value& spec) {
  const Value& host_users = spec.At("hostUsers");
  return host_users.is_bool() && !host_users.AsBool();
}

}  // namespace knarr::apiserver
