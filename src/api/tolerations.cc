#include "api/tolerations.h"

namespace knarr::api {

bool Tolerates(core_v1::Toleration toleration, const TaintText& taint) {
  if (!toleration.effect().empty() && toleration.effect() != taint.effect) return false;
  if (!toleration.key().empty() && toleration.key() != taint.key) return false;
  if (toleration.operator_() == "Exists") return true;
  // An empty key with Exists covers everything; with any other operator it is no valid toleration.
  return !toleration.key().empty() && toleration.value() == taint.value;
}

bool Tolerates(core_v1::Pod pod, const TaintText& taint) {
  for (core_v1::Toleration toleration : pod.spec().tolerations()) {
    if (Tolerates(toleration, taint)) return true;
  }
  return false;
}

}  // namespace knarr::api
