#include "scheduler/plugins/plugins.h"

namespace knarr::scheduler {

Plugins DefaultPlugins() {
  Plugins out;
  out.filters.push_back(MakeNodeUnschedulable());
  out.filters.push_back(MakeNodeName());
  out.filters.push_back(MakeTaintFilter());
  out.filters.push_back(MakeNodeAffinityFilter());
  out.filters.push_back(MakeNodePorts());
  out.filters.push_back(MakeResourcesFit());
  out.filters.push_back(MakeVolumeRestrictions());
  out.filters.push_back(MakeVolumeBinding());
  out.filters.push_back(MakeVolumeZone());
  out.scorers.push_back(MakeTaintScorer());
  out.scorers.push_back(MakeNodeAffinityScorer());
  out.scorers.push_back(MakeSpread());
  out.scorers.push_back(MakeLeastAllocated());
  out.scorers.push_back(MakeBalancedAllocation());
  return out;
}

}  // namespace knarr::scheduler
