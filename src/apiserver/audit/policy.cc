#include "apiserver/audit/policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/names.h"
#include "base/strings.h"
#include "doc/json.h"
#include "doc/text.h"
#include "doc/yaml.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::array<std::string_view, 4> kLevels = {"None", "Metadata", "Request", "RequestResponse"};
constexpr std::array<std::string_view, 4> kStages = {"RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"};

bool Has(const std::vector<std::string>& list, std::string_view item) {
  return std::ranges::find(list, item) != list.end();
}

bool PathMatches(std::string_view path, std::string_view pattern) {
  if (pattern == "*" || pattern == path) return true;
  if (!pattern.ends_with('*')) return false;
  while (ConsumeSuffix(pattern, "*")) {
  }
  return path.starts_with(pattern);
}

/// Where a member is: of a Go struct of that name, "" or "rules." or "rules.resources." before the member's own.
struct Place {
  std::string_view owner;
  std::string_view before;
};
constexpr Place kPolicy = {"Policy", ""};
constexpr Place kRule = {"PolicyRule", "rules."};
constexpr Place kResources = {"GroupResources", "rules.resources."};

}  // namespace

std::string_view LevelText(AuditLevel level) { return kLevels[static_cast<size_t>(level)]; }
std::string_view StageText(AuditStage stage) { return kStages[static_cast<size_t>(stage)]; }

/// A policy's members and its errors, in Kubernetes' words. What has the wrong form ends the reading; what is wrong
/// otherwise is told together.
class AuditPolicy::Reader {
 public:
  Result<std::vector<Rule>> Read(const Value& root) {
    TRY(CheckKind(root));
    WarnOfUnknown(root, kPolicy, {"apiVersion", "kind", "metadata", "omitStages", "rules", "omitManagedFields"});
    AuditDecision common;
    const std::vector<std::string> stages = TRY(Texts(root, kPolicy, "omitStages", "v1.Stage"));
    const std::optional<bool> omit = TRY(Flag(root, kPolicy));
    common.omit_managed_fields = omit.value_or(false);
    ReadStages(stages, "omitStages", common);
    const Value& rules = root.At("rules");
    TRY(CheckList(rules, kPolicy, "rules", "v1.PolicyRule"));
    std::vector<Rule> out;
    for (size_t i = 0; i < rules.size(); ++i) {
      out.push_back(TRY(ReadRule(rules[i], fmt::format("rules[{}]", i), common)));
    }
    if (!errors_.empty()) return BadRequest(AggregateText(errors_));
    if (out.empty()) return BadRequest("loaded illegal policy with 0 rules");
    return out;
  }

 private:
  static Status WrongForm(const Value& value, const Place& place, std::string_view name, std::string_view type) {
    return BadRequest(fmt::format("failed decoding: json: cannot unmarshal {} into Go struct field {}.{}{} of type {}",
                                  doc::GoKind(value), place.owner, place.before, name, type));
  }

  static Ok CheckKind(const Value& root) {
    constexpr std::string_view kScheme = R"(scheme "pkg/runtime/scheme.go:111")";
    if (!root.is_object() && !root.is_null()) {
      return BadRequest(fmt::format("failed decoding: couldn't get version/kind; json parse error: json: cannot "
                                    "unmarshal {} into Go value of type struct {{ APIVersion string "
                                    "\"json:\\\"apiVersion,omitempty\\\"\"; Kind string "
                                    "\"json:\\\"kind,omitempty\\\"\" }}",
                                    doc::GoKind(root)));
    }
    for (const std::string_view name : {"apiVersion", "kind"}) {
      const Value& value = root.At(name);
      if (value.is_null() || value.is_string()) continue;
      return BadRequest(fmt::format("failed decoding: couldn't get version/kind; json parse error: json: cannot "
                                    "unmarshal {} into Go struct field .{} of type string",
                                    doc::GoKind(value), name));
    }
    const std::string_view version = root.At("apiVersion").AsString();
    const std::string_view kind = root.At("kind").AsString("Policy");
    if (version.empty()) {
      return BadRequest(fmt::format("unknown group version field audit.k8s.io/__internal, Kind={} in policy", kind));
    }
    if (version == "audit.k8s.io/v1" && kind == "Policy") return {};
    return BadRequest(
        fmt::format("failed decoding: no kind \"{}\" is registered for version \"{}\" in {}", kind, version, kScheme));
  }

  // Unknown members are left out, as they may be of a later version: but not silently.
  static void WarnOfUnknown(const Value& object, const Place& place, std::initializer_list<std::string_view> known) {
    for (const doc::Member& member : object.members()) {
      if (std::ranges::find(known, member.key) != known.end()) continue;
      LOG_WARN("audit policy: unknown field", {"field", fmt::format("{}{}", place.before, member.key)});
    }
  }

