#pragma once

// The conversions of each group. Internal to this folder. Each fills `to`, which has apiVersion and kind already.

#include "doc/value.h"

namespace knarr::api::conversion {

using Rule = void (*)(const doc::Value& from, doc::Document& to);

void AutoscalerV1ToV2(const doc::Value& from, doc::Document& to);
void AutoscalerV2ToV1(const doc::Value& from, doc::Document& to);

}  // namespace knarr::api::conversion
