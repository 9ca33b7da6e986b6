#include "sim/generate.h"

#include <fmt/format.h>

#include <vector>

namespace knarr::sim {
namespace {

/// Names of the workload: few, so that things of one name come again and again.
constexpr const char* kNamespaces[] = {"default", "one", "two"};
// Where pods are bounded by a quota: no sets, which would try for ever.
constexpr const char* kBounded = "bounded";
constexpr const char* kSetApps[] = {"red", "green", "blue"};
// Sets of both kinds with one selector would fight over its pods for ever, as upstream's do.
constexpr const char* kOldApps[] = {"black", "white"};
constexpr const char* kMaps[] = {"alpha", "beta", "gamma"};
constexpr const char* kClaims[] = {"data", "logs"};
constexpr const char* kVolumes[] = {"disk", "tape", "drum"};

class Generator {
 public:
  Generator(uint64_t seed, int steps_most) : seed_(seed), state_(seed ^ 0x5eed), steps_most_(steps_most) {}

  std::string Generate() {
    Line("seed {}", seed_);
    if (Draw(2) == 0) Line("disk slow");
    MakeNodes();
    DrawSwarm();
    DrawFaults();
    for (int i = 0; i < 2; ++i) Line("try create {}", Json("Namespace", kNamespaces[i + 1], ""));
    Line("try create {}", Json("Namespace", kBounded, ""));
    for (int i = 0; i < 4; ++i) MakeSet();
    for (int i = 0; i < 2; ++i) MakeService();
    const auto steps = 10 + Draw(static_cast<uint64_t>(steps_most_));
    const uint64_t gap_most = 1000 * (1 + Draw(8));
    for (uint64_t i = 0; i < steps; ++i) {
      Step();
      // Steps often come in bursts.
      if (Draw(2) == 0) Line("advance {}ms", Draw(gap_most));
    }
    Line("calm");
    Line("converge");
    // What follows is watched closely: without faults nothing may be late. A node may be lost for good, too.
    Line("faults none");
    watched_ = true;
    for (uint64_t i = 0; i < 6; ++i) {
      Step();
      Line("advance {}ms", 2000 + Draw(8000));
    }
    if (Draw(2) == 0) LoseForGood();
    if (Draw(3) == 0) OpenGate();
    if (Draw(3) == 0) MakeTwins();
    Line("calm");
    Line("converge");
    return std::move(out_);
  }

 private:
  // SplitMix64.
  uint64_t Draw(uint64_t below) {
    uint64_t value = state_ += 0x9e3779b97f4a7c15;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return (value ^ value >> 31) % below;
  }
  template <typename T, size_t kCount>
  const T& Pick(const T (&from)[kCount]) {
    return from[Draw(kCount)];
  }
  template <typename... Args>
  void Line(fmt::format_string<Args...> format, Args&&... args) {
    out_ += fmt::format(format, std::forward<Args>(args)...) + "\n";
  }
  std::string Namespace() { return Pick(kNamespaces); }
  uint64_t Any() { return Draw(1000); }

  static std::string Json(const char* kind, const std::string& name, const std::string& rest,
                          const char* version = "v1") {
    return fmt::format(R"({{"apiVersion":"{}","kind":"{}","metadata":{{"name":"{}"}}{}}})", version, kind, name,
                       rest.empty() ? "" : "," + rest);
  }

  void MakeNodes() {
    const uint64_t count = 1 + Draw(5);
    const bool crash = Draw(2) == 0;
    const bool fail = Draw(2) == 0;
    for (uint64_t i = 0; i < count; ++i) {
      Line("nodes 1 cpu={}m memory={}Mi pods={} zone={} crash={} fail={}", 500 + 500 * Draw(6), 256 + 256 * Draw(12),
           3 + Draw(20), Draw(2) == 0 ? "a" : "b", crash ? 200 : 0, fail ? 100 : 0);
    }
  }

