#pragma once

// Pods that nobody is left to end: those of nodes that are gone (after a while, lest a node is only late), those that
// are being deleted and have no node, or one that was given up (taint node.kubernetes.io/out-of-service), and the
// oldest of those that have finished when there are too many. Each becomes Failed, so that its owner sees how it went,
// and is removed without grace.

#include "controller/framework/controller.h"

namespace knarr::controller {

std::unique_ptr<Controller> MakePodGarbageCollector(Context context);

/// Whether `a` goes before `b` when there are too many finished pods: evicted ones first, then by age and name.
bool GoesFirst(const api::Object& a, const api::Object& b);

}  // namespace knarr::controller
