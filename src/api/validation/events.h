#pragma once

// What an Event must be, in its core/v1 form. Internal to api/validation.

#include "api/validation/errors.h"
#include "doc/value.h"

namespace knarr::api::validation {

/// Written through core/v1: the old rules alone.
void ValidateEvent(const doc::Value& object, Errors& errors);
void ValidateEventUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
/// Written through events.k8s.io/v1: stricter.
void ValidateNewEvent(const doc::Value& object, Errors& errors);
void ValidateNewEventUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

}  // namespace knarr::api::validation
