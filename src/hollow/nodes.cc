#include "hollow/nodes.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/coordination_v1.h"
#include "api/core_v1.h"
#include "base/check.h"
#include "base/log.h"
#include "doc/json.h"

namespace knarr::hollow {
namespace {

using api::ObjectPtr;
using api::core_v1::Pod;
using client::ObjectName;

constexpr int kLeaseSeconds = 40;
constexpr Duration kTryAgain = 1s;
/// Heartbeats and registrations under way at once: they share the store's flushes.
constexpr size_t kAtOnce = 64;
constexpr Duration kRetryLeast = 100ms;
constexpr Duration kRetryMost = 2s;

client::InformerScope PodScope(const Options& options, const std::string& first) {
  return {.ns = "", .field_selector = options.alone ? "spec.nodeName=" + first : ""};
}
client::InformerScope NodeScope(const Options& options, const std::string& first) {
  return {.ns = "", .field_selector = options.alone ? "metadata.name=" + first : ""};
}

std::string NameOfNode(const Options& options, int number) {
  return fmt::format("{}-{}", options.cycles.ShapeOf(number).name, number);
}

bool IsReady(const api::Object& node) {
  for (auto condition : api::core_v1::Node(node.tree()).status().conditions()) {
    if (condition.type() == "Ready") return condition.status() == "True";
  }
  return false;
}

bool IsFinished(Pod pod) { return pod.status().phase() == "Succeeded" || pod.status().phase() == "Failed"; }

}  // namespace

std::optional<uint32_t> AddressBook::Take(const std::string& uid, uint32_t most) {
  if (const auto at = of_.find(uid); at != of_.end()) return at->second;
  for (uint32_t number = 1; number <= most; ++number) {
    if (number < taken_.size() && taken_[number]) continue;
    Keep(uid, number);
    return number;
  }
  return std::nullopt;
}

void AddressBook::Keep(const std::string& uid, uint32_t number) {
  if (number >= taken_.size()) taken_.resize(number + 1);
  taken_[number] = true;
  of_[uid] = number;
}

void AddressBook::KeepOnly(const std::set<std::string, std::less<>>& uids) {
  for (auto at = of_.begin(); at != of_.end();) {
    if (uids.contains(at->first)) {
      ++at;
      continue;
    }
    taken_[at->second] = false;
    at = of_.erase(at);
  }
}

void AddressBook::Give(const std::string& uid) {
  const auto at = of_.find(uid);
  if (at == of_.end()) return;
  taken_[at->second] = false;
  of_.erase(at);
}

Nodes::Nodes(rt::Runtime& runtime, client::Client& client, client::InformerFactory& informers, Options options)
    : runtime_(runtime),
      client_(client),
      options_(std::move(options)),
      pods_(informers.For(api::core_v1::PodInfo(), PodScope(options_, NameOfNode(options_, options_.first)))),
      node_objects_(informers.For(api::core_v1::NodeInfo(), NodeScope(options_, NameOfNode(options_, options_.first)))),
      queue_(runtime),
      registered_(runtime),
      stirred_(runtime),
      tasks_(runtime, "hollow nodes") {
  MakeNodes();
  pods_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) { PodChanged(before, after); });
  node_objects_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) { NodeChanged(before, after); });
}

Nodes::~Nodes() = default;

void Nodes::MakeNodes() {
  const auto count = static_cast<size_t>(options_.count);
  const int prefix = options_.cycles.PodPrefix();
  own_books_.resize(options_.books == nullptr ? count : 0);
  nodes_.resize(count);
  for (size_t i = 0; i < count; ++i) {
    Node& node = nodes_[i];
    node.number = options_.first + static_cast<int>(i);
    node.name = NameOfNode(options_, node.number);
    node.shape = &options_.cycles.ShapeOf(node.number);
    const auto number = static_cast<uint64_t>(node.number);
    // REQUIRES: LifeCycles::CheckCount.
    node.pods = MUST(options_.cycles.pod_range.Subnet(prefix, number));
    node.address = (options_.cycles.node_range.Network() + number + 1).ToString();
    node.book = options_.books == nullptr ? &own_books_[i] : &(*options_.books)[i];
    if (node.shape->lives) node.turn = runtime_.Mono() + node.shape->lives->Draw(runtime_);
    by_name_.emplace(node.name, i);
  }
}

std::vector<std::string> Nodes::Names() const {
  std::vector<std::string> out;
  for (const Node& node : nodes_) out.push_back(node.name);
  return out;
}

