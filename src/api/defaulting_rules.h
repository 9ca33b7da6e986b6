#pragma once

// The rules of api/defaulting.h that need more than a constant. Internal to this folder.

#include <string_view>

#include "doc/members.h"
#include "doc/value.h"

namespace knarr::api {

/// Fills one message in, before its members are filled in.
using DefaultRule = void (*)(doc::Value& message, doc::Arena& arena);

/// nullptr when the type has no rule.
DefaultRule FindPodRule(std::string_view package, std::string_view type);
DefaultRule FindObjectRule(std::string_view package, std::string_view type);
DefaultRule FindExtensionRule(std::string_view package, std::string_view type);
DefaultRule FindGroupRule(std::string_view package, std::string_view type);

/// For those: the rule in a table of packages, types and rules.
template <typename Rules>
DefaultRule FindRule(const Rules& rules, std::string_view package, std::string_view type) {
  for (const auto& each : rules) {
    if (each.type == type && each.package == package) return each.rule;
  }
  return nullptr;
}

/// Rounds the quantities of a resource list up to thousandths, which is what the API keeps.
void RoundResourceList(doc::Value& list, doc::Arena& arena);

// Sets a member that is not there.
inline void Fill(doc::Value& message, doc::Arena& arena, std::string_view name, doc::Value value) {
  doc::Value& member = message.Ensure(arena, name);
  if (member.is_null()) member = value;
}
// Sets a text that is not there or empty, or a number that is 0.
inline void FillText(doc::Value& message, doc::Arena& arena, std::string_view name, std::string_view text) {
  doc::Value& member = message.Ensure(arena, name);
  if (member.AsString().empty()) member = doc::Value::Borrow(text);
}
inline void FillInt(doc::Value& message, doc::Arena& arena, std::string_view name, int64_t number) {
  doc::Value& member = message.Ensure(arena, name);
  if (member.AsInt() == 0) member = doc::Value::Int(number);
}
/// The member, made an empty object if it is not there.
inline doc::Value& FillObject(doc::Value& message, doc::Arena& arena, std::string_view name) {
  doc::Value& member = message.Ensure(arena, name);
  if (member.is_null()) member = doc::Value::Object();
  return member;
}
/// Copies the entries of `from` that `to` does not have.
inline void FillEntries(doc::Value& to, doc::Arena& arena, const doc::Value& from) {
  doc::MemberEdits edits(to, arena, from.size());
  for (const doc::Member& entry : from.members()) {
    if (edits.Find(entry.key) == nullptr) edits.Set(entry.key, entry.value);
  }
}

}  // namespace knarr::api