  void LoseForGood() {
    const bool crash = Draw(2) == 0;
    Line("fault node/~{} {}", Any(), crash ? "crash" : "cut");
    if (crash && Draw(2) == 0) {
      // Nobody takes it for there once it is removed, nor waits for what it was to make.
      MakeClaim();
      MakeUser();
      MakeUser();
      Line("advance {}ms", 1000 + Draw(4000));
      Line("try fault lost remove");
      for (int i = 0; i < 3; ++i) {
        Line("advance {}ms", 2000 + Draw(3000));
        MakePod();
        ScaleSet();
      }
    }
    Line("advance 150s");
  }

  void DrawFaults() {
    auto strength = [&](uint64_t most) { return Draw(2) == 0 ? 0 : 1 + Draw(most); };
    Line("faults refuse={} conflict={} lose={} slow={} slow-most={}ms break={} expire={} late={} twice={}",
         strength(100), strength(100), strength(100), strength(200), 1000 + Draw(4000), strength(60), strength(30),
         strength(100), strength(60));
  }

  struct Choice {
    uint64_t weight;
    void (Generator::*step)();
  };

  void DrawSwarm() {
    static constexpr Choice kChoices[] = {
        {8, &Generator::MakeSet},      {10, &Generator::ScaleSet},       {4, &Generator::DeleteSet},
        {4, &Generator::MakeService},  {2, &Generator::DeleteService},   {5, &Generator::MakePod},
        {5, &Generator::DeletePod},    {3, &Generator::RelabelPod},      {2, &Generator::MakeNamespace},
        {1, &Generator::DropNamespace}, {3, &Generator::MarkNode},       {2, &Generator::LoseNode},
        {3, &Generator::FindNode},     {1, &Generator::RemoveNode},      {1, &Generator::RestartControlPlane},
        {4, &Generator::MakeOwned},    {2, &Generator::DropMap},         {2, &Generator::MakeQuota},
        {1, &Generator::DropQuota},    {1, &Generator::DropAccount},     {3, &Generator::Touch},
        {2, &Generator::MakeBudget},   {3, &Generator::EvictPod},        {2, &Generator::Hold},
        {3, &Generator::Count},        {2, &Generator::TaintNode},       {1, &Generator::DropMaps},
        {2, &Generator::ReplacePod},   {1, &Generator::FillDisk},        {2, &Generator::FreeDisk},
        {7, &Generator::MakeClaim},    {4, &Generator::DropClaim},       {3, &Generator::GrowClaim},
        {9, &Generator::MakeUser},     {4, &Generator::MakeVolume},      {2, &Generator::DropVolume},
        {2, &Generator::Mistake},      {2, &Generator::ReplaceOwner},    {1, &Generator::ReplaceNamespace},
        {2, &Generator::Deafen},       {2, &Generator::ReturnNode},      {2, &Generator::ShrinkYoung},
        {2, &Generator::Rush},         {2, &Generator::OpenGate},        {2, &Generator::Restore},
        {2, &Generator::GiveVolume},   {2, &Generator::AbandonVolume},  {2, &Generator::DropEarly},
        {2, &Generator::CrashServer},  {2, &Generator::MakeTwins},
    };
    for (const Choice& choice : kChoices) {
      if (Draw(4) == 0) continue;
      choices_.push_back(choice);
      total_ += choice.weight;
    }
    if (choices_.empty()) {
      choices_.push_back(kChoices[0]);
      total_ = kChoices[0].weight;
    }
  }

  void Step() {
    uint64_t draw = Draw(total_);
    for (const Choice& choice : choices_) {
      if (draw < choice.weight) return (this->*choice.step)();
      draw -= choice.weight;
    }
  }

  void MakeNamespace() {
    Line("try create {}", Json("Namespace", kNamespaces[1 + Draw(2)], ""));
  }
  /// Whoever still looks at the one before does nothing to the next one of the name.
  void ReplaceNamespace() {
    const char* name = kNamespaces[1 + Draw(2)];
    Line("try delete namespace/{}", name);
    Line("advance {}ms", Draw(1500));
    if (Draw(2) == 0) DeafenTo("namespaces", 15);
    for (int i = 0; i < 12; ++i) {
      Line("advance {}ms", Draw(1000));
      Line("try create {}", Json("Namespace", name, ""));
      if (i % 4 == 3) Line("try create in={} {}", name, Json("ConfigMap", Pick(kMaps), ""));
    }
  }
  void DropNamespace() { Line("try delete namespace/{}", kNamespaces[1 + Draw(2)]); }

