#pragma once

#include "store/store.h"

namespace knarr::apiserver {

/// A write of another object that goes with a write, in its transaction.
struct SideWrite {
  store::Compare compare;
  store::Op op;
};

}  // namespace knarr::apiserver
