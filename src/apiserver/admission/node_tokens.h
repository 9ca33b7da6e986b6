#pragma once

#include <string>

#include "apiserver/admission/admission.h"

namespace knarr::apiserver {

/// A node gets tokens of accounts for the pods that are bound to it, and only for the audiences that those ask for.
/// REQUIRES: a request about service accounts.
Ok AdmitNodeToken(const AdmissionRequest& request, const std::string& node);

}  // namespace knarr::apiserver
