#pragma once

// Whether an object may be stored: upstream's rules, in upstream's words, order and field paths. They are written by
// hand (api/validation/); kinds without their own get those of metadata, and of the schema's required fields and enums.

#include <string>
#include <string_view>
#include <vector>

#include "api/schema.h"
#include "base/status.h"
#include "doc/value.h"

namespace knarr::api {

enum class FieldErrorType : uint8_t {
  kNotFound,
  kRequired,
  kDuplicate,
  kInvalid,
  kNotSupported,
  kForbidden,
  kTooLong,
  kTooMany,
  kTypeInvalid,
  kInternal,
};

/// One thing that is wrong with one field.
struct FieldError {
  FieldErrorType type;
  std::string field;  ///< "spec.containers[0].name"
  std::string body;   ///< "Required value", "Invalid value: \"x\": must be …"
};

using ErrorList = std::vector<FieldError>;

/// Each error once. REQUIRES (all): canonical, defaulted trees.
ErrorList ValidateCreate(const KindInfo& kind, const doc::Value& object);
/// What holds of the metadata in every update, of whatever kind and part; upstream tells it first.
ErrorList ValidateAnyUpdate(const KindInfo& kind, const doc::Value& object, const doc::Value& old);
/// Also what the kind is allowed to change. The new object has its final metadata (resourceVersion, uid, …).
ErrorList ValidateUpdate(const KindInfo& kind, const doc::Value& object, const doc::Value& old);
/// Of the status subresource.
ErrorList ValidateStatusUpdate(const KindInfo& kind, const doc::Value& object, const doc::Value& old);
/// Of the approval subresource. REQUIRES: the kind has one.
ErrorList ValidateApproval(const KindInfo& kind, const doc::Value& object, const doc::Value& old);

/// Of a pod's resize and ephemeralcontainers subresources.
ErrorList ValidatePodResize(const doc::Value& object, const doc::Value& old);
ErrorList ValidatePodEphemeralContainers(const doc::Value& object, const doc::Value& old);

/// Of a Service's rules those about its cluster addresses and their families: they must hold before addresses are
/// handed out.
ErrorList ValidateServiceAddresses(const doc::Value& service);

/// Whether the name may be used for an object of the kind: upstream's words, empty when it may. `prefix`: it is a
/// generateName.
std::vector<std::string> CheckObjectName(const KindInfo& kind, std::string_view name, bool prefix = false);

/// `Pod "x" is invalid: spec.containers[0].name: Required value`, with causes. REQUIRES: some error.
Status InvalidObject(const KindInfo& kind, std::string_view name, const ErrorList& errors);

}  // namespace knarr::api
