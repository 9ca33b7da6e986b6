#pragma once

// How simulated nodes and their pods live, as data: what nodes there are and when they die, how long pods take to
// start, what becomes of their containers. Read from a small YAML file (docs/guide/hollow-nodes.md), or made by a
// simulation.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/core_v1.h"
#include "base/ip.h"
#include "base/selector.h"
#include "base/status.h"
#include "base/time.h"
#include "rt/runtime.h"

namespace knarr::hollow {

/// A time drawn evenly between two bounds: "2s", "100ms..3s".
struct Span {
  Duration least{};
  Duration most{};
  static Result<Span> Parse(std::string_view text);
  Duration Draw(rt::Runtime& runtime) const;
  bool operator==(const Span&) const = default;
};

/// What becomes of a container each time it is started.
struct Outcome {
  int64_t weight = 1;
  std::optional<Span> after;  ///< it ends so long after its start; nullopt: it runs on
  int exit_code = 0;
  std::string reason;   ///< of its end ("": Completed or Error); with `fails_pod` the pod's
  std::string message;  ///< of its end
  std::string waiting;  ///< it never starts, and this is why: "ImagePullBackOff"
  bool fails_pod = false;  ///< the whole pod fails with it, whatever its restart policy: an eviction by the node
};

/// The life of the pods that it fits.
struct PodLifeCycle {
  std::string name;
  std::string ns;  ///< "": of any namespace
  LabelSelector selector;
  Span start;  ///< from the pod's arrival until its first container runs
  Span init;   ///< how long each init container runs
  Span ready;  ///< from running to being ready
  Span stop;   ///< how long it takes to end, at most the pod's grace period
  std::optional<Span> restart;    ///< pause before a container is started again; nullopt: 10 s, doubled up to 5 min
  std::vector<Outcome> outcomes;  ///< none: containers run on for ever
};

/// A kind of node.
struct NodeShape {
  std::string name = "hollow";  ///< its nodes are called <name>-<number>
  int64_t weight = 1;           ///< its share of all nodes
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<std::pair<std::string, std::string>> capacity;  ///< sorted by name; always has "pods"
  struct Taint {
    std::string key;
    std::string value;
    std::string effect;
  };
  std::vector<Taint> taints;
  std::optional<Span> lives;  ///< then the node dies
  std::optional<Span> gone;   ///< and comes back after this; nullopt: never
  int64_t pods() const;
};

struct LifeCycles {
  std::vector<NodeShape> nodes = {DefaultShape()};
  std::vector<PodLifeCycle> pods;  ///< the first that fits counts; none: PodLifeCycle()
  Cidr pod_range = DefaultPodRange();
  Cidr node_range = DefaultNodeRange();
  Duration heartbeat = std::chrono::seconds(10);

  /// BadRequest with line, column and what is wrong.
  static Result<LifeCycles> Parse(std::string_view yaml);
  static NodeShape DefaultShape();
  static Cidr DefaultPodRange();
  static Cidr DefaultNodeRange();

  const PodLifeCycle& For(api::core_v1::Pod pod) const;
  /// BadRequest when the ranges have no room for nodes up to this number.
  Ok CheckCount(int count) const;
  /// The length of the prefix of each node's pod addresses.
  int PodPrefix() const;
  /// The shape of node number `index`: the shares of the shapes hold for each stretch of nodes.
  const NodeShape& ShapeOf(int index) const;
};

}  // namespace knarr::hollow
