#pragma once

// Devices handed out by ResourceClaims (dynamic resource allocation). Expressions (CEL) of selectors are not compiled.
// Internal to api/validation.

#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "api/resource_v1.h"
#include "api/validation/errors.h"
#include "doc/value.h"

namespace knarr::api::validation {

void ValidateResourceClaim(const doc::Value& object, Errors& errors);
void ValidateResourceClaimUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateResourceClaimStatusUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateResourceClaimTemplate(const doc::Value& object, Errors& errors);
void ValidateResourceClaimTemplateUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateDeviceClass(const doc::Value& object, Errors& errors);
void ValidateDeviceClassUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateResourceSlice(const doc::Value& object, Errors& errors);
void ValidateResourceSliceUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

// Shared by claims, classes and slices.

constexpr size_t kDeviceRequestsMax = 32;

/// False, and TooMany, when the list is longer: then its elements are not looked at.
bool ValidateSize(const doc::Value& list, size_t most, const Path& path, Errors& errors);
/// Reports the elements whose keys were there before.
void ValidateUnique(const doc::Value& list, const std::function<std::string(const doc::Value& item)>& key,
                    const Path& path, Errors& errors);
/// A list of at most `most` texts, each once.
void ValidateTextSet(const doc::Value& list, size_t most,
                     const std::function<void(std::string_view text, const Path& path)>& item, const Path& path,
                     Errors& errors);

void ValidatePoolName(std::string_view name, const Path& path, Errors& errors);
/// "name" or "domain/name".
void ValidateDeviceQualifiedName(std::string_view name, const Path& path, Errors& errors);
void ValidateDeviceSelectors(const doc::Value& list, const Path& path, Errors& errors);
void ValidateDeviceConfiguration(const resource_v1::OpaqueDeviceConfiguration& opaque, bool stored, const Path& path,
                                 Errors& errors);
void ValidateDeviceTolerations(const ListView<resource_v1::DeviceToleration>& tolerations, const Path& path,
                               Errors& errors);
void ValidateDeviceTaint(const resource_v1::DeviceTaint& taint, const Path& path, Errors& errors);
/// bindingConditions and bindingFailureConditions of a device or of a result.
void ValidateBindingConditions(const doc::Value& owner, const Path& path, Errors& errors);
/// "", or what is wrong with a text that should be a UUID.
void ValidateUuid(std::string_view text, const Path& path, Errors& errors);
/// An object of at most `most` bytes of JSON, or of any size when it was `stored` before.
void ValidateRawObject(const doc::Value& value, bool stored, size_t most, const Path& path, Errors& errors);

}  // namespace knarr::api::validation