  const char* AnyApp() { return Draw(3) == 0 ? Pick(kOldApps) : Pick(kSetApps); }

  void MakeSet() {
    const bool old = Draw(3) == 0;
    const std::string ns = Namespace();
    const char* app = old ? Pick(kOldApps) : Pick(kSetApps);
    const std::string selector = fmt::format(R"({{"app":"{}"}})", app);
    const std::string spec = fmt::format(
        R"("spec":{{"replicas":{},"minReadySeconds":{},"selector":{},"template":{{"metadata":{{"labels":)"
        R"({{"app":"{}"}}}},"spec":{{"terminationGracePeriodSeconds":{},"containers":[{{"name":"c","image":"i",)"
        R"("resources":{{"requests":{{"cpu":"{}m","memory":"{}Mi"}}}},"ports":[{{"name":"http",)"
        R"("containerPort":8080}}]}}],"tolerations":[{{"key":"node.kubernetes.io/unreachable",)"
        R"("operator":"Exists","effect":"NoExecute"{}}}]}}}}}})",
        Draw(9), Draw(4) == 0 ? 5 : 0, old ? selector : fmt::format(R"({{"matchLabels":{}}})", selector), app,
        Draw(2) == 0 ? 30 : 0, Draw(5) * 100, Draw(4) * 64,
        Draw(6) == 0 ? std::string() : fmt::format(R"(,"tolerationSeconds":{})", 10 + Draw(60)));
    Line("try create in={} {}", ns,
         old ? Json("ReplicationController", app, spec) : Json("ReplicaSet", app, spec, "apps/v1"));
  }
  const char* SetKind() { return Draw(3) == 0 ? "replicationcontroller" : "replicaset"; }
  void ScaleSet() { Line("try scale {}/~{} {}", SetKind(), Any(), Draw(9)); }
  void DeleteSet() {
    static constexpr const char* kWays[] = {"background", "foreground", "orphan"};
    Line("try delete {}/~{} propagation={}", SetKind(), Any(), Pick(kWays));
  }

  /// While its pods begin, which of them goes first changes all the time.
  void ShrinkYoung() {
    const std::string ns = Namespace();
    Line("try delete replicaset/{}/young", ns);
    Line("advance {}ms", Draw(8000));
    Line("try create in={} {}", ns,
         Json("ReplicaSet", "young",
              R"("spec":{"replicas":9,"selector":{"matchLabels":{"app":"young"}},"template":{"metadata":)"
              R"({"labels":{"app":"young"}},"spec":{"terminationGracePeriodSeconds":2,"containers":[{"name":"c",)"
              R"("image":"i"}]}}})",
              "apps/v1"));
    Line("advance {}ms", 200 + Draw(1500));
    if (Draw(2) == 0) DeafenTo("pods", 6);
    Line("advance {}ms", Draw(2000));
    Line("try scale replicaset/{}/young {}", ns, 3 + Draw(4));
  }

  void MakeService() {
    const char* app = AnyApp();
    const std::string spec = fmt::format(
        R"("spec":{{{}"selector":{{"app":"{}"}},"ports":[{{"name":"web","port":80,"targetPort":{}}}]}})",
        Draw(4) == 0 ? R"("clusterIP":"None",)" : "", app, Draw(2) == 0 ? "\"http\"" : "8080");
    Line("try create in={} {}", Namespace(), Json("Service", app, spec));
  }
  void DeleteService() { Line("try delete service/~{}", Any()); }