void Nodes::Start() {
  tasks_.Spawn("heartbeats", [this] { RunHeartbeats(); });
  tasks_.Spawn("pods", [this] {
    if (!pods_.WaitSynced().ok() || !node_objects_.WaitSynced().ok()) return;
    AdoptAddresses();
    for (size_t i = 0; i < options_.workers; ++i) tasks_.Spawn("pods", [this] { RunPods(); });
  });
}

void Nodes::Stop() {
  queue_.ShutDown();
  tasks_.StopAndJoin();
  while (!lives_.empty()) Drop(std::string(lives_.begin()->first));
}

Ok Nodes::WaitRegistered() { return registered_.Wait(); }

void Nodes::Calm() {
  calm_ = true;
  for (auto& [uid, life] : lives_) life->pod.Calm();
  for (Node& node : nodes_) {
    if (node.up) node.turn = MonoTime::max();
  }
  for (const ObjectPtr& pod : pods_.List()) PodChanged(pod, pod);
}

Nodes::Node* Nodes::NodeOf(const api::Object& pod) {
  const auto at = by_name_.find(std::string(Pod(pod.tree()).spec().node_name()));
  return at == by_name_.end() ? nullptr : &nodes_[at->second];
}

void Nodes::PodChanged(const ObjectPtr& before, const ObjectPtr& after) {
  const api::Object& any = after != nullptr ? *after : *before;
  Node* node = NodeOf(any);
  if (node == nullptr) return;
  if (after == nullptr) {
    const std::string uid(any.uid());
    Drop(uid);
    node->book->Give(uid);
    return;
  }
  queue_.Add(ObjectName{std::string(any.ns()), std::string(any.name())}.ToString());
}

void Nodes::NodeChanged(const ObjectPtr& before, const ObjectPtr& after) {
  const auto at = by_name_.find(std::string((after != nullptr ? after : before)->name()));
  if (at == by_name_.end()) return;
  Node& node = nodes_[at->second];
  if (after == nullptr) {
    // Whoever deletes a simulated node takes the machine away.
    if (!node.registered) return;
    node.removed = true;
    Die(node);
    return;
  }
  node.unready = !IsReady(*after);
  if (node.registered && node.up && !node.removed && node.unready) {
    node.registered = false;  // somebody says that it is lost, and it is not
    stirred_.Set();
  }
}

void Nodes::ForEachNode(const std::function<Ok(Node& node)>& task) {
  size_t next = 0;
  rt::TaskGroup group(runtime_, "hollow nodes");
  for (size_t i = 0; i < std::min(kAtOnce, nodes_.size()); ++i) {
    group.Spawn("node", [&] {
      while (next < nodes_.size()) {
        Node& node = nodes_[next++];
        if (!node.up || node.removed) continue;
        const Ok done = task(node);
        if (done.Failed(Reason::kCancelled)) return;
        if (done.ok()) continue;
        node.registered = false;
        NotWritten(node, done.status());
      }
    });
  }
  group.Join();
}

/// What comes and goes with a network is nothing to talk about; a refusal will not end by itself: it is told once.
void Nodes::NotWritten(const Node& node, const Status& status) {
  static constexpr Reason kRefusals[] = {Reason::kInvalid, Reason::kBadRequest, Reason::kForbidden,
                                         Reason::kUnauthorized};
  const bool refused = std::ranges::any_of(kRefusals, [&](Reason reason) { return status.Is(reason); });
  if (refused && !refusal_told_) {
    refusal_told_ = true;
    LOG_WARN("a hollow node is refused; it is tried again", {"node", node.name}, {"error", status});
    return;
  }
  LOG_DEBUG("hollow node not written", {"node", node.name}, {"error", status});
}

void Nodes::RunHeartbeats() {
  MonoTime beat = runtime_.Mono();
  while (runtime_.CheckCancelled().ok()) {
    TurnNodes();
    const bool due = runtime_.Mono() >= beat;
    if (due) beat = runtime_.Mono() + options_.cycles.heartbeat;
    ForEachNode([&](Node& node) -> Ok {
      // What was said of it while it registered may still stand.
      if (!node.registered || (due && node.unready)) {
        TRY(Register(node));
        node.registered = true;
        return RenewLease(node);
      }
      return due ? RenewLease(node) : Ok();
    });
    if (!runtime_.CheckCancelled().ok()) return;
    const bool all = std::ranges::all_of(nodes_, [](const Node& n) { return n.registered || !n.up || n.removed; });
    if (all) registered_.Set();
    MonoTime next = all ? beat : std::min(beat, runtime_.Mono() + kTryAgain);
    for (const Node& node : nodes_) next = std::min(next, node.turn);
    const Ok waited = stirred_.Wait(next);
    if (!waited.ok() && !waited.Failed(Reason::kTimeout)) return;
    stirred_.Reset();
  }
}

