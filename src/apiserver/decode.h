#pragma once

// Objects out of requests' bodies, and what upstream says when a body is none.

#include <string>
#include <string_view>

#include "api/codec.h"
#include "apiserver/content.h"
#include "apiserver/operations.h"

namespace knarr::apiserver {

/// A request's object: of `kind` unless its text says otherwise (then BadRequest). Canonical.
Result<doc::Document> DecodeBody(RequestContext& context, std::string_view body, Encoding encoding,
                                 const api::KindInfo& kind, FieldValidation validation);

/// Of any group-version; what a DeleteOptions does not have is ignored.
Result<doc::Document> DecodeDeleteOptions(std::string_view body, Encoding encoding);

/// Why an object that was decoded, or could not be, is none of the kind: `no kind "Foo" is registered for version "v1"
/// in scheme …`, `converting (v1.Secret) to (core.ConfigMap): unknown conversion`. `failure` is what the
/// decoder says; "" when it made something else.
std::string WhyNoObject(const api::KindInfo& kind, const api::Decoded& found, std::string_view failure);

}  // namespace knarr::apiserver
