#pragma once

#include <string>

#include "doc/value.h"

namespace knarr::apiserver {

/// A Swagger 2.0 document in gnostic's protobuf form (openapi.v2.Document), which kubectl asks for.
std::string EncodeSwaggerProtobuf(const doc::Value& swagger);

}  // namespace knarr::apiserver
