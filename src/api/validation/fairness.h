#pragma once

// Flow schemas and priority levels. Internal to api/validation.

#include "api/validation/errors.h"
#include "doc/value.h"

namespace knarr::api::validation {

void ValidateFlowSchema(const doc::Value& object, Errors& errors);
void ValidateFlowSchemaUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidatePriorityLevel(const doc::Value& object, Errors& errors);
void ValidatePriorityLevelUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
/// Of both kinds.
void ValidateFairnessStatusUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

}  // namespace knarr::api::validation
