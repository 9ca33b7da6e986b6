#pragma once

// metav1.LabelSelector, the selector inside objects, as one that matches.

#include <string>

#include "api/meta_v1.h"
#include "base/selector.h"
#include "base/status.h"

namespace knarr::api {

/// As metav1.LabelSelectorAsSelector: no selector matches nothing, an empty one everything. BadRequest, with
/// apimachinery's message, when an expression is malformed.
Result<LabelSelector> ToLabelSelector(const meta_v1::LabelSelector& selector);

/// All of the labels (ReplicationController's and Service's selectors): an empty map matches everything.
LabelSelector ToLabelSelector(const StringMap& labels);

bool Matches(const LabelSelector& selector, const StringMap& labels);

/// "a=b,c in (d,e)", "<none>" or "<error>": how tables and describe print it.
std::string FormatLabelSelector(const meta_v1::LabelSelector& selector);
/// "a=b,c=d" by key, or "<none>".
std::string FormatLabels(const StringMap& labels);

}  // namespace knarr::api