/// Nodes whose time has come die or come back.
void Nodes::TurnNodes() {
  const MonoTime now = runtime_.Mono();
  for (Node& node : nodes_) {
    if (node.turn > now || node.removed) continue;
    if (!node.up) {
      node.up = true;
      node.turn = calm_ ? MonoTime::max() : now + node.shape->lives->Draw(runtime_);
      for (const ObjectPtr& pod : pods_.List()) {
        if (NodeOf(*pod) == &node) PodChanged(nullptr, pod);
      }
      continue;
    }
    Die(node);
    node.turn = node.shape->gone ? now + node.shape->gone->Draw(runtime_) : MonoTime::max();
  }
}

/// Everything on it ends without a word.
void Nodes::Die(Node& node) {
  node.up = false;
  node.registered = false;
  node.turn = MonoTime::max();
  for (const ObjectPtr& pod : pods_.List()) {
    if (NodeOf(*pod) == &node) Drop(std::string(pod->uid()));
  }
}

doc::Document Nodes::NodeObject(const Node& node) const {
  doc::Document document;
  api::core_v1::NodeEdit edit(document);
  auto metadata = edit.metadata();
  metadata.set_name(node.name);
  metadata.put_labels("kubernetes.io/hostname", node.name).put_labels("kubernetes.io/os", "linux");
  metadata.put_labels("kubernetes.io/arch", "amd64").put_labels("knarr.dev/hollow", "true");
  for (const auto& [key, value] : node.shape->labels) metadata.put_labels(key, value);
  edit.spec().set_pod_cidr(node.pods.ToString()).add_pod_cidrs(node.pods.ToString());
  for (const NodeShape::Taint& taint : node.shape->taints) {
    edit.spec().add_taints().set_key(taint.key).set_value(taint.value).set_effect(taint.effect);
  }
  auto status = edit.status();
  for (const auto& [name, amount] : node.shape->capacity) {
    status.put_capacity(name, amount).put_allocatable(name, amount);
  }
  const WallTime now = runtime_.Wall();
  struct Text {
    std::string_view type, status, reason, message;
  };
  for (const Text& text :
       {Text{"MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"},
        Text{"DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"},
        Text{"PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"},
        Text{"Ready", "True", "KubeletReady", "simulated node is posting ready status"}}) {
    auto condition = status.add_conditions();
    condition.set_type(text.type).set_status(text.status).set_reason(text.reason).set_message(text.message);
    condition.set_last_heartbeat_time(now).set_last_transition_time(now);
  }
  status.add_addresses().set_type("InternalIP").set_address(node.address);
  status.add_addresses().set_type("Hostname").set_address(node.name);
  auto info = status.node_info();
  info.set_operating_system("linux").set_architecture("amd64").set_os_image("simulated").set_kernel_version("");
  info.set_machine_id(node.name).set_system_uuid(node.name).set_boot_id(node.name);
  info.set_container_runtime_version("hollow://" KNARR_VERSION).set_kubelet_version("v1.36.0+knarr" KNARR_VERSION);
  info.set_kube_proxy_version("");
  return document;
}

Ok Nodes::Register(Node& node) {
  const api::KindInfo& kind = api::core_v1::NodeInfo();
  const doc::Document wanted = NodeObject(node);
  Result<ObjectPtr> present = client_.Get(kind, {"", node.name});
  if (present.Failed(Reason::kNotFound)) present = client_.Create(kind, "", wanted.root);
  if (!present.ok()) return present.status();
  if (IsReady(**present)) return {};
  doc::Document patch;
  patch.root = doc::Value::Object();
  patch.root.AddMember(patch.arena, "status", wanted.root.At("status"));
  const Result<ObjectPtr> written = client_.Patch(kind, {"", node.name}, client::PatchType::kStrategicMerge,
                                                  doc::ToJson(patch.root), "status");
  return written.ok() ? Ok() : Ok(written.status());
}

