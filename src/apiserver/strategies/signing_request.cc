// Requests for certificates: who asks is written down, and then nothing changes but the approval and the certificate.

#include <algorithm>
#include <set>
#include <vector>

#include "apiserver/strategies/extension.h"
#include "apiserver/strategies/strategies.h"
#include "base/strings.h"
#include "base/time.h"
#include "net/certificate_request.h"

namespace knarr::apiserver {
namespace {

using api::ErrorList;
using api::FieldErrorType;
using doc::Arena;
using doc::Document;
using doc::Value;

Value Texts(const std::vector<std::string>& texts, Arena& arena) {
  Value list = Value::Array();
  for (const std::string& text : texts) list.Append(arena, Value::String(arena, text));
  return list;
}

void WriteRequester(const UserInfo& user, Document& object) {
  Value& spec = object.root.Ensure(object.arena, "spec");
  if (!spec.is_object()) spec = Value::Object();
  for (const std::string_view member : {"username", "uid", "groups", "extra"}) spec.Remove(member);
  spec.Set(object.arena, "username", Value::String(object.arena, user.name));
  spec.Set(object.arena, "uid", Value::String(object.arena, user.uid));
  spec.Set(object.arena, "groups", Texts(user.groups, object.arena));
  Value extra = Value::Object();
  for (const auto& [key, values] : user.extra) extra.SetCopy(object.arena, key, Texts(values, object.arena));
  spec.Set(object.arena, "extra", extra);
}

Value* Conditions(Value& object) {
  Value* status = object.Find("status");
  return status == nullptr ? nullptr : status->Find("conditions");
}

std::vector<size_t> IndicesOf(const Value& conditions, std::string_view type) {
  std::vector<size_t> found;
  for (size_t i = 0; i < conditions.size(); ++i) {
    if (conditions[i].At("type").AsString() == type) found.push_back(i);
  }
  return found;
}

// What was approved or denied stays as it was written; that some were added or taken away is for the rules to refuse.
void KeepConditions(Document& object, const Value& old, std::string_view type) {
  Value* conditions = Conditions(object.root);
  if (conditions == nullptr) return;
  const Value& before = old.Get("status", "conditions");
  const std::vector<size_t> from = IndicesOf(before, type);
  const std::vector<size_t> to = IndicesOf(*conditions, type);
  if (from.size() != to.size()) return;
  for (size_t i = 0; i < from.size(); ++i) (*conditions)[to[i]] = before[from[i]].Clone(object.arena);
}

// When a condition of this type and status was first seen.
Value TransitionTime(const Value& condition, const Value& old, const Value& now) {
  for (const Value& before : old.Get("status", "conditions").items()) {
    const bool same =
        before.At("type").Equals(condition.At("type")) && before.At("status").Equals(condition.At("status"));
    if (same && before.At("lastTransitionTime").is_string()) return before.At("lastTransitionTime");
  }
  return now;
}

void StampConditions(WallTime time, Document& object, const Value& old) {
  Value* conditions = Conditions(object.root);
  if (conditions == nullptr) return;
  const Value now = Value::String(object.arena, FormatTime(time));
  for (Value& condition : conditions->items()) {
    if (condition.At("lastUpdateTime").is_null()) condition.Set(object.arena, "lastUpdateTime", now);
    if (!condition.At("lastTransitionTime").is_null()) continue;
    condition.Set(object.arena, "lastTransitionTime", TransitionTime(condition, old, now).Clone(object.arena));
  }
}

// What takes cryptography to find out is put where upstream has it among the other errors.
void AddRequestError(const Value& object, ErrorList& errors) {
  const std::string_view text = object.Get("spec", "request").AsString();
  const Ok checked = net::CheckSigningRequest(Base64Decode(text).value_or(""));
  if (checked.ok()) return;
  // An absent request is null in Go.
  const std::string shown = object.Get("spec", "request").is_null() ? "null" : GoQuote(text);
  const auto at = std::ranges::find_if(errors, [](const auto& error) { return !error.field.starts_with("metadata"); });
  errors.insert(
      at, {FieldErrorType::kInvalid, "spec.request", "Invalid value: " + shown + ": " + checked.status().message()});
}

void AddCertificateError(const Value& object, const Value* old, ErrorList& errors) {
  const std::string_view text = object.Get("status", "certificate").AsString();
  const std::string_view before = old == nullptr ? "" : old->Get("status", "certificate").AsString();
  if (text.empty() || (old != nullptr && text == before)) return;
  // What was bad before may stay so.
  if (!before.empty() && !net::CheckCertificates(Base64Decode(before).value_or("")).ok()) return;
  const Ok checked = net::CheckCertificates(Base64Decode(text).value_or(""));
  if (checked.ok()) return;
  const auto at = std::ranges::find_if(errors, [](const auto& error) {
    return error.type == FieldErrorType::kForbidden && error.field.starts_with("status");
  });
  errors.insert(at, {FieldErrorType::kInvalid, "status.certificate",
                     "Invalid value: \"<certificate data>\": " + checked.status().message()});
}

class SigningRequestStrategy : public ExtensionStrategy {
 public:
  using ExtensionStrategy::ExtensionStrategy;

  Ok PrepareForCreate(const StrategyContext& context, Document& object) const override {
    TRY(ExtensionStrategy::PrepareForCreate(context, object));
    WriteRequester(context.user, object);
    return {};
  }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, Document& object,
                      const Value& old) const override {
    TRY(ExtensionStrategy::PrepareForUpdate(context, target, object, old));
    KeepMember(object, old, "spec");
    if (target == Target::kObject) return {};
    if (target == Target::kStatus) {
      KeepConditions(object, old, "Approved");
      KeepConditions(object, old, "Denied");
    }
    StampConditions(context.now, object, old);
    if (target == Target::kSpecial) KeepAllButConditions(object, old);
    return {};
  }

  ErrorList Validate(const Value& object) const override {
    ErrorList errors = ExtensionStrategy::Validate(object);
    AddRequestError(object, errors);
    AddCertificateError(object, nullptr, errors);
    return errors;
  }

  ErrorList ValidateUpdate(Target target, const Value& object, const Value& old) const override {
    ErrorList errors = target == Target::kSpecial ? api::ValidateApproval(kind_, object, old)
                                                  : ExtensionStrategy::ValidateUpdate(target, object, old);
    AddRequestError(object, errors);
    AddCertificateError(object, &old, errors);
    return errors;
  }

 private:
  // The approval subresource.
  static void KeepAllButConditions(Document& object, const Value& old) {
    const Value* conditions = Conditions(object.root);
    const Value kept = conditions == nullptr ? Value::Null() : *conditions;
    KeepMember(object, old, "status");
    Value& status = object.root.Ensure(object.arena, "status");
    if (!status.is_object()) status = Value::Object();
    status.Set(object.arena, "conditions", kept);
  }
};

}  // namespace

std::unique_ptr<Strategy> MakeSigningRequestStrategy(const api::KindInfo& kind, const ExtensionTraits& traits) {
  return std::make_unique<SigningRequestStrategy>(kind, traits);
}

}  // namespace knarr::apiserver
