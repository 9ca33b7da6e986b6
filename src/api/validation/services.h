#pragma once

// Services and the addresses behind them. Internal to api/validation.

#include "api/validation/errors.h"
#include "doc/value.h"

namespace knarr::api::validation {

/// Addresses that traffic for a service may not go to.
void ValidateEndpointIp(std::string_view text, const Path& path, Errors& errors);

/// The address, and the name, of a point of a load balancer in the status of a Service or an Ingress; what was among
/// the points `before` may stay.
void ValidatePointAddress(const doc::Value& point, const doc::Value& before, const Path& path, Errors& errors);
void ValidatePointName(const doc::Value& point, const Path& path, Errors& errors);

void ValidateService(const doc::Value& object, Errors& errors);
void ValidateServiceUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateServiceStatusUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateEndpoints(const doc::Value& object, Errors& errors);
void ValidateEndpointsUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateEndpointSlice(const doc::Value& object, Errors& errors);
void ValidateEndpointSliceUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

}  // namespace knarr::api::validation