Ok Nodes::RenewLease(Node& node) {
  const api::KindInfo& kind = api::coordination_v1::LeaseInfo();
  const ObjectName name{"kube-node-lease", node.name};
  const std::string patch = fmt::format(R"({{"spec":{{"renewTime":"{}"}}}})", FormatMicroTime(runtime_.Wall()));
  Result<ObjectPtr> written = client_.Patch(kind, name, client::PatchType::kMerge, patch);
  if (written.Failed(Reason::kNotFound)) {
    doc::Document document;
    api::coordination_v1::LeaseEdit lease(document);
    lease.metadata().set_name(name.name).set_ns(name.ns);
    lease.spec().set_holder_identity(node.name).set_lease_duration_seconds(kLeaseSeconds);
    lease.spec().set_renew_time(runtime_.Wall());
    if (const Result<ObjectPtr> owner = client_.Get(api::core_v1::NodeInfo(), {"", node.name}); owner.ok()) {
      auto reference = lease.metadata().add_owner_references();
      reference.set_api_version("v1").set_kind("Node").set_name(node.name).set_uid((*owner)->uid());
    }
    written = client_.Create(kind, name.ns, document.root);
  }
  return written.ok() ? Ok() : Ok(written.status());
}

/// What pods are seen to have before anybody is given an address: they may come from a run before this one.
void Nodes::AdoptAddresses() {
  std::set<std::string, std::less<>> there;
  for (const ObjectPtr& pod : pods_.List()) there.emplace(pod->uid());
  for (Node& node : nodes_) node.book->KeepOnly(there);
  for (const ObjectPtr& pod : pods_.List()) {
    Node* node = NodeOf(*pod);
    if (node == nullptr) continue;
    const Result<IpAddress> address = IpAddress::Parse(Pod(pod->tree()).status().pod_ip());
    if (!address.ok() || !node->pods.Contains(*address)) continue;
    const uint64_t number = address->DistanceFrom(node->pods.Network());
    if (number > 1) node->book->Keep(std::string(pod->uid()), static_cast<uint32_t>(number - 1));
  }
}

void Nodes::RunPods() {
  while (true) {
    const Result<std::string> key = queue_.Get();
    if (!key.ok()) return;
    const size_t slash = key->find('/');
    const Result<Duration> next = Sync({key->substr(0, slash), key->substr(slash + 1)});
    if (!next.ok()) {
      queue_.AddAfter(*key, Span{kRetryLeast, kRetryMost}.Draw(runtime_));
    } else if (*next > Duration::zero()) {
      queue_.AddAfter(*key, *next);
    }
    queue_.Done(*key);
  }
}

Nodes::Life& Nodes::LifeOf(const api::Object& pod, const Node& node) {
  std::unique_ptr<Life>& life = lives_[std::string(pod.uid())];
  if (life == nullptr) {
    const Pod view(pod.tree());
    life = std::make_unique<Life>(node, PodLife(runtime_, options_.cycles.For(view), view, options_.adopt));
    if (calm_) life->pod.Calm();
  }
  return *life;
}

Result<Duration> Nodes::Sync(const ObjectName& name) {
  const ObjectPtr pod = pods_.Get(name);
  if (pod == nullptr) return Duration::zero();
  Node* node = NodeOf(*pod);
  if (node == nullptr || !node->up || node->removed) return Duration::zero();
  if (pod->deleting()) return EndPod(*pod, *node);
  const std::string uid(pod->uid());
  if (IsFinished(Pod(pod->tree()))) {
    Drop(uid);
    return Duration::zero();
  }
  Life& life = LifeOf(*pod, *node);
  const MonoTime next = life.pod.Advance(runtime_.Mono());
  if (life.pod.running() && !life.told) {
    life.told = true;
    if (options_.on_running) options_.on_running(uid, name, node->name);
  }
  // Nothing to say before something runs, or is known not to: what was said before stands.
  const bool begun = life.pod.running() || life.pod.version() > 1;
  if (begun && !Shows(*pod, life)) TRY(Show(*pod, *node, life));
  if (next == MonoTime::max()) return Duration::zero();
  return std::max<Duration>(1ms, next - runtime_.Mono());
}

