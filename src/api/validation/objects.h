#pragma once

// ConfigMaps, Secrets, Namespaces, Nodes and the other kinds that are mostly data. Internal to api/validation.

#include "api/validation/errors.h"
#include "doc/value.h"

namespace knarr::api::validation {

void ValidateConfigMap(const doc::Value& object, Errors& errors);
void ValidateConfigMapUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateSecret(const doc::Value& object, Errors& errors);
void ValidateSecretUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateNamespace(const doc::Value& object, Errors& errors);
void ValidateNamespaceUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateNamespaceStatusUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateNode(const doc::Value& object, Errors& errors);
void ValidateNodeUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateBinding(const doc::Value& object, Errors& errors);
void ValidateLimitRange(const doc::Value& object, Errors& errors);
void ValidateResourceQuota(const doc::Value& object, Errors& errors);
void ValidateResourceQuotaUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateResourceQuotaStatusUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

}  // namespace knarr::api::validation
