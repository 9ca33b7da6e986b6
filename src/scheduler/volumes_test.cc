#include "scheduler/volumes.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <vector>

#include "doc/json.h"
#include "scheduler/plugin.h"

namespace knarr::scheduler {
namespace {

using api::ObjectPtr;

ObjectPtr Object(const std::string& json) { return api::Object::FromDocument(MUST(doc::ParseJson(json))); }

/// What a test says there is.
class Source : public VolumeSource {
 public:
  void AddClaim(const char* name, const std::string& spec, const std::string& metadata = "",
                const char* phase = "Pending", const char* mode = "ReadWriteOnce") {
    claims_["d/" + std::string(name)] = Object(
        fmt::format(R"({{"metadata":{{"name":"{0}","namespace":"d","uid":"{0}-uid"{1}}},"spec":{{"accessModes":)"
                    R"(["{4}"],"resources":{{"requests":{{"storage":"1Gi"}}}}{2}}},"status":)"
                    R"({{"phase":"{3}"}}}})",
                    name, metadata, spec, phase, mode));
  }
  void AddBound(const char* name, const char* volume) {
    AddClaim(name, fmt::format(R"(,"volumeName":"{}")", volume),
             R"(,"annotations":{"pv.kubernetes.io/bind-completed":"yes"})", "Bound");
  }
  void AddVolume(const char* name, const char* host, const char* storage_class = "", const char* labels = "{}") {
    const std::string affinity =
        std::string(host).empty()
            ? ""
            : fmt::format(R"(,"nodeAffinity":{{"required":{{"nodeSelectorTerms":[{{"matchExpressions":[{{"key":)"
                          R"("kubernetes.io/hostname","operator":"In","values":["{}"]}}]}}]}}}})",
                          host);
    volumes_[name] = Object(fmt::format(
        R"({{"metadata":{{"name":"{}","labels":{}}},"spec":{{"capacity":{{"storage":"1Gi"}},"accessModes":)"
        R"(["ReadWriteOnce"],"storageClassName":"{}"{}}},"status":{{"phase":"Available"}}}})",
        name, labels, storage_class, affinity));
  }
  void AddClass(const char* name, const char* mode, const char* more = "", const char* provisioner = "example.com/p") {
    classes_[name] =
        Object(fmt::format(R"({{"metadata":{{"name":"{}"}},"provisioner":"{}","volumeBindingMode":"{}"{}}})", name,
                           provisioner, mode, more));
  }

  ObjectPtr Claim(const client::ObjectName& name) const override { return Find(claims_, name.ToString()); }
  ObjectPtr Volume(const std::string& name) const override { return Find(volumes_, name); }
  ObjectPtr StorageClassOf(const std::string& name) const override { return Find(classes_, name); }
  std::vector<ObjectPtr> Candidates(const api::Object& /*claim*/) const override {
    std::vector<ObjectPtr> out;
    for (const auto& [name, volume] : volumes_) out.push_back(volume);
    return out;
  }
  std::string NodeFor(const api::Object& claim) const override { return std::string(api::SelectedNode(claim)); }

 private:
  using Objects = std::map<std::string, ObjectPtr>;
  static ObjectPtr Find(const Objects& objects, const std::string& name) {
    const auto at = objects.find(name);
    return at == objects.end() ? nullptr : at->second;
  }
  Objects claims_;
  Objects volumes_;
  Objects classes_;
};

/// Where a pod with these volumes goes, of the nodes a and b, or why nowhere.
std::string PlaceIt(const Source& source, const std::string& volumes, const char* placed_claim = nullptr) {
  Snapshot snapshot;
  for (const char* name : {"a", "b"}) {
    MUST(snapshot.SetNode(Object(fmt::format(
        R"({{"metadata":{{"name":"{0}","labels":{{"kubernetes.io/hostname":"{0}","topology.kubernetes.io/zone":)"
        R"("z-{0}"}}}},"status":{{"allocatable":{{"cpu":"1","memory":"1Gi","pods":"9"}}}}}})",
        name))));
  }
  if (placed_claim != nullptr) {
    snapshot.SetPod(PodInfo::Make(Object(fmt::format(
                        R"({{"metadata":{{"name":"other","namespace":"d","uid":"other"}},"spec":{{"volumes":)"
                        R"([{{"name":"v","persistentVolumeClaim":{{"claimName":"{}"}}}}]}}}})",
                        placed_claim))),
                    "a");
  }
  PodInfo pod = PodInfo::Make(Object(
      R"({"metadata":{"name":"p","namespace":"d","uid":"p"},"spec":{"volumes":)" + volumes + "}}"));
  pod.volumes = std::make_shared<const PodVolumes>(LookAtVolumes(pod.pod(), source, snapshot.claim_users()));
  const Placement placement = Place(pod, snapshot, DefaultPlugins(), 0);
  return placement.node.empty() ? placement.message : placement.node;
}

constexpr const char* kVolumes = R"([{"name":"v","persistentVolumeClaim":{"claimName":"c"}}])";
constexpr const char* kEphemeral = R"([{"name":"v","ephemeral":{}}])";
constexpr const char* kWaiting = R"(,"storageClassName":"waits")";

struct Case {
  const char* what;
  std::function<void(Source&)> add;
  const char* volumes;
  const char* placed;
};

void Check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    Source source;
    c.add(source);
    EXPECT_EQ(PlaceIt(source, c.volumes), c.placed) << c.what;
  }
}

