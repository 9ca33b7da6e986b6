#pragma once

// The kinds that make pods. Internal to api/validation.

#include "api/validation/errors.h"
#include "doc/value.h"

namespace knarr::api::validation {

void ValidateReplicationController(const doc::Value& object, Errors& errors);
void ValidateReplicaSet(const doc::Value& object, Errors& errors);
void ValidateDeployment(const doc::Value& object, Errors& errors);
void ValidateDaemonSet(const doc::Value& object, Errors& errors);
void ValidateStatefulSet(const doc::Value& object, Errors& errors);
void ValidatePodTemplateObject(const doc::Value& object, Errors& errors);
void ValidateControllerRevision(const doc::Value& object, Errors& errors);

void ValidateReplicationControllerUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateReplicaSetUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateDeploymentUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateDaemonSetUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateStatefulSetUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidatePodTemplateObjectUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidateControllerRevisionUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

/// A number of pods, or a percentage of them; and that it is no more than all.
void ValidateAmount(const doc::Value& value, const Path& path, Errors& errors);
void ValidateAtMostAll(const doc::Value& value, const Path& path, Errors& errors);

/// Replica counts in a status: none negative, and none above the whole.
void ValidateReplicasStatus(const doc::Value& object, const doc::Value& old, Errors& errors);

}  // namespace knarr::api::validation