  static Ok CheckList(const Value& list, const Place& place, std::string_view name, std::string_view type) {
    if (list.is_null()) return {};
    if (!list.is_array()) return WrongForm(list, place, name, fmt::format("[]{}", type));
    const bool texts = type != "v1.PolicyRule" && type != "v1.GroupResources";
    for (const Value& item : list.items()) {
      if (!item.is_null() && !(texts ? item.is_string() : item.is_object())) return WrongForm(item, place, name, type);
    }
    return {};
  }

  static Result<std::vector<std::string>> Texts(const Value& object, const Place& place, std::string_view name,
                                                std::string_view type = "string") {
    const Value& list = object.At(name);
    TRY(CheckList(list, place, name, type));
    std::vector<std::string> out;
    for (const Value& item : list.items()) out.emplace_back(item.AsString());
    return out;
  }

  static Result<std::string_view> Text(const Value& object, const Place& place, std::string_view name,
                                       std::string_view type) {
    const Value& value = object.At(name);
    if (!value.is_null() && !value.is_string()) return WrongForm(value, place, name, type);
    return value.AsString();
  }

  static Result<std::optional<bool>> Flag(const Value& object, const Place& place) {
    constexpr std::string_view kName = "omitManagedFields";
    const Value& value = object.At(kName);
    if (value.is_null()) return std::optional<bool>();
    if (!value.is_bool()) return WrongForm(value, place, kName, "bool");
    return std::optional<bool>(value.AsBool());
  }

  void Invalid(std::string_view field, std::string_view value, std::string_view why) {
    errors_.push_back(fmt::format("{}: Invalid value: {}: {}", field, value, why));
  }

  void ReadStages(const std::vector<std::string>& stages, const std::string& path, AuditDecision& out) {
    for (size_t i = 0; i < stages.size(); ++i) {
      const auto at = std::ranges::find(kStages, stages[i]);
      if (at == kStages.end()) {
        Invalid(fmt::format("{}[{}]", path, i), GoQuote(stages[i]),
                fmt::format("allowed stages are {}", fmt::join(kStages, ",")));
      } else {
        out.omitted[static_cast<size_t>(at - kStages.begin())] = true;
      }
    }
  }

  void ReadLevel(std::string_view text, const std::string& path, AuditLevel& out) {
    const auto at = std::ranges::find(kLevels, text);
    if (text.empty()) {
      errors_.push_back(path + ": Required value");
    } else if (at == kLevels.end()) {
      errors_.push_back(fmt::format("{}: Unsupported value: {}: supported values: \"{}\"", path, GoQuote(text),
                                    fmt::join(kLevels, "\", \"")));
    } else {
      out = static_cast<AuditLevel>(at - kLevels.begin());
    }
  }

  Result<Rule> ReadRule(const Value& rule, const std::string& path, const AuditDecision& common) {
    WarnOfUnknown(rule, kRule,
                   {"level", "users", "userGroups", "verbs", "resources", "namespaces", "nonResourceURLs",
                    "omitStages", "omitManagedFields"});
    Rule out;
    out.decision = common;
    const std::string_view level = TRY(Text(rule, kRule, "level", "v1.Level"));
    out.users = TRY(Texts(rule, kRule, "users"));
    out.groups = TRY(Texts(rule, kRule, "userGroups"));
    out.verbs = TRY(Texts(rule, kRule, "verbs"));
    const Value& resources = rule.At("resources");
    TRY(CheckList(resources, kRule, "resources", "v1.GroupResources"));
    for (const Value& each : resources.items()) out.resources.push_back(TRY(ReadResources(each)));
    out.namespaces = TRY(Texts(rule, kRule, "namespaces"));
    out.paths = TRY(Texts(rule, kRule, "nonResourceURLs"));
    const std::vector<std::string> stages = TRY(Texts(rule, kRule, "omitStages", "v1.Stage"));
    const std::optional<bool> omit = TRY(Flag(rule, kRule));
    out.decision.omit_managed_fields = omit.value_or(common.omit_managed_fields);
    ReadLevel(level, path + ".level", out.decision.level);
    CheckPaths(out.paths, path + ".nonResourceURLs");
    CheckResources(out.resources, path + ".resources");
    ReadStages(stages, path + ".omitStages", out.decision);
    if (!out.paths.empty() && (!out.resources.empty() || !out.namespaces.empty())) {
      Invalid(path + ".nonResourceURLs", doc::ToJson(rule.At("nonResourceURLs")),
              "rules cannot apply to both regular resources and non-resource URLs");
    }
    return out;
  }

