#pragma once

// Small kinds that hold for a whole cluster, and leases. Internal to api/validation.

#include "api/validation/errors.h"
#include "doc/value.h"

namespace knarr::api::validation {

void ValidatePriorityClass(const doc::Value& object, Errors& errors);
void ValidatePriorityClassUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateRuntimeClass(const doc::Value& object, Errors& errors);
void ValidateRuntimeClassUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateLease(const doc::Value& object, Errors& errors);
void ValidateLeaseUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

}  // namespace knarr::api::validation
