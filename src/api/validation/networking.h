#pragma once

// Ingresses and their classes, NetworkPolicies, and the addresses services get. Internal to api/validation.

#include "api/validation/errors.h"
#include "doc/value.h"

namespace knarr::api::validation {

void ValidateIngress(const doc::Value& object, Errors& errors);
void ValidateIngressUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateIngressStatusUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateIngressClass(const doc::Value& object, Errors& errors);
void ValidateIngressClassUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateNetworkPolicy(const doc::Value& object, Errors& errors);
void ValidateNetworkPolicyUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateIpAddress(const doc::Value& object, Errors& errors);
void ValidateIpAddressUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateServiceCidr(const doc::Value& object, Errors& errors);
void ValidateServiceCidrUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

/// A reference to an object by group, kind and name, as ingresses have it.
void ValidateTypedReference(const doc::Value& reference, const Path& path, Errors& errors);

}  // namespace knarr::api::validation