  static Result<Resources> ReadResources(const Value& value) {
    WarnOfUnknown(value, kResources, {"group", "resources", "resourceNames"});
    Resources out;
    out.group = TRY(Text(value, kResources, "group", "string"));
    out.resources = TRY(Texts(value, kResources, "resources"));
    out.names = TRY(Texts(value, kResources, "resourceNames"));
    return out;
  }

  void CheckResources(const std::vector<Resources>& all, const std::string& path) {
    for (const Resources& each : all) {
      if (!each.group.empty() && each.group != "*") {
        const Problems problems = CheckDns1123Subdomain(each.group);
        if (!problems.empty()) Invalid(path + ".group", GoQuote(each.group), Join(problems, ","));
      }
      if (!each.names.empty() && each.resources.empty()) {
        std::vector<std::string> names;
        for (const std::string& name : each.names) names.push_back(GoQuote(name));
        Invalid(path + ".resourceNames", "[" + Join(names, ",") + "]",
                "using resourceNames requires at least one resource");
      }
    }
  }

  void CheckPaths(const std::vector<std::string>& paths, const std::string& path) {
    for (size_t i = 0; i < paths.size(); ++i) {
      const std::string_view each = paths[i];
      if (each == "*") continue;
      const std::string field = fmt::format("{}[{}]", path, i);
      if (!each.starts_with('/')) {
        Invalid(field, GoQuote(each), "non-resource URL rules must begin with a '/' character");
      }
      if (each.substr(0, each.size() - std::min<size_t>(each.size(), 1)).contains('*')) {
        Invalid(field, GoQuote(each), "non-resource URL wildcards '*' must be the final character of the rule");
      }
    }
  }

  std::vector<std::string> errors_;
};

Result<AuditPolicy> AuditPolicy::Parse(std::string_view text) {
  doc::YamlOptions options;
  options.on_duplicate = [](std::string_view path, doc::Position at) {
    LOG_WARN("audit policy: a field is there twice, the last counts", {"field", path}, {"line", at.line});
  };
  const doc::YamlDocument parsed = TRY(doc::ParseYaml(text, options).Context("failed decoding: yaml"));
  AuditPolicy out;
  out.rules_ = TRY(Reader().Read(parsed.document.root));
  return out;
}

AuditDecision AuditPolicy::For(const Attributes& attributes) const {
  for (const Rule& rule : rules_) {
    if (Matches(rule, attributes)) return rule.decision;
  }
  return {};
}

bool AuditPolicy::Matches(const Rule& rule, const Attributes& attributes) {
  // Whoever has no name is nobody, whom no rule about users is for.
  if (!rule.users.empty() && (attributes.user.name.empty() || !Has(rule.users, attributes.user.name))) return false;
  if (!rule.groups.empty()) {
    const bool any =
        std::ranges::any_of(attributes.user.groups, [&](const std::string& group) { return Has(rule.groups, group); });
    if (!any) return false;
  }
  if (!rule.verbs.empty() && !Has(rule.verbs, attributes.verb)) return false;
  if (!rule.namespaces.empty() || !rule.resources.empty()) return MatchesResource(rule, attributes);
  if (rule.paths.empty()) return true;
  if (attributes.resource_request) return false;
  return std::ranges::any_of(rule.paths,
                             [&](const std::string& pattern) { return PathMatches(attributes.path, pattern); });
}

bool AuditPolicy::MatchesResource(const Rule& rule, const Attributes& attributes) {
  if (!attributes.resource_request) return false;
  if (!rule.namespaces.empty() && !Has(rule.namespaces, attributes.ns)) return false;
  if (rule.resources.empty()) return true;
  const std::string& sub = attributes.subresource;
  const std::string combined = sub.empty() ? attributes.resource : attributes.resource + "/" + sub;
  const auto names = [&](std::string_view pattern) {
    if (pattern == combined || pattern == "*") return true;
    if (!sub.empty() && pattern.starts_with("*/") && pattern.substr(2) == sub) return true;
    return ConsumeSuffix(pattern, "/*") && pattern == attributes.resource;
  };
  return std::ranges::any_of(rule.resources, [&](const Resources& each) {
    if (each.group != attributes.group && each.group != "*") return false;
    if (each.resources.empty()) return true;
    if (!each.names.empty() && !Has(each.names, attributes.name)) return false;
    return std::ranges::any_of(each.resources, names);
  });
}

}  // namespace knarr::apiserver
