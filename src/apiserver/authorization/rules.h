#pragma once

// RBAC's rules as functions: what a rule allows, and what rules cover other rules.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/authorization/authorizer.h"
#include "doc/value.h"

namespace knarr::apiserver {

PolicyRule ReadRule(const doc::Value& rule);
std::vector<PolicyRule> ReadRules(const doc::Value& rules);
/// In the arena, with only the members that are not empty (verbs always).
doc::Value WriteRule(const PolicyRule& rule, doc::Arena& arena);
doc::Value WriteRules(std::span<const PolicyRule> rules, doc::Arena& arena);

/// Whether the rule allows what the attributes ask.
bool RuleAllows(const PolicyRule& rule, const Attributes& attributes);

/// The parts of `wanted` (each of one verb, one group, one resource, at most one name; or one verb and one URL) that no
/// rule of `owned` covers.
std::vector<PolicyRule> Uncovered(std::span<const PolicyRule* const> owned, std::span<const PolicyRule> wanted);

/// "{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}" for each, those that differ only in their verb taken
/// together, sorted: what a refusal says is missing.
std::vector<std::string> DescribeMissing(std::span<const PolicyRule> missing);

}  // namespace knarr::apiserver
