#pragma once

// Roles and their bindings, and requests for certificates. Internal to api/validation.

#include "api/validation/errors.h"
#include "doc/value.h"

namespace knarr::api::validation {

void ValidateRole(const doc::Value& object, Errors& errors);
void ValidateRoleUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateClusterRole(const doc::Value& object, Errors& errors);
void ValidateClusterRoleUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateRoleBinding(const doc::Value& object, Errors& errors);
void ValidateRoleBindingUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateClusterRoleBinding(const doc::Value& object, Errors& errors);
void ValidateClusterRoleBindingUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

/// Everything but what stands in spec.request and status.certificate, which takes cryptography to read.
void ValidateSigningRequest(const doc::Value& object, Errors& errors);
void ValidateSigningRequestUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateSigningRequestStatusUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateSigningRequestApproval(const doc::Value& object, const doc::Value& old, Errors& errors);
/// "example.com/signer".
void ValidateSignerName(std::string_view name, const Path& path, Errors& errors);

}  // namespace knarr::api::validation
