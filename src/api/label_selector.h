#pragma once

// Label selectors as API objects carry them, turned into the one that matches.

#include "api/meta_v1.h"
#include "api/view.h"
#include "base/selector.h"

namespace knarr::api {

/// An absent selector matches nothing, an empty one everything (metav1.LabelSelectorAsSelector). BadRequest for a
/// requirement that makes no sense.
Result<LabelSelector> MakeSelector(meta_v1::LabelSelector selector);
/// A map of labels (Service, ReplicationController): an empty one matches nothing.
LabelSelector MakeSelector(StringMap labels);
bool Matches(const LabelSelector& selector, StringMap labels);

}  // namespace knarr::api