/// The pod is being deleted: it ends within the grace, then its object goes.
Result<Duration> Nodes::EndPod(const api::Object& pod, Node& node) {
  const std::string uid(pod.uid());
  const Pod view(pod.tree());
  if (const auto at = lives_.find(uid); at != lives_.end() && !IsFinished(view)) {
    Life& life = *at->second;
    const MonoTime now = runtime_.Mono();
    const auto grace = std::chrono::seconds(
        std::clamp<int64_t>(view.metadata().deletion_grace_period_seconds().value_or(0), 0, 3600));
    life.stops = std::min(life.stops, life.pod.Stop(grace));
    if (now < life.stops) return life.stops - now;
    (void)life.pod.Advance(now);
    // Whoever holds the object still is shown how it ended.
    if (!view.metadata().finalizers().empty()) TRY(Show(pod, node, life));
  }
  Drop(uid);
  if (!view.metadata().finalizers().empty() && view.metadata().deletion_grace_period_seconds().value_or(1) == 0) {
    return Duration::zero();
  }
  const client::DeleteOptions options{.grace_seconds = 0, .uid = uid};
  const Result<ObjectPtr> deleted =
      client_.Delete(api::core_v1::PodInfo(), {std::string(pod.ns()), std::string(pod.name())}, options);
  if (deleted.ok() || deleted.Failed(Reason::kNotFound)) return Duration::zero();
  return deleted.status();
}

void Nodes::Drop(const std::string& uid) {
  const auto at = lives_.find(uid);
  if (at == lives_.end()) return;
  const std::unique_ptr<Life> life = std::move(at->second);
  lives_.erase(at);
  if (life->told && options_.on_ended) options_.on_ended(uid, life->node.name);
}

bool Nodes::Shows(const api::Object& object, const Life& life) const {
  if (life.shown != life.pod.version()) return false;
  // Others may have written, too: a node that was given up for lost has its pods marked as not ready.
  const Pod pod(object.tree());
  bool ready = false;
  for (auto condition : pod.status().conditions()) {
    if (condition.type() == "Ready") ready = condition.status() == "True";
  }
  return pod.status().phase() == life.pod.phase() && ready == life.pod.ready() && !pod.status().pod_ip().empty();
}

Ok Nodes::Show(const api::Object& object, const Node& node, Life& life) {
  const std::string uid(object.uid());
  const auto most = static_cast<uint32_t>(node.pods.Size() - 3);
  const std::optional<uint32_t> number = node.book->Take(uid, most);
  if (!number) return Unavailable(fmt::format("node {} has no address left", node.name));
  const uint32_t version = life.pod.version();
  doc::Document patch;
  api::core_v1::PodEdit edit(patch);
  edit.metadata().set_uid(uid);
  const Pod pod(object.tree());
  const std::string own = pod.spec().host_network() ? node.address : node.pods.At(*number + 1).ToString();
  life.pod.Fill(pod, {.pod_ip = own, .host_ip = node.address}, edit.status());
  const Result<ObjectPtr> written =
      client_.Patch(api::core_v1::PodInfo(), {std::string(object.ns()), std::string(object.name())},
                    client::PatchType::kStrategicMerge, doc::ToJson(patch.root), "status");
  if (!written.ok()) {
    // Gone: its end is on the way here.
    return written.Failed(Reason::kNotFound) ? Ok() : Ok(written.status());
  }
  if (const auto at = lives_.find(uid); at != lives_.end()) at->second->shown = version;
  return {};
}

Status Nodes::NoContainer(std::string_view ns, std::string_view pod, std::string_view what) const {
  return BadRequest(
      fmt::format("pod {}/{} is on a simulated node: its containers do not exist, and have no {}", ns, pod, what));
}

Result<std::unique_ptr<client::LogStream>> Nodes::Logs(std::string_view ns, std::string_view pod,
                                                       const client::LogOptions& /*options*/) {
  return NoContainer(ns, pod, "logs");
}
Result<std::unique_ptr<client::ExecStream>> Nodes::Exec(std::string_view ns, std::string_view pod,
                                                        const client::ExecOptions& /*options*/) {
  return NoContainer(ns, pod, "commands to run");
}
Result<std::unique_ptr<client::ExecStream>> Nodes::Attach(std::string_view ns, std::string_view pod,
                                                          const client::AttachOptions& /*options*/) {
  return NoContainer(ns, pod, "streams");
}
Result<std::unique_ptr<net::Stream>> Nodes::Dial(std::string_view ns, std::string_view pod, uint16_t /*port*/) {
  return NoContainer(ns, pod, "ports");
}
Result<std::unique_ptr<net::Stream>> Nodes::DialServer() { return Unavailable("a simulated node has no server"); }

}  // namespace knarr::hollow
