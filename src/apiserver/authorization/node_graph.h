#pragma once

// Which node may read what, because of the pods that are bound to it: kept from changes of pods, volumes, attachments
// and resource slices. Belongs to the world; requests on other threads ask there.

#include <string>
#include <string_view>
#include <vector>

#include "api/references.h"
#include "apiserver/authorization/rbac_index.h"
#include "apiserver/follower.h"

namespace knarr::apiserver {

using api::RefKind;

class NodeGraph {
 public:
  NodeGraph(rt::Runtime& world, store::Store& store);
  void Start();
  void Stop();
  /// Suspends until changes up to this durable revision count.
  void WaitFor(store::Revision revision);

  /// Whether a pod on the node refers to the object, directly or (secrets of volumes) by its claims.
  bool Refers(std::string_view node, RefKind kind, std::string_view ns, std::string_view name) const;
  bool RunsPod(std::string_view node, std::string_view ns, std::string_view name) const;
  /// Whether a pod on the node uses the persistent volume.
  bool UsesVolume(std::string_view node, std::string_view volume) const;
  bool HasAttachment(std::string_view node, std::string_view attachment) const;
  bool HasSlice(std::string_view node, std::string_view slice) const;

  // What the followers tell. `value` is null for what is gone; names are as in the store's keys ("ns/name").
  void SetPod(std::string_view key, const std::string* value);
  void SetVolume(std::string_view name, const std::string* value);
  void SetAttachment(std::string_view name, const std::string* value);
  void SetSlice(std::string_view name, const std::string* value);

 private:
  /// A node, or an object that pods refer to. It is there as long as something uses it.
  struct Vertex {
    std::string_view key;  ///< in the map
    size_t uses = 0;
    struct Link {
      const Vertex* node;
      size_t pods;
    };
    std::vector<Link> nodes;  ///< those whose pods refer to it
  };
  struct Pod {
    size_t digest = 0;  ///< of the bytes it was read from
    Vertex* node = nullptr;
    std::vector<Vertex*> references;
  };
  struct Volume {
    std::string claim;  ///< "ns/name"
    std::vector<std::string> secrets;
  };

  Vertex* Use(std::string key);
  void Unuse(Vertex* vertex);
  void Link(Vertex* object, const Vertex* node);
  void Unlink(Vertex* object, const Vertex* node);
  void RemovePod(std::string_view key);
  void RemoveVolume(std::string_view name);
  bool Reaches(std::string_view node, RefKind kind, std::string_view object) const;

  TextMap<Vertex> vertices_;  ///< by kind and name; nodes are of kind 'n'
  TextMap<Pod> pods_;
  TextMap<Volume> volumes_;
  TextMap<std::vector<std::string>> volumes_of_secret_;
  TextMap<std::string> attachments_;  ///< → node
  TextMap<std::string> slices_;       ///< → node
  std::vector<std::unique_ptr<Follower>> followers_;
};

}  // namespace knarr::apiserver
