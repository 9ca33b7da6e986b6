#pragma once

// What extends the API: aggregated API services and custom resource definitions. Internal to api/validation.

#include "api/validation/errors.h"
#include "doc/value.h"

namespace knarr::api::validation {

void ValidateApiService(const doc::Value& object, Errors& errors);
void ValidateApiServiceUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateApiServiceStatusUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateDefinition(const doc::Value& object, Errors& errors);
/// Of an update only: an update need not meet what the old definition did not meet, so that the rules of creation do
/// not apply as they are.
void ValidateDefinitionUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateDefinitionStatusUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

}  // namespace knarr::api::validation
