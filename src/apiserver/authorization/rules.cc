#include "apiserver/authorization/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace knarr::apiserver {
namespace {

using doc::Value;
using Texts = std::vector<std::string>;

bool Has(const Texts& list, std::string_view item) { return std::ranges::find(list, item) != list.end(); }

Texts ReadTexts(const Value& list) {
  Texts out;
  for (const Value& item : list.items()) out.emplace_back(item.AsString());
  return out;
}

Value WriteTexts(const Texts& list, doc::Arena& arena) {
  Value out = Value::Array();
  for (const std::string& text : list) out.Append(arena, Value::String(arena, text));
  return out;
}

bool MatchesResource(const PolicyRule& rule, const Attributes& attributes) {
  const std::string_view resource = attributes.resource;
  const std::string_view sub = attributes.subresource;
  for (std::string_view allowed : rule.resources) {
    if (allowed == "*") return true;
    if (sub.empty()) {
      if (allowed == resource) return true;
      continue;
    }
    // "pods/log" or "*/log".
    const bool fits =
        allowed.size() > sub.size() && allowed.ends_with(sub) && allowed[allowed.size() - sub.size() - 1] == '/';
    if (!fits) continue;
    allowed.remove_suffix(sub.size() + 1);
    if (allowed == "*" || allowed == resource) return true;
  }
  return false;
}

// A path, or the beginning of paths and a star.
bool UrlCovers(std::string_view owner, std::string_view path) {
  return owner == path || (owner.ends_with('*') && path.starts_with(TrimRight(owner, "*")));
}

bool CoversResource(const Texts& owned, const std::string& wanted) {
  if (Has(owned, "*") || Has(owned, wanted)) return true;
  const auto parts = Cut(wanted, "/");
  return parts.has_value() && Has(owned, "*/" + std::string(parts->second));
}

bool HasAll(const Texts& owned, const Texts& wanted) {
  return std::ranges::all_of(wanted, [&](const std::string& one) { return Has(owned, one); });
}
bool CoversAll(const Texts& owned, const Texts& wanted) { return Has(owned, "*") || HasAll(owned, wanted); }

// Whether the rule covers a part as Breakdown makes them.
bool Covers(const PolicyRule& owner, const PolicyRule& part) {
  if (!CoversAll(owner.verbs, part.verbs) || !CoversAll(owner.api_groups, part.api_groups)) return false;
  for (const std::string& resource : part.resources) {
    if (!CoversResource(owner.resources, resource)) return false;
  }
  if (!owner.resource_names.empty()) {
    if (part.resource_names.empty() || !HasAll(owner.resource_names, part.resource_names)) return false;
  }
  return std::ranges::all_of(part.non_resource_urls, [&](const std::string& url) {
    return std::ranges::any_of(owner.non_resource_urls, [&](const std::string& own) { return UrlCovers(own, url); });
  });
}

void Breakdown(const PolicyRule& rule, std::vector<PolicyRule>& parts) {
  for (const std::string& group : rule.api_groups) {
    for (const std::string& resource : rule.resources) {
      for (const std::string& verb : rule.verbs) {
        if (rule.resource_names.empty()) parts.push_back({{verb}, {group}, {resource}, {}, {}});
        for (const std::string& name : rule.resource_names) parts.push_back({{verb}, {group}, {resource}, {name}, {}});
      }
    }
  }
  for (const std::string& url : rule.non_resource_urls) {
    for (const std::string& verb : rule.verbs) parts.push_back({{verb}, {}, {}, {}, {url}});
  }
}

// Go's %q of a list: ["a" "b"].
std::string QuoteAll(const Texts& list) {
  Texts quoted;
  for (const std::string& text : list) quoted.push_back(GoQuote(text));
  return "[" + Join(quoted, " ") + "]";
}

std::string Describe(const PolicyRule& rule) {
  Texts parts;
  const auto add = [&](std::string_view name, const Texts& list) {
    if (!list.empty()) parts.push_back(fmt::format("{}:{}", name, QuoteAll(list)));
  };
  add("APIGroups", rule.api_groups);
  add("Resources", rule.resources);
  add("NonResourceURLs", rule.non_resource_urls);
  add("ResourceNames", rule.resource_names);
  add("Verbs", rule.verbs);
  return "{" + Join(parts, ", ") + "}";
}

}  // namespace

PolicyRule ReadRule(const Value& rule) {
  return {ReadTexts(rule.At("verbs")), ReadTexts(rule.At("apiGroups")), ReadTexts(rule.At("resources")),
          ReadTexts(rule.At("resourceNames")), ReadTexts(rule.At("nonResourceURLs"))};
}

std::vector<PolicyRule> ReadRules(const Value& rules) {
  std::vector<PolicyRule> out;
  out.reserve(rules.size());
  for (const Value& rule : rules.items()) out.push_back(ReadRule(rule));
  return out;
}

Value WriteRule(const PolicyRule& rule, doc::Arena& arena) {
  Value out = Value::Object();
  out.AddMember(arena, "verbs", WriteTexts(rule.verbs, arena));
  const auto add = [&](std::string_view name, const Texts& list) {
    if (!list.empty()) out.AddMember(arena, name, WriteTexts(list, arena));
  };
  add("apiGroups", rule.api_groups);
  add("resources", rule.resources);
  add("resourceNames", rule.resource_names);
  add("nonResourceURLs", rule.non_resource_urls);
  return out;
}

Value WriteRules(std::span<const PolicyRule> rules, doc::Arena& arena) {
  Value out = Value::Array();
  for (const PolicyRule& rule : rules) out.Append(arena, WriteRule(rule, arena));
  return out;
}

bool RuleAllows(const PolicyRule& rule, const Attributes& attributes) {
  if (!Has(rule.verbs, attributes.verb) && !Has(rule.verbs, "*")) return false;
  if (!attributes.resource_request) {
    return std::ranges::any_of(rule.non_resource_urls,
                               [&](const std::string& url) { return UrlCovers(url, attributes.path); });
  }
  if (!Has(rule.api_groups, attributes.group) && !Has(rule.api_groups, "*")) return false;
  if (!MatchesResource(rule, attributes)) return false;
  return rule.resource_names.empty() || Has(rule.resource_names, attributes.name);
}

std::vector<PolicyRule> Uncovered(std::span<const PolicyRule* const> owned, std::span<const PolicyRule> wanted) {
  std::vector<PolicyRule> parts;
  for (const PolicyRule& rule : wanted) Breakdown(rule, parts);
  std::erase_if(parts, [&](const PolicyRule& part) {
    return std::ranges::any_of(owned, [&](const PolicyRule* owner) { return Covers(*owner, part); });
  });
  return parts;
}

std::vector<std::string> DescribeMissing(std::span<const PolicyRule> missing) {
  std::vector<PolicyRule> compact;
  for (const PolicyRule& part : missing) {
    const auto same = std::ranges::find_if(compact, [&](const PolicyRule& rule) {
      return part.non_resource_urls.empty() && rule.non_resource_urls.empty() && rule.api_groups == part.api_groups &&
             rule.resources == part.resources && rule.resource_names == part.resource_names;
    });
    if (same == compact.end()) {
      compact.push_back(part);
    } else {
      same->verbs.insert(same->verbs.end(), part.verbs.begin(), part.verbs.end());
    }
  }
  std::set<std::string> texts;
  for (const PolicyRule& rule : compact) texts.insert(Describe(rule));
  return {texts.begin(), texts.end()};
}

}  // namespace knarr::apiserver
