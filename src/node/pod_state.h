#pragma once

// What the node agent knows of one pod besides its API object: the facts from which its status is computed and its next
// steps are planned. Plain data, so that both are pure functions with table tests.

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/core_v1.h"
#include "base/status.h"
#include "base/time.h"
#include "node/allocation.h"
#include "node/resize.h"
#include "runtime/runtime.h"

namespace knarr::node {

/// One container of the pod's spec.
struct ContainerRecord {
  std::string name;
  bool init = false;
  /// An init container that goes on beside the others: restartPolicy Always.
  bool sidecar = false;
  /// Added to the running pod for a while, to look at the others: it is started once, and nothing waits for it.
  bool ephemeral = false;
  /// The newest container made for it; absent before the first.
  std::optional<runtime::ContainerStatus> current;
  /// The one before, which has ended.
  std::optional<runtime::ContainerStatus> last;
  std::string image_id;  ///< what the image name was resolved to

  /// Why it is not running, when there is no `current` to tell ("ContainerCreating", "ErrImagePull", …).
  std::string waiting_reason = "ContainerCreating";
  std::string waiting_message;

  /// Crash back-off: the next restart may not be before this; zero when none is due.
  WallTime not_before{};
  Duration back_off{};
  /// When the last pull failed; zero when none did since the last success.
  WallTime pull_failed{};
  std::string pull_image;  ///< of that pull

  /// Not empty: it failed a probe and is to be stopped, for this reason and with this grace.
  std::string kill_message;
  Duration kill_grace{};

  /// It was stopped to get other resources: it is started again, whatever its end and the restart policy say.
  bool restart_anyway = false;

  /// Giving it other resources failed half-way, or it is not known how far that came: it is given them again, and even
  /// those that it should have.
  bool resources_in_doubt = false;

  /// It runs, but what is done right after its start is not done yet: others see it as not started.
  bool in_post_start = false;
  bool startup_passed = false;  ///< the startup probe has succeeded, or there is none
  bool ready = false;           ///< running, and the readiness probe (if any) has succeeded

  bool running() const { return current && current->state == runtime::ContainerState::kRunning; }
  bool exited() const { return current && current->state == runtime::ContainerState::kExited; }
  /// Running in the eyes of others.
  bool up() const { return running() && !in_post_start; }
  /// One of those whose work is the pod's.
  bool main() const { return !init && !ephemeral; }
  /// It goes on for as long as the pod does: has probes, and is ready or not.
  bool lasting() const { return main() || sidecar; }
  /// The number of the next start when nothing is left of those before: they were removed, and an agent came anew.
  uint32_t first_attempt = 0;
  /// How often it was started again.
  int restarts() const {
    const uint32_t next = next_attempt();
    return next == 0 ? 0 : static_cast<int>(next - 1);
  }
  /// The number of the next start. One that was made by an agent that was killed before it started it is no start.
  uint32_t next_attempt() const {
    if (current && current->state == runtime::ContainerState::kCreated) return current->attempt;
    return current ? current->attempt + 1 : last ? last->attempt + 1 : first_attempt;
  }
};

struct PodState {
  /// Init containers first and ephemeral ones last, each group in the spec's order. What is added moves no other:
  /// fibers hold on to records.
  std::deque<ContainerRecord> containers;
  bool sandbox_ready = false;
  /// The present sandbox; "" while there is none. What ran in one before it is no part of this beginning.
  std::string sandbox_id;
  bool terminating = false;  ///< being deleted, or its object is gone
  std::string pod_ip;
  std::string host_ip;
  std::string runtime_name = "knarr";  ///< what containers' ids begin with
  bool recursive_read_only = true;     ///< the runtime can mount so
  std::optional<WallTime> started;  ///< when the agent first saw it
  /// The containers' work is done, well or not: nothing is started any more, and sidecars that run are stopped.
  bool finished = false;
  /// Set when the agent itself failed the pod ("DeadlineExceeded"): phase Failed with this.
  std::string failed_reason;
  std::string failed_message;
  bool disrupted = false;  ///< it failed for the node's sake: condition DisruptionTarget
  bool work_counts = false;  ///< it has not failed, after all, if its containers end well
  bool restarting_all = false;  ///< see PodPlan
  bool rejected = false;  ///< it failed because the node never ran it

  Allocation allocated;                ///< what the node has set aside for it
  Allocation actuated;                 ///< what its containers were last given
  runtime::CgroupResources pod_group;  ///< what its control group was last given
  bool pod_group_in_doubt = false;     ///< as a container's resources_in_doubt
  ResizeState resize;

  /// Nothing is started any more.
  bool ending() const { return terminating || !failed_reason.empty(); }

  ContainerRecord* Find(std::string_view name);
  const ContainerRecord* Find(std::string_view name) const;
};

/// The records a new pod begins with.
PodState InitialState(api::core_v1::Pod pod);

/// Records for the ephemeral containers that the pod has and the state has not. Nobody may be in the middle of walking
/// over the records.
void AddEphemeral(PodState& state, api::core_v1::Pod pod);

/// The id of the container whose processes an ephemeral one is to see; "" when it names none. NotFound when there is
/// none by that name.
Result<std::string> PidTargetOf(const PodState& state, api::core_v1::Container container);

/// The end of a container that a status tells of.
runtime::ContainerStatus ToldEnd(api::core_v1::ContainerStatus told);

/// Puts what the runtime has of the pod's containers (of all its sandboxes) into the records: the newest of each name
/// is `current`, the one before `last`. Gives back the ids that are older still.
std::vector<std::string> AdoptContainers(PodState& state, std::vector<runtime::ContainerStatus> found);

/// What to do next.
struct PodPlan {
  std::vector<std::string> start;  ///< containers to start now, in this order
  /// When a back-off ends and it is worth planning again.
  std::optional<WallTime> recheck;
  bool finished = false;  ///< nothing will run again: the pod is Succeeded or Failed
  /// A container ended in a way that takes all others with it: they are removed, and the pod begins anew.
  bool restart_all = false;
};
PodPlan PlanPod(api::core_v1::Pod pod, const PodState& state, WallTime now);

/// Whether a container that ended so is started again, by its own restart policy and rules or else by the pod's.
bool ShouldRestart(api::core_v1::Pod pod, api::core_v1::Container container, int exit_code);
/// Whether its end takes all other containers of the pod with it, by its rules.
bool RestartsAll(api::core_v1::Pod pod, const ContainerRecord& record);
/// Whether that may ever happen in this pod.
bool MayRestartAll(api::core_v1::Pod pod);
/// The same of one that has ended.
bool ShouldRestart(api::core_v1::Pod pod, const ContainerRecord& record);
/// Whether one that is stopped while it runs is started again, which rules have no say in.
bool RestartsWhenStopped(api::core_v1::Pod pod, api::core_v1::Container container);

/// Whether a container may be stopped now: sidecars wait for the others and for the sidecars that came after them.
bool MayStop(const PodState& state, const ContainerRecord& record);

/// Notes a container's end: sets its crash back-off (10 s doubling to 5 min, from its second end on; forgotten once it
/// ran for ten minutes).
void NoteExit(ContainerRecord& record);

/// The PodStatus as upstream's kubelet computes it, on top of the status in `pod` (conditions set by others and
/// transition times are kept). `pod`: with its allocation as its spec.
void ComputePodStatus(api::core_v1::Pod pod, const PodState& state, WallTime now, api::core_v1::PodStatusEdit status);

/// "back-off 10s restarting failed container=web pod=web_default(uid)"
std::string BackOffMessage(const ContainerRecord& record, api::core_v1::Pod pod);

}  // namespace knarr::node
