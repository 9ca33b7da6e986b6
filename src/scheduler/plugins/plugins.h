#pragma once

// The constructors of every plugin; plugins/all.cc lists those that run.

#include <memory>

#include "scheduler/plugin.h"

namespace knarr::scheduler {

std::unique_ptr<Filter> MakeNodeUnschedulable();
std::unique_ptr<Filter> MakeNodeName();
std::unique_ptr<Filter> MakeTaintFilter();
std::unique_ptr<Filter> MakeNodeAffinityFilter();
std::unique_ptr<Filter> MakeNodePorts();
std::unique_ptr<Filter> MakeResourcesFit();
std::unique_ptr<Filter> MakeVolumeRestrictions();
std::unique_ptr<Filter> MakeVolumeBinding();
std::unique_ptr<Filter> MakeVolumeZone();

std::unique_ptr<Scorer> MakeLeastAllocated();
std::unique_ptr<Scorer> MakeBalancedAllocation();
std::unique_ptr<Scorer> MakeTaintScorer();
std::unique_ptr<Scorer> MakeNodeAffinityScorer();
std::unique_ptr<Scorer> MakeSpread();

}  // namespace knarr::scheduler