  /// A pod without a set, with one of the many things that decide where it may go.
  std::string PodSpec() {
    std::string more;
    switch (Draw(9)) {
      case 0:
        more = fmt::format(R"("nodeSelector":{{"zone":"{}"}},)", Draw(2) == 0 ? "a" : "b");
        break;
      case 1:
        more = fmt::format(R"("nodeSelector":{{"zone":"{}","kubernetes.io/hostname":"node-{}"}},)",
                           Draw(2) == 0 ? "a" : "b", Draw(5));
        break;
      case 2:
        more = fmt::format(
            R"("affinity":{{"nodeAffinity":{{"requiredDuringSchedulingIgnoredDuringExecution":{{"nodeSelectorTerms":)"
            R"([{{"matchExpressions":[{{"key":"kubernetes.io/os","operator":"In","values":["linux"]}},)"
            R"({{"key":"zone","operator":"NotIn","values":["{}"]}}]}}]}}}}}},)",
            Draw(2) == 0 ? "a" : "b");
        break;
      case 3:
        more = R"("schedulerName":"other",)";
        break;
      case 4:
        more = R"("schedulingGates":[{"name":"example.com/gate"}],)";
        break;
      case 5:
        more = R"("tolerations":[{"operator":"Exists"}],)";
        break;
      default:
        break;
    }
    const std::string memory = Draw(3) == 0 ? fmt::format(R"(,"memory":"{}Mi")", 128 * (1 + Draw(8))) : "";
    const std::string ports =
        Draw(5) == 0 ? fmt::format(R"(,"ports":[{{"containerPort":80,"hostPort":{}}}])", 9000 + Draw(2)) : "";
    return fmt::format(
        R"("spec":{{{}"restartPolicy":"{}","containers":[{{"name":"c","image":"i","resources":{{"requests":)"
        R"({{"cpu":"{}m"{}}}}}{}}}]}})",
        more, Draw(4) == 0 ? "OnFailure" : "Always", Draw(8) == 0 ? 100000 : Draw(5) * 100, memory, ports);
  }
  void MakePod() {
    const std::string labels = Draw(2) == 0 ? fmt::format(R"("app":"{}")", AnyApp()) : "";
    Line(R"(try create in={} {{"apiVersion":"v1","kind":"Pod","metadata":{{"generateName":"bare-",)"
         R"("labels":{{{}}}}},{}}})",
         Draw(3) == 0 ? kBounded : Namespace(), labels, PodSpec());
  }
  /// A pod of a name that comes again: what was meant for the one before must not hit it.
  void ReplacePod() {
    const std::string ns = Namespace();
    Line("try delete pod/{}/solo grace=0", ns);
    Line("try create in={} {}", ns, Json("Pod", "solo", PodSpec()));
  }
  /// Two that need as much; only one of them is nowhere at home.
  void MakeTwins() {
    const std::string ns = Namespace();
    const uint64_t cpu = 10 + Draw(90);
    for (const char* selector : {R"("nodeSelector":{"zone":"c"},)", ""}) {
      Line(R"(try create in={} {{"apiVersion":"v1","kind":"Pod","metadata":{{"generateName":"twin-"}},"spec":{{{})"
           R"("containers":[{{"name":"c","image":"i","resources":{{"requests":{{"cpu":"{}m"}}}}}}]}}}})",
           ns, selector, cpu);
    }
  }
  /// A pod that the scheduler has looked at in vain, and that changes so that it fits.
  void OpenGate() {
    const std::string ns = Namespace();
    Line("try delete pod/{}/gated grace=0", ns);
    Line("try create in={} {}", ns,
         Json("Pod", "gated",
              R"("spec":{"schedulingGates":[{"name":"example.com/gate"}],"containers":[{"name":"c","image":"i"}]})"));
    Line("advance {}ms", 100 + Draw(3000));
    Line(R"(try patch pod/{}/gated {{"spec":{{"schedulingGates":null}}}})", ns);
  }
  void DeletePod() { Line("try delete pod/~{}{}", Any(), Draw(3) == 0 ? " grace=0" : ""); }
  void RelabelPod() { Line("try label pod/~{} app={}", Any(), AnyApp()); }
  void EvictPod() { Line("try evict pod/~{}", Any()); }

  void MakeBudget() {
    const std::string ns = Namespace();
    const char* app = AnyApp();
    Line("try create in={} {}", ns,
         Json("PodDisruptionBudget", app,
              fmt::format(R"("spec":{{"minAvailable":1,"selector":{{"matchLabels":{{"app":"{}"}}}}}})", app),
              "policy/v1"));
    // Nobody counts for it here: it is given what it allows.
    Line(R"(try patch poddisruptionbudget/{}/{} sub=status {{"status":{{"observedGeneration":1,"currentHealthy":2,)"
         R"("desiredHealthy":1,"expectedPods":2,"disruptionsAllowed":{}}}}})",
         ns, app, Draw(3));
  }

