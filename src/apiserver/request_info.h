#pragma once

// What a request's method, path and query ask for.

#include <string>
#include <string_view>

#include "apiserver/authorization/authorizer.h"
#include "net/http.h"

namespace knarr::apiserver {

/// The attributes of a request but for its user. Paths below /api and /apis that name a resource are resource requests,
/// all others are for their path. `verb` of a resource request is Kubernetes' ("list", "deletecollection").
Attributes ReadAttributes(std::string_view method, const net::Url& url);

/// What a list, watch or deletecollection is limited to. A field selector that fixes metadata.name makes the request
/// one for that name.
void AddSelectors(Attributes& attributes, std::string_view field_text, std::string_view label_text);

/// A query parameter as Go's conversion reads bools: absent, "0" and "false" are false; without a value it is true.
bool QueryBool(const net::Url& url, std::string_view name);

}  // namespace knarr::apiserver
