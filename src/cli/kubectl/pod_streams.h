#pragma once

// What verbs share that work in one pod: which pod and container are meant, and joining the console to their streams.

#include <string>
#include <string_view>
#include <vector>

#include "api/core_v1.h"
#include "cli/kubectl/session.h"
#include "client/node_access.h"

namespace knarr::cli {

/// The object that POD, TYPE/NAME or TYPE NAME means.
struct NamedObject {
  const api::KindInfo* kind = nullptr;
  api::ObjectPtr object;
};
Result<NamedObject> FindNamed(Session& session, const std::vector<std::string>& args);

/// The selector of the pods that belong to a workload or a service; BadRequest with `failure` in front for what has
/// none.
Result<std::string> PodSelectorOf(const NamedObject& named, std::string_view failure);

/// A pod itself; the best of the pods of anything else, waited for up to `timeout`.
Result<api::ObjectPtr> FindPodOf(Session& session, const NamedObject& named, Duration timeout);

/// The pod's condition says so.
bool IsReady(api::core_v1::Pod pod);

struct ContainerNames {
  std::vector<std::string> regular;
  std::vector<std::string> ephemeral;
  std::vector<std::string> init;
  bool Has(std::string_view name) const;
  std::string ToString() const;  ///< "web, debugger-x (ephem), setup (init)"
};
ContainerNames ContainersOf(api::core_v1::Pod pod);

/// `container`, the one an annotation names, or the first, which is told unless `quiet`.
Result<std::string> PickContainer(Session& session, const api::Object& pod, const std::string& container, bool quiet);

struct StreamChoice {
  bool stdin_open = false;
  bool tty = false;
  std::string detach_keys;  ///< typed in this order at a terminal, they leave the command running; "": none do
};
/// Joins console and command until that has ended: its exit code.
Result<int> RunStreams(Session& session, client::ExecStream& stream, const StreamChoice& choice);

/// What the command writes to the console, until it ends: its exit code.
Result<int> CopyOutput(Console& console, client::ExecStream& stream);

/// "ctrl-p,ctrl-q" as the bytes that are typed. BadRequest.
Result<std::string> ParseDetachKeys(std::string_view text);

}  // namespace knarr::cli
