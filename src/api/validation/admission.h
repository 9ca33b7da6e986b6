#pragma once

// Admission webhooks and admission policies. Expressions (CEL) are checked for presence, not compiled. Internal to
// api/validation.

#include "api/admissionregistration_v1.h"
#include "api/validation/errors.h"
#include "doc/value.h"

namespace knarr::api::validation {

/// Of both kinds of webhook configurations.
void ValidateWebhooks(const doc::Value& object, Errors& errors);
void ValidateWebhooksUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

void ValidateValidatingPolicy(const doc::Value& object, Errors& errors);
void ValidateValidatingPolicyUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateValidatingPolicyStatusUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateValidatingPolicyBinding(const doc::Value& object, Errors& errors);
void ValidateValidatingPolicyBindingUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateMutatingPolicy(const doc::Value& object, Errors& errors);
void ValidateMutatingPolicyUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateMutatingPolicyBinding(const doc::Value& object, Errors& errors);
void ValidateMutatingPolicyBindingUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

// Shared by webhooks and policies.

/// A rule with the operations it is for, as `rule` has them inline.
void ValidateAdmissionRule(const admissionregistration_v1::RuleWithOperations& rule, const Path& path, Errors& errors);
void ValidateMatchConditions(const ListView<admissionregistration_v1::MatchCondition>& conditions, const Path& path,
                             Errors& errors);
/// NotSupported when it is there and none of these.
void ValidateChoice(const std::optional<std::string_view>& value, std::initializer_list<std::string_view> supported,
                    const Path& path, Errors& errors);

}  // namespace knarr::api::validation