  void MarkNode() { Line("try {} node/~{}", Draw(2) == 0 ? "cordon" : "uncordon", Any()); }
  void TaintNode() {
    if (Draw(2) == 0) {
      Line("try taint node/~{} example.com/full=yes:{}", Any(), Draw(2) == 0 ? "NoSchedule" : "PreferNoSchedule");
    } else {
      Line("try taint node/~{} example.com/full-", Any());
    }
  }
  void LoseNode() { Line("fault node/~{} {}", Any(), Draw(2) == 0 ? "cut" : "crash"); }
  void FindNode() { Line("fault lost heal"); }
  /// About as long after its node is gone as its pods are left alone, it is there again.
  void ReturnNode() {
    Line("fault node/~{} crash", Any());
    Line("advance {}ms", Draw(3000));
    Line("try fault lost remove");
    Line("advance {}ms", 1000 + Draw(3000));
    if (Draw(2) == 0) DeafenTo("nodes", 60);
    Line("advance {}ms", 15000 + Draw(25000));
    Line("fault lost heal");
  }
  /// Where nothing may be late, nobody is deaf.
  void DeafenTo(const char* kind, uint64_t seconds_most) {
    if (watched_) return;
    Line("fault {} deaf to={} after={}ms", Draw(4) == 0 ? "scheduler" : "controllers", kind,
         1000 + Draw(1000 * seconds_most));
  }
  void Deafen() {
    static constexpr const char* kKinds[] = {"pods",     "nodes",      "namespaces",     "replicasets",
                                             "services", "configmaps", "resourcequotas", "persistentvolumeclaims",
                                             "leases",   "persistentvolumes", "endpointslices"};
    DeafenTo(Pick(kKinds), 45);
  }
  void RemoveNode() { Line("try fault lost remove"); }
  void FillDisk() { Line("fault disk full"); }
  void FreeDisk() { Line("fault disk heal"); }
  void CrashServer() {
    if (!watched_) Line("fault server crash after={}ms", Draw(4000));
  }
  void RestartControlPlane() { Line("fault control-plane restart after={}ms", Draw(5000)); }

