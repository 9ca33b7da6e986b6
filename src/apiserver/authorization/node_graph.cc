#include "apiserver/authorization/node_graph.h"

#include <algorithm>

#include "api/object.h"
#include "apiserver/object_io.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

std::string ObjectKey(RefKind kind, std::string_view object) {
  std::string key(1, static_cast<char>(kind));
  return key.append(object);
}
std::string NodeKey(std::string_view node) { return "n" + std::string(node); }
std::string InNamespace(std::string_view ns, std::string_view name) { return std::string(ns).append("/").append(name); }

bool IsMirror(const Value& pod) {
  return pod.Get("metadata", "annotations").Find("kubernetes.io/config.mirror") != nullptr;
}

// A digest of all that a pod's references come from; 0: it has to be read. Quotes inside texts are escaped, so the
// marks are found nowhere else.
size_t DigestOf(std::string_view pod) {
  const size_t spec = pod.find(",\"spec\":{");
  if (spec == std::string_view::npos || pod.find("esourceClaimStatus", spec) != std::string_view::npos) return 0;
  const size_t status = pod.rfind(",\"status\":{");
  if (status != std::string_view::npos && status < spec) return 0;
  return TextHash()(pod.substr(spec, status - spec));
}

bool Maps(const TextMap<std::string>& map, std::string_view key, std::string_view value) {
  const auto found = map.find(key);
  return found != map.end() && found->second == value;
}

void SetNode(TextMap<std::string>& map, std::string_view name, const std::string* value) {
  std::string node;
  if (value != nullptr) node = DecodeStored(*value).root.Get("spec", "nodeName").AsString();
  if (node.empty()) {
    const auto found = map.find(name);
    if (found != map.end()) map.erase(found);
  } else {
    map[std::string(name)] = std::move(node);
  }
}

}  // namespace

NodeGraph::NodeGraph(rt::Runtime& world, store::Store& store) {
  using Set = void (NodeGraph::*)(std::string_view, const std::string*);
  const auto follow = [&](std::string prefix, Set set, auto clear) {
    const auto load = [this, prefix, set, clear](const store::Snapshot& snapshot) {
      clear();
      snapshot.Visit(prefix, "", [&](std::string_view key, const store::Bytes& value, store::Revision) {
        (this->*set)(key.substr(prefix.size()), value.get());
        return true;
      });
    };
    const auto apply = [this, prefix, set](const std::vector<store::EventPtr>& events) {
      for (const store::EventPtr& event : events) {
        (this->*set)(std::string_view(event->key).substr(prefix.size()), event->value.get());
      }
    };
    followers_.push_back(std::make_unique<Follower>(world, store, FollowerOptions{"node-graph", prefix, load, apply}));
  };
  follow("/registry/core/pods/", &NodeGraph::SetPod, [this] {
    pods_.clear();
    vertices_.clear();
  });
  follow("/registry/core/persistentvolumes/", &NodeGraph::SetVolume, [this] {
    volumes_.clear();
    volumes_of_secret_.clear();
  });
  follow("/registry/storage.k8s.io/volumeattachments/", &NodeGraph::SetAttachment, [this] { attachments_.clear(); });
  follow("/registry/resource.k8s.io/resourceslices/", &NodeGraph::SetSlice, [this] { slices_.clear(); });
}

void NodeGraph::Start() {
  for (const auto& follower : followers_) follower->Start();
}

void NodeGraph::Stop() {
  for (const auto& follower : followers_) follower->Stop();
}

void NodeGraph::WaitFor(store::Revision revision) {
  for (const auto& follower : followers_) follower->WaitFor(revision);
}

NodeGraph::Vertex* NodeGraph::Use(std::string key) {
  const auto [at, made] = vertices_.try_emplace(std::move(key));
  Vertex& vertex = at->second;
  if (made) vertex.key = at->first;
  ++vertex.uses;
  return &vertex;
}

void NodeGraph::Unuse(Vertex* vertex) {
  if (--vertex->uses == 0) vertices_.erase(vertices_.find(vertex->key));
}

void NodeGraph::Link(Vertex* object, const Vertex* node) {
  for (Vertex::Link& link : object->nodes) {
    if (link.node != node) continue;
    ++link.pods;
    return;
  }
  object->nodes.push_back({node, 1});
}

void NodeGraph::Unlink(Vertex* object, const Vertex* node) {
  const auto link = std::ranges::find(object->nodes, node, &Vertex::Link::node);
  CHECK(link != object->nodes.end());
  if (--link->pods == 0) object->nodes.erase(link);
}

void NodeGraph::RemovePod(std::string_view key) {
  const auto found = pods_.find(key);
  if (found == pods_.end()) return;
  Pod& pod = found->second;
  for (Vertex* reference : pod.references) {
    Unlink(reference, pod.node);
    Unuse(reference);
  }
  Unuse(pod.node);
  pods_.erase(found);
}

