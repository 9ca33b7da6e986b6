#pragma once

// PodDisruptionBudgets. Internal to api/validation.

#include "api/validation/errors.h"
#include "doc/value.h"

namespace knarr::api::validation {

void ValidateDisruptionBudget(const doc::Value& object, Errors& errors);
void ValidateDisruptionBudgetUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateDisruptionBudgetStatusUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

}  // namespace knarr::api::validation