  void MakeOwned() {
    const std::string ns = Namespace();
    Line("try create in={} {}", ns, Json("ConfigMap", Pick(kMaps), ""));
    const uint64_t owned = 1 + Draw(std::size(kMaps) - 1);
    const uint64_t owners = 1 + Draw(2);
    for (uint64_t i = 0; i < owners; ++i) {
      // Never in circles: what waits for itself waits for ever, as upstream's does.
      const std::string owner = Draw(2) == 0 ? fmt::format("configmap/{}/{}", ns, kMaps[Draw(owned)])
                                             : fmt::format("{}/{}/~{}", SetKind(), ns, Any());
      Line("try own configmap/{}/{} {}", ns, kMaps[owned], owner);
    }
  }
  void DropMap() {
    static constexpr const char* kWays[] = {"background", "foreground", "orphan"};
    Line("try delete configmap/{}/{} propagation={}", Namespace(), Pick(kMaps), Pick(kWays));
  }
  /// An owner of a name that comes again: what the one before owned is not its own.
  void ReplaceOwner() {
    const std::string ns = Namespace();
    const uint64_t owned = 1 + Draw(std::size(kMaps) - 1);
    const char* owner = kMaps[Draw(owned)];
    Line("try create in={} {}", ns, Json("ConfigMap", owner, ""));
    Line("try create in={} {}", ns, Json("ConfigMap", kMaps[owned], ""));
    Line("try own configmap/{0}/{1} configmap/{0}/{2}", ns, kMaps[owned], owner);
    Line("advance {}ms", Draw(1500));
    Line("try delete configmap/{}/{}", ns, owner);
    Line("try create in={} {}", ns, Json("ConfigMap", owner, ""));
  }
  void DropMaps() { Line("try delete-all configmap/{}", kNamespaces[1 + Draw(2)]); }
  /// A claim of the default class, which waits for a pod, or of none, which waits for a volume, perhaps a certain one.
  void MakeClaim() {
    std::string more;
    if (Draw(3) == 0) more = R"(,"storageClassName":"")";
    if (Draw(6) == 0) more = fmt::format(R"(,"storageClassName":"","volumeName":"{}")", Pick(kVolumes));
    const std::string spec =
        fmt::format(R"("spec":{{"accessModes":["{}"],"resources":{{"requests":{{"storage":"{}Gi"}}}}{}}})",
                    Draw(4) == 0 ? "ReadWriteOncePod" : "ReadWriteOnce", 1 + Draw(3), more);
    Line("try create in={} {}", Namespace(), Json("PersistentVolumeClaim", Pick(kClaims), spec));
  }
  void DropClaim() { Line("try delete persistentvolumeclaim/{}/{}", Namespace(), Pick(kClaims)); }
  void GrowClaim() {
    Line(R"(try patch persistentvolumeclaim/{}/{} {{"spec":{{"resources":{{"requests":{{"storage":"{}Gi"}}}}}}}})",
         Namespace(), Pick(kClaims), 2 + Draw(9));
  }
  /// A pod that uses claims: some that may not be there yet, or one of its own.
  void MakeUser() {
    std::string volumes;
    if (Draw(3) == 0) {
      volumes = R"({"name":"own","ephemeral":{"volumeClaimTemplate":{"spec":{"accessModes":["ReadWriteOnce"],)"
                R"("resources":{"requests":{"storage":"1Gi"}}}}}})";
    }
    for (const char* claim : kClaims) {
      if (Draw(2) == 0 && !volumes.empty()) continue;
      volumes += fmt::format(R"({}{{"name":"{}","persistentVolumeClaim":{{"claimName":"{}"}}}})",
                             volumes.empty() ? "" : ",", claim, claim);
    }
    const std::string spec =
        fmt::format(R"("spec":{{"containers":[{{"name":"c","image":"i"}}],"volumes":[{}]}})", volumes);
    Line(R"(try create in={} {{"apiVersion":"v1","kind":"Pod","metadata":{{"generateName":"uses-"}},{}}})", Namespace(),
         spec);
  }
  void MakeVolume() {
    static constexpr const char* kPolicies[] = {"Retain", "Delete", "Recycle"};
    const std::string meant =
        Draw(4) == 0 ? fmt::format(R"(,"claimRef":{{"namespace":"{}","name":"{}"}})", Namespace(), Pick(kClaims)) : "";
    const std::string spec = fmt::format(
        R"("spec":{{"accessModes":["{}"],"capacity":{{"storage":"{}Gi"}},"hostPath":{{"path":"/data"}},)"
        R"("persistentVolumeReclaimPolicy":"{}"{}}})",
        Draw(4) == 0 ? "ReadWriteOncePod" : "ReadWriteOnce", 1 + Draw(4), Pick(kPolicies), meant);
    Line("try create {}", Json("PersistentVolume", Pick(kVolumes), spec));
  }
  static std::string Volume(const std::string& name, const std::string& more) {
    return Json("PersistentVolume", name,
                R"("spec":{"accessModes":["ReadWriteOnce"],"capacity":{"storage":"1Gi"},"hostPath":{"path":"/data"})" +
                    more + "}");
  }
  static std::string Claim(const std::string& name, const std::string& annotations, const std::string& more) {
    return fmt::format(
        R"({{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{{"name":"{}","annotations":{{{}}}}},"spec":)"
        R"({{"accessModes":["ReadWriteOnce"],"resources":{{"requests":{{"storage":"1Gi"}}}}{}}}}})",
        name, annotations, more);
  }
  /// As a backup brings them back: a volume, and the claim that had it.
  void Restore() {
    const std::string ns = Namespace();
    const std::string name = fmt::format("vault-{}", made_++);
    if (Draw(2) == 0) DeafenTo("persistentvolumes", 5);
    Line("try create in={}\n  {}\n  ---\n  {}", ns,
         Volume(name, R"(,"storageClassName":"vault")"),
         Claim(name, R"("pv.kubernetes.io/bind-completed":"yes")",
               fmt::format(R"(,"storageClassName":"vault","volumeName":"{}")", name)));
  }
  /// Somebody makes a volume for a claim, and may be faster than those who hear of the claim.
  void GiveVolume() {
    const std::string ns = Namespace();
    const std::string name = fmt::format("gift-{}", made_++);
    if (Draw(2) == 0) DeafenTo("persistentvolumeclaims", 5);
    Line("try create in={} {}", ns, Claim(name, "", R"(,"storageClassName":"")"));
    Line("try create {}", Volume(name, R"(,"storageClassName":"given")"));
    Line("try give persistentvolume/{0} persistentvolumeclaim/{1}/{0}", name, ns);
  }
  /// What was begun for a claim that goes before there is a volume.
  void AbandonVolume() {
    const std::string ns = Namespace();
    Line("try create in={} {}", ns, Claim("brief", "", ""));
    Line("try create in={} {}", ns,
         Json("Pod", "passer",
              R"("spec":{"containers":[{"name":"c","image":"i"}],"volumes":[{"name":"brief",)"
              R"("persistentVolumeClaim":{"claimName":"brief"}}]})"));
    Line("advance {}ms", Draw(1500));
    Line("fault disk full");
    Line("advance {}ms", 1000 + Draw(10000));
    Line("fault disk heal");
    Line("try delete pod/{}/passer grace=0", ns);
    Line("try delete persistentvolumeclaim/{}/brief", ns);
  }
  /// Volumes that somebody wants gone when they are hardly there.
  void DropEarly() {
    DeafenTo("persistentvolumes", 8);
    MakeClaim();
    MakeUser();
    Line("advance {}ms", 500 + Draw(5000));
    for (int i = 0; i < 3; ++i) Line("try delete persistentvolume/~{}", Any());
  }
  void DropVolume() {
    if (Draw(2) == 0) {
      Line("try delete persistentvolume/{}", Pick(kVolumes));
    } else {
      Line("try delete persistentvolume/~{}", Any());
    }
  }
  void Hold() { Line("try hold configmap/{}/{}", Namespace(), Pick(kMaps)); }

