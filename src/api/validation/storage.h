#pragma once

// PersistentVolumes and their claims. Internal to api/validation.

#include <cstdint>

#include "api/core_v1.h"
#include "api/validation/errors.h"

namespace knarr::api::validation {

/// Whether a volume's spec stands in a PersistentVolume, or in an attachment of a volume that has none.
enum class VolumeUse : uint8_t { kPersistentVolume, kInline };
void ValidateVolumeSpec(const core_v1::PersistentVolumeSpec& spec, VolumeUse use, const Path& path, Errors& errors);

/// Whether the API groups of data sources must be well-formed, which was once not looked at.
enum class SourceGroups : uint8_t { kChecked, kAny };
void ValidateClaimSpec(const core_v1::PersistentVolumeClaimSpec& spec, SourceGroups groups, const Path& path,
                       Errors& errors);
/// Of an ephemeral volume: the metadata a claim is made with, and its spec.
void ValidateClaimTemplate(const doc::Value& claim, const Path& path, Errors& errors);

void ValidatePersistentVolume(const doc::Value& object, Errors& errors);
void ValidatePersistentVolumeClaim(const doc::Value& object, Errors& errors);
void ValidatePersistentVolumeClaimStatusUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidatePersistentVolumeUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidatePersistentVolumeClaimUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

}  // namespace knarr::api::validation