TEST(VolumesTest, BoundClaimsSayWhereAPodGoes) {
  Check({
      {"no claim", [](Source&) {}, kVolumes, "0/2 nodes are available: persistentvolumeclaim \"c\" not found."},
      {"no claim yet", [](Source&) {}, kEphemeral,
       "0/2 nodes are available: waiting for ephemeral volume controller to create the persistentvolumeclaim \"p-v\"."},
      {"somebody else's", [](Source& s) { s.AddClaim("p-v", ""); }, kEphemeral,
       "0/2 nodes are available: PVC d/p-v was not created for pod d/p (pod is not owner)."},
      {"going", [](Source& s) { s.AddClaim("c", "", R"(,"deletionTimestamp":"2026-01-01T00:00:00Z")"); }, kVolumes,
       "0/2 nodes are available: persistentvolumeclaim \"c\" is being deleted."},
      {"lost", [](Source& s) { s.AddClaim("c", R"(,"volumeName":"v1")", "", "Lost"); }, kVolumes,
       "0/2 nodes are available: persistentvolumeclaim \"c\" bound to non-existent persistentvolume \"v1\"."},
      {"not bound", [](Source& s) { s.AddClaim("c", ""); }, kVolumes,
       "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."},
      {"bound", [](Source& s) { s.AddBound("c", "v1"), s.AddVolume("v1", "b"); }, kVolumes, "b"},
      {"bound elsewhere", [](Source& s) { s.AddBound("c", "v1"), s.AddVolume("v1", "gone"); }, kVolumes,
       "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity."},
      {"bound to nothing", [](Source& s) { s.AddBound("c", "v1"); }, kVolumes,
       "0/2 nodes are available: 2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)."},
      {"in a zone",
       [](Source& s) {
         s.AddBound("c", "v1");
         s.AddVolume("v1", "", "", R"({"topology.kubernetes.io/zone":"z-x__z-b"})");
       },
       kVolumes, "b"},
      {"in no zone of ours",
       [](Source& s) {
         s.AddBound("c", "v1");
         s.AddVolume("v1", "", "", R"({"failure-domain.beta.kubernetes.io/zone":"z-x"})");
       },
       kVolumes, "0/2 nodes are available: 2 node(s) had no available volume zone."},
  });
}

TEST(VolumesTest, ClaimsThatWaitSayWhereAPodGoes) {
  Check({
      {"waits, and one is there",
       [](Source& s) {
         s.AddClass("waits", "WaitForFirstConsumer");
         s.AddClaim("c", kWaiting);
         s.AddVolume("v1", "b", "waits");
         s.AddClass("none", "WaitForFirstConsumer", "", "kubernetes.io/no-provisioner");
       },
       kVolumes, "a"},
      {"waits, and none can be made",
       [](Source& s) {
         s.AddClass("waits", "WaitForFirstConsumer", "", "kubernetes.io/no-provisioner");
         s.AddClaim("c", kWaiting);
       },
       kVolumes, "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind."},
      {"waits, and one is there on one node only",
       [](Source& s) {
         s.AddClass("waits", "WaitForFirstConsumer", "", "kubernetes.io/no-provisioner");
         s.AddClaim("c", kWaiting);
         s.AddVolume("v1", "b", "waits");
       },
       kVolumes, "b"},
      {"is being made",
       [](Source& s) {
         s.AddClass("waits", "WaitForFirstConsumer");
         s.AddClaim("c", kWaiting, R"(,"annotations":{"volume.kubernetes.io/selected-node":"b"})");
       },
       kVolumes, "b"},
      {"only there",
       [](Source& s) {
         s.AddClass("waits", "WaitForFirstConsumer",
                    R"(,"allowedTopologies":[{"matchLabelExpressions":[{"key":"topology.kubernetes.io/zone",)"
                    R"("values":["z-b"]}]}])");
         s.AddClaim("c", kWaiting);
       },
       kVolumes, "b"},
  });
}

TEST(VolumesTest, OneVolumeIsNotPlannedTwice) {
  Source source;
  source.AddClass("waits", "WaitForFirstConsumer", "", "kubernetes.io/no-provisioner");
  source.AddClaim("c", kWaiting);
  source.AddClaim("e", kWaiting);
  source.AddVolume("v1", "b", "waits");
  constexpr const char* kBoth = R"([{"name":"v","persistentVolumeClaim":{"claimName":"c"}},)"
                                R"({"name":"w","persistentVolumeClaim":{"claimName":"e"}}])";
  EXPECT_EQ(PlaceIt(source, kBoth),
            "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.");
  source.AddVolume("v2", "b", "waits");
  EXPECT_EQ(PlaceIt(source, kBoth), "b");
}

TEST(VolumesTest, OnePodOnlyMeansOne) {
  Source source;
  source.AddClaim("c", R"(,"volumeName":"v1")", R"(,"annotations":{"pv.kubernetes.io/bind-completed":"yes"})", "Bound",
                  "ReadWriteOncePod");
  source.AddVolume("v1", "");
  EXPECT_EQ(PlaceIt(source, kVolumes), "a");
  EXPECT_EQ(PlaceIt(source, kVolumes, "c"),
            "0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access "
            "mode already in-use by another pod.");
}

}  // namespace
}  // namespace knarr::scheduler