  void MakeQuota() {
    const bool pods = Draw(2) == 0;
    const std::string ns = pods ? kBounded : Namespace();
    const std::string spec = fmt::format(R"("spec":{{"hard":{{"{}":"{}"}}}})", pods ? "pods" : "count/configmaps",
                                         1 + Draw(6));
    Line("try create in={} {}", ns, Json("ResourceQuota", "bound", spec));
    Line("try patch resourcequota/{}/bound {{{}}}", ns, spec);
  }
  /// Many at once want the last of a quota.
  void Rush() {
    const std::string ns = Namespace();
    const std::string spec = fmt::format(R"("spec":{{"hard":{{"count/configmaps":"{}"}}}})", 3 + Draw(6));
    Line("try create in={} {}", ns, Json("ResourceQuota", "bound", spec));
    Line("try patch resourcequota/{}/bound {{{}}}", ns, spec);
    Line("advance {}ms", 500 + Draw(3000));
    Line("try rush {} in={}", 2 + Draw(8), ns);
  }
  void DropQuota() { Line("try delete resourcequota/{}/bound", Draw(2) == 0 ? kBounded : Namespace()); }
  void DropAccount() { Line("try delete serviceaccount/{}/default", Namespace()); }
  /// Written as a whole, without what only the server may say.
  void Touch() {
    static constexpr const char* kKinds[] = {"pod", "configmap", "replicaset", "service", "namespace"};
    Line("try touch {}/~{}", Pick(kKinds), Any());
  }
  void Mistake() {
    static constexpr const char* kKinds[] = {"pod", "pod", "configmap", "replicaset"};
    Line("try mistake {}/~{}", Pick(kKinds), Any());
  }
  /// Many at once raise one number.
  void Count() { Line("try count {}", 2 + Draw(4)); }

  const uint64_t seed_;
  uint64_t state_;
  const int steps_most_;
  std::string out_;
  std::vector<Choice> choices_;
  uint64_t total_ = 0;
  uint64_t made_ = 0;
  bool watched_ = false;
};

}  // namespace

std::string GenerateScenario(uint64_t seed, int steps_most) { return Generator(seed, steps_most).Generate(); }

}  // namespace knarr::sim
