#include "sim/hollow_node.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/coordination_v1.h"
#include "api/core_v1.h"
#include "base/check.h"
#include "doc/json.h"

namespace knarr::sim {
namespace {

using api::ObjectPtr;
using api::core_v1::Pod;
using client::ObjectName;

constexpr Duration kLeaseEvery = 10s;
constexpr Duration kTryAgain = 1s;
constexpr int kWorkers = 4;

}  // namespace

class HollowNode::Agent {
 public:
  explicit Agent(HollowNode& node)
      : node_(node),
        runtime_(node.runtime_),
        informers_(runtime_, *node.client_),
        pods_(informers_.For(api::core_v1::PodInfo(), {.field_selector = "spec.nodeName=" + node.name()})),
        queue_(runtime_),
        tasks_(runtime_, "node " + node.name()) {
    pods_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
      const api::Object& any = after != nullptr ? *after : *before;
      if (after == nullptr) End(std::string(before->uid()));
      queue_.Add(ObjectName{std::string(any.ns()), std::string(any.name())}.ToString());
    });
    informers_.Start();
    tasks_.Spawn("node", [this] { RunNode(); });
    for (int i = 0; i < kWorkers; ++i) tasks_.Spawn("pods", [this] { RunPods(); });
  }

  ~Agent() {
    queue_.ShutDown();
    tasks_.StopAndJoin();
    informers_.Stop();
    for (const auto& [uid, life] : lives_) node_.running_.erase(uid);
  }

 private:
  /// One pod's life on this node.
  struct Life {
    MonoTime start;  // its container runs from then on
    MonoTime crash = MonoTime::max();
    MonoTime fail = MonoTime::max();
    MonoTime stop = MonoTime::max();  // asked to end: it has ended by then
    std::string address;
    int restarts = 0;
    bool running = false;
    bool failed = false;
  };

  Duration Between(Duration least, Duration most) {
    return least + Duration(runtime_.Random() % static_cast<uint64_t>((most - least).count() + 1));
  }
  bool Chance(int thousandths) { return runtime_.Random() % 1000 < static_cast<uint64_t>(thousandths); }

  void RunNode() {
    while (true) {
      Ok done = Register();
      if (done.ok()) done = RenewLease();
      if (!runtime_.Sleep(done.ok() ? kLeaseEvery : kTryAgain).ok()) return;
    }
  }

  Ok Register() {
    const api::KindInfo& kind = api::core_v1::NodeInfo();
    Result<ObjectPtr> present = node_.client_->Get(kind, {"", node_.name()});
    if (present.Failed(Reason::kNotFound)) {
      const HollowNodeOptions& o = node_.options_;
      const doc::Document made = MUST(doc::ParseJson(fmt::format(
          R"({{"metadata":{{"name":"{}","labels":{{"kubernetes.io/hostname":"{}","zone":"{}"}}}},"spec":{{"podCIDR":)"
          R"("10.42.{}.0/24"}},"status":{{"capacity":{{"cpu":"{}m","memory":"{}Mi","pods":"{}"}},"allocatable":)"
          R"({{"cpu":"{}m","memory":"{}Mi","pods":"{}"}}}}}})",
          o.name, o.name, o.zone, o.index, o.cpu_milli, o.memory_mib, o.pods, o.cpu_milli, o.memory_mib, o.pods)));
      present = node_.client_->Create(kind, "", made.root);
    }
    if (!present.ok()) return present.status();
    if (IsReadyNode(**present)) return {};
    Result<ObjectPtr> written =
        client::UpdateWithRetry(runtime_, *node_.client_, kind, {"", node_.name()}, "status", [&](doc::Document& tree) {
          api::core_v1::NodeEdit edit(tree);
          auto conditions = edit.status().conditions();
          auto condition = conditions.empty() ? conditions.Add() : conditions[0];
          condition.set_type("Ready").set_status("True").set_reason("KubeletReady");
          condition.set_last_transition_time(runtime_.Wall());
          return true;
        });
    return written.ok() ? Ok() : Ok(written.status());
  }

  static bool IsReadyNode(const api::Object& node) {
    for (auto condition : api::core_v1::Node(node.tree()).status().conditions()) {
      if (condition.type() == "Ready") return condition.status() == "True";
    }
    return false;
  }

  Ok RenewLease() {
    const api::KindInfo& kind = api::coordination_v1::LeaseInfo();
    const ObjectName name{"kube-node-lease", node_.name()};
    Result<ObjectPtr> present = node_.client_->Get(kind, name);
    if (!present.ok() && !present.Failed(Reason::kNotFound)) return present.status();
    doc::Document tree = present.ok() ? doc::Document::Copy((*present)->tree()) : doc::Document();
    api::coordination_v1::LeaseEdit lease(tree);
    lease.metadata().set_name(name.name).set_ns(name.ns);
    lease.spec().set_holder_identity(node_.name()).set_lease_duration_seconds(40).set_renew_time(runtime_.Wall());
    Result<ObjectPtr> written =
        present.ok() ? node_.client_->Update(kind, name, tree.root) : node_.client_->Create(kind, name.ns, tree.root);
    return written.ok() ? Ok() : Ok(written.status());
  }

  void RunPods() {
    while (true) {
      Result<std::string> key = queue_.Get();
      if (!key.ok()) return;
      const size_t slash = key->find('/');
      Result<Duration> next = Sync({key->substr(0, slash), key->substr(slash + 1)});
      if (next.ok()) {
        queue_.Forget(*key);
        if (*next > Duration::zero()) queue_.AddAfter(*key, *next);
      } else {
        queue_.AddAfter(*key, Between(100ms, 2s));
      }
      queue_.Done(*key);
    }
  }

  /// Until when the pod needs no look; zero: until it changes.
  Result<Duration> Sync(const ObjectName& name) {
    ObjectPtr pod = pods_.Get(name);
    if (pod == nullptr) return Duration::zero();
    const std::string uid(pod->uid());
    const MonoTime now = runtime_.Mono();
    const std::string_view phase = Pod(pod->tree()).status().phase();
    const bool finished = phase == "Succeeded" || phase == "Failed";
    if (pod->deleting()) return End(*pod, name);
    if (finished) {
      Release(uid);
      return Duration::zero();
    }
    Life& life = Begin(*pod);
    if (now < life.start) return life.start - now;
    if (!life.running) {
      life.running = true;
      auto [at, alone] = node_.running_.emplace(uid, node_.name());
      if (!alone && at->second != node_.name()) {
        node_.journal_.Violation(fmt::format("pod {} runs on {} and on {}", name.ToString(), at->second, node_.name()));
      }
    }
    if (node_.calm_) life.crash = life.fail = MonoTime::max();
    if (now >= life.fail) life.failed = true;
    if (now >= life.crash) {
      // Down for a moment: not ready, then running again with one restart more.
      life.restarts++;
      life.running = false;
      life.start = now + Between(1s, 10s);
      life.crash = Chance(300) ? life.start + Between(5s, 60s) : MonoTime::max();
    }
    const Life shown = life;
    TRY(Show(name, uid, shown));
    const MonoTime next = std::min({shown.crash, shown.fail, shown.running ? MonoTime::max() : shown.start});
    if (next == MonoTime::max() || shown.failed) return Duration::zero();
    return std::max(Duration(1ms), next - runtime_.Mono());
  }

  Life& Begin(const api::Object& pod) {
    const std::string uid(pod.uid());
    auto [at, fresh] = lives_.try_emplace(uid);
    Life& life = at->second;
    if (!fresh) return life;
    life.start = runtime_.Mono() + Between(10ms, 3s);
    for (auto status : Pod(pod.tree()).status().container_statuses()) life.restarts = status.restart_count();
    life.address = node_.TakeAddress(uid);
    if (Chance(node_.options_.crash)) life.crash = life.start + Between(1s, 60s);
    if (Chance(node_.options_.fail)) life.fail = life.start + Between(1s, 60s);
    return life;
  }

  /// The pod is being deleted: its container ends within the grace, then the object goes.
  Result<Duration> End(const api::Object& pod, const ObjectName& name) {
    const std::string uid(pod.uid());
    const MonoTime now = runtime_.Mono();
    auto at = lives_.find(uid);
    if (at != lives_.end()) {
      Life& life = at->second;
      if (life.stop == MonoTime::max()) {
        const int64_t grace = Pod(pod.tree()).metadata().deletion_grace_period_seconds().value_or(0);
        life.stop = now + Between(0ms, std::min<Duration>(std::chrono::seconds(grace), 5s));
      }
      if (now < life.stop) return life.stop - now;
    }
    client::DeleteOptions options{.grace_seconds = 0, .uid = uid};
    Result<ObjectPtr> deleted = node_.client_->Delete(api::core_v1::PodInfo(), name, options);
    if (deleted.ok() || deleted.Failed(Reason::kNotFound)) return Duration::zero();
    return deleted.status();
  }

  /// The pod's object is gone, and so is the pod.
  void End(const std::string& uid) {
    Release(uid);
    auto address = node_.addresses_.find(uid);
    if (address == node_.addresses_.end()) return;
    node_.taken_.erase(address->second);
    node_.addresses_.erase(address);
  }

  void Release(const std::string& uid) {
    lives_.erase(uid);
    auto at = node_.running_.find(uid);
    if (at != node_.running_.end() && at->second == node_.name()) node_.running_.erase(at);
  }

  Ok Show(const ObjectName& name, const std::string& uid, const Life& life) {
    Result<ObjectPtr> written = client::UpdateWithRetry(
        runtime_, *node_.client_, api::core_v1::PodInfo(), name, "status", [&](doc::Document& tree) {
          api::core_v1::PodEdit edit(tree);
          if (edit.metadata().uid() != uid || edit.metadata().deletion_timestamp()) return false;
          const doc::Document before = doc::Document::Copy(tree.root);
          FillStatus(edit, life);
          return !tree.root.Equals(before.root);
        });
    if (written.ok() || written.Failed(Reason::kNotFound)) return {};
    return written.status();
  }

  void FillStatus(api::core_v1::PodEdit pod, const Life& life) {
    auto status = pod.status();
    const bool ready = life.running && !life.failed;
    status.set_phase(life.failed ? "Failed" : "Running").set_pod_ip(life.address);
    for (std::string_view type : {"Initialized", "Ready", "ContainersReady"}) {
      const std::string_view value = type == "Initialized" || ready ? "True" : "False";
      auto conditions = status.conditions();
      size_t at = 0;
      while (at < conditions.size() && conditions[at].type() != type) ++at;
      auto condition = at < conditions.size() ? conditions[at] : conditions.Add();
      if (condition.status() == value) continue;
      condition.set_type(type).set_status(value).set_last_transition_time(runtime_.Wall());
    }
    auto containers = status.container_statuses();
    auto container = containers.empty() ? containers.Add() : containers[0];
    container.set_name("c").set_image("i").set_image_id("").set_ready(ready).set_restart_count(life.restarts);
  }

  HollowNode& node_;
  rt::Runtime& runtime_;
  client::InformerFactory informers_;
  client::Informer& pods_;
  client::WorkQueue queue_;
  std::map<std::string, Life, std::less<>> lives_;  // by uid
  rt::TaskGroup tasks_;
};

HollowNode::HollowNode(rt::Runtime& runtime, client::Client& inner, HollowNodeOptions options, RunningPods& running,
                       Journal& journal)
    : runtime_(runtime),
      options_(std::move(options)),
      running_(running),
      journal_(journal),
      client_(MakeFaultClient(runtime, inner, faults_)) {}

HollowNode::~HollowNode() { CHECK(agent_ == nullptr); }

void HollowNode::Start() {
  if (agent_ == nullptr) agent_ = std::make_unique<Agent>(*this);
}

void HollowNode::Stop() { agent_.reset(); }

std::string HollowNode::TakeAddress(const std::string& uid) {
  if (auto at = addresses_.find(uid); at != addresses_.end()) return at->second;
  for (int i = 2; i < 255; ++i) {
    std::string address = fmt::format("10.42.{}.{}", options_.index, i);
    if (!taken_.insert(address).second) continue;
    addresses_.emplace(uid, address);
    return address;
  }
  journal_.Violation("node " + options_.name + " has no address left");
  return "";
}

}  // namespace knarr::sim