void NodeGraph::SetPod(std::string_view key, const std::string* value) {
  // Most pods are written first without a node: they need no decoding.
  const bool bound = value != nullptr && api::Mentions(*value, "nodeName");
  const size_t digest = bound ? DigestOf(*value) : 0;
  if (const auto known = pods_.find(key); known != pods_.end()) {
    if (digest != 0 && digest == known->second.digest) return;  // only its status is new
    RemovePod(key);
  }
  if (!bound) return;
  const doc::Document pod = DecodeStored(*value);
  const std::string_view node = pod.root.Get("spec", "nodeName").AsString();
  if (node.empty()) return;
  Pod entry;
  entry.digest = digest;
  entry.node = Use(NodeKey(node));
  // A node makes the mirrors of its static pods itself: what they refer to gives it no rights.
  if (!IsMirror(pod.root)) {
    const std::string_view ns = key.substr(0, key.find('/'));
    std::vector<std::string> names;
    api::VisitPodReferences(pod.root, [&](RefKind kind, std::string_view name) {
      names.push_back(ObjectKey(kind, InNamespace(ns, name)));
    });
    std::ranges::sort(names);
    const auto repeated = std::ranges::unique(names);
    names.erase(repeated.begin(), repeated.end());
    for (std::string& name : names) {
      entry.references.push_back(Use(std::move(name)));
      Link(entry.references.back(), entry.node);
    }
  }
  pods_.emplace(key, std::move(entry));
}

void NodeGraph::RemoveVolume(std::string_view name) {
  const auto found = volumes_.find(name);
  if (found == volumes_.end()) return;
  for (const std::string& secret : found->second.secrets) {
    const auto volumes = volumes_of_secret_.find(secret);
    std::erase(volumes->second, name);
    if (volumes->second.empty()) volumes_of_secret_.erase(volumes);
  }
  volumes_.erase(found);
}

void NodeGraph::SetVolume(std::string_view name, const std::string* value) {
  RemoveVolume(name);
  if (value == nullptr) return;
  const doc::Document volume = DecodeStored(*value);
  const Value& claim = volume.root.Get("spec", "claimRef");
  if (claim.is_null()) return;
  Volume entry;
  entry.claim = InNamespace(claim.At("namespace").AsString(), claim.At("name").AsString());
  api::VisitVolumeSecrets(volume.root, [&](std::string_view ns, std::string_view secret) {
    std::string key = InNamespace(ns, secret);
    std::vector<std::string>& volumes = volumes_of_secret_[key];
    if (std::ranges::find(volumes, name) != volumes.end()) return;
    volumes.emplace_back(name);
    entry.secrets.push_back(std::move(key));
  });
  volumes_.emplace(name, std::move(entry));
}

void NodeGraph::SetAttachment(std::string_view name, const std::string* value) { SetNode(attachments_, name, value); }
void NodeGraph::SetSlice(std::string_view name, const std::string* value) { SetNode(slices_, name, value); }

bool NodeGraph::Reaches(std::string_view node, RefKind kind, std::string_view object) const {
  const auto found = vertices_.find(ObjectKey(kind, object));
  if (found == vertices_.end()) return false;
  const auto at = vertices_.find(NodeKey(node));
  if (at == vertices_.end()) return false;
  return std::ranges::find(found->second.nodes, &at->second, &Vertex::Link::node) != found->second.nodes.end();
}

bool NodeGraph::Refers(std::string_view node, RefKind kind, std::string_view ns, std::string_view name) const {
  const std::string object = InNamespace(ns, name);
  if (Reaches(node, kind, object)) return true;
  if (kind != RefKind::kSecret) return false;
  const auto volumes = volumes_of_secret_.find(object);
  if (volumes == volumes_of_secret_.end()) return false;
  return std::ranges::any_of(volumes->second, [&](const std::string& volume) { return UsesVolume(node, volume); });
}

bool NodeGraph::RunsPod(std::string_view node, std::string_view ns, std::string_view name) const {
  const auto found = pods_.find(InNamespace(ns, name));
  return found != pods_.end() && found->second.node->key.substr(1) == node;
}

bool NodeGraph::UsesVolume(std::string_view node, std::string_view volume) const {
  const auto found = volumes_.find(volume);
  return found != volumes_.end() && Reaches(node, RefKind::kClaim, found->second.claim);
}

bool NodeGraph::HasAttachment(std::string_view node, std::string_view attachment) const {
  return Maps(attachments_, attachment, node);
}

bool NodeGraph::HasSlice(std::string_view node, std::string_view slice) const { return Maps(slices_, slice, node); }

}  // namespace knarr::apiserver
