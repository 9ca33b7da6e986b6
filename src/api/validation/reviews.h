#pragma once

// The reviews of authorization.k8s.io: what may be asked. Internal to api/validation.

#include "api/validation/errors.h"

namespace knarr::api::validation {

void ValidateSubjectAccessReview(const doc::Value& object, Errors& errors);
void ValidateSelfSubjectAccessReview(const doc::Value& object, Errors& errors);
void ValidateLocalSubjectAccessReview(const doc::Value& object, Errors& errors);

}  // namespace knarr::api::validation
