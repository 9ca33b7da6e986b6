#pragma once

// The kinds of storage.k8s.io. Internal to api/validation.

#include "api/validation/errors.h"
#include "doc/value.h"

namespace knarr::api::validation {

/// The name of a driver (of storage, of devices) in a field; Required when it is empty.
void ValidateDriverName(std::string_view name, const Path& path, Errors& errors);

void ValidateStorageClass(const doc::Value& object, Errors& errors);
void ValidateStorageClassUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateVolumeAttributesClass(const doc::Value& object, Errors& errors);
void ValidateVolumeAttributesClassUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateVolumeAttachment(const doc::Value& object, Errors& errors);
void ValidateVolumeAttachmentUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateCsiDriver(const doc::Value& object, Errors& errors);
void ValidateCsiDriverUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateCsiNode(const doc::Value& object, Errors& errors);
void ValidateCsiNodeUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateCsiStorageCapacity(const doc::Value& object, Errors& errors);
void ValidateCsiStorageCapacityUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

}  // namespace knarr::api::validation
