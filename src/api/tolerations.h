#pragma once

// Whether a pod's toleration covers a node's taint.

#include <string_view>

#include "api/core_v1.h"

namespace knarr::api {

struct TaintText {
  std::string_view key;
  std::string_view value;
  std::string_view effect;
  static TaintText Of(core_v1::Taint taint) { return {taint.key(), taint.value(), taint.effect()}; }
};

bool Tolerates(core_v1::Toleration toleration, const TaintText& taint);
/// Any of the pod's tolerations does.
bool Tolerates(core_v1::Pod pod, const TaintText& taint);

}  // namespace knarr::api
