#pragma once

// HorizontalPodAutoscalers of autoscaling/v2, and v1's own fields. Internal to api/validation.

#include "api/validation/errors.h"
#include "doc/value.h"

namespace knarr::api::validation {

void ValidateAutoscaler(const doc::Value& object, Errors& errors);
void ValidateAutoscalerUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateAutoscalerStatusUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

}  // namespace knarr::api::validation
