#pragma once

// Simulated nodes: machines without containers. They register, renew their leases, and take the pods that are bound to
// them through the lives that a LifeCycles describes, as kubelets would show them. Thousands share one copy of the
// pods, one timer and a few fibers.
//
// To the API server a pod of theirs is like any other; its logs, commands and ports answer that there is no container.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/client.h"
#include "client/informer.h"
#include "client/node_access.h"
#include "hollow/life_cycles.h"
#include "hollow/pod_life.h"
#include "rt/runtime.h"

namespace knarr::hollow {

/// Which pods of a node have which of its addresses. A machine's disk: it outlives its agent.
class AddressBook {
 public:
  /// The pod's number, a free one if it has none; nullopt when none is free. Numbers are 1 … `most`.
  std::optional<uint32_t> Take(const std::string& uid, uint32_t most);
  /// That a pod is known to have a number already.
  void Keep(const std::string& uid, uint32_t number);
  void Give(const std::string& uid);
  /// Forgets all pods but these.
  void KeepOnly(const std::set<std::string, std::less<>>& uids);

 private:
  std::map<std::string, uint32_t, std::less<>> of_;
  std::vector<bool> taken_;
};

struct Options {
  int count = 1;
  int first = 0;  ///< number of the first node
  LifeCycles cycles;
  /// Only this one node's objects are watched: for a machine of its own. Otherwise all of them, once.
  bool alone = false;
  /// Containers go on when only this program was started anew.
  bool adopt = true;
  size_t workers = 64;
  /// Books by node number, when they outlive this object; the first is node `first`'s.
  std::vector<AddressBook>* books = nullptr;
  /// Told when a pod's first container runs and when nothing of it runs any more.
  std::function<void(const std::string& uid, const client::ObjectName& pod, const std::string& node)> on_running;
  std::function<void(const std::string& uid, const std::string& node)> on_ended;
};

class Nodes : public client::NodeAccess {
 public:
  /// `informers` is started and stopped by its owner, after this was made and after Stop.
  Nodes(rt::Runtime& runtime, client::Client& client, client::InformerFactory& informers, Options options);
  /// REQUIRES: Stop was called.
  ~Nodes() override;

  void Start();
  void Stop();
  /// Suspends until every node is registered once.
  Ok WaitRegistered();
  std::vector<std::string> Names() const;
  /// Nothing crashes, fails or dies of its own any more.
  void Calm();

  rt::Runtime& runtime() override { return runtime_; }
  Result<std::unique_ptr<client::LogStream>> Logs(std::string_view ns, std::string_view pod,
                                                  const client::LogOptions& options) override;
  Result<std::unique_ptr<client::ExecStream>> Exec(std::string_view ns, std::string_view pod,
                                                   const client::ExecOptions& options) override;
  Result<std::unique_ptr<client::ExecStream>> Attach(std::string_view ns, std::string_view pod,
                                                     const client::AttachOptions& options) override;
  Result<std::unique_ptr<net::Stream>> Dial(std::string_view ns, std::string_view pod, uint16_t port) override;
  Result<std::unique_ptr<net::Stream>> DialServer() override;

 private:
  struct Node {
    std::string name;
    int number = 0;
    const NodeShape* shape = nullptr;
    Cidr pods;
    std::string address;
    AddressBook* book = nullptr;
    bool up = true;
    bool registered = false;
    bool unready = false;             ///< its object says that it is lost
    bool removed = false;             ///< its object was deleted: the machine is no more
    MonoTime turn = MonoTime::max();  ///< when it dies or comes back
  };
  struct Life {
    Life(const Node& where, PodLife life) : node(where), pod(std::move(life)) {}
    const Node& node;
    PodLife pod;
    MonoTime stops = MonoTime::max();  ///< asked to end: it has ended by then
    uint32_t shown = 0;                ///< the version of it that its status shows
    bool told = false;                 ///< on_running was called
  };

  void MakeNodes();
  void PodChanged(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void NodeChanged(const api::ObjectPtr& before, const api::ObjectPtr& after);
  Node* NodeOf(const api::Object& pod);

  void RunHeartbeats();
  /// Calls `task` for each node that is there, a few at a time.
  void ForEachNode(const std::function<Ok(Node& node)>& task);
  void NotWritten(const Node& node, const Status& status);
  Ok Register(Node& node);
  Ok RenewLease(Node& node);
  void TurnNodes();
  void Die(Node& node);
  doc::Document NodeObject(const Node& node) const;

  void RunPods();
  void AdoptAddresses();
  /// When the pod needs the next look; zero: when it changes.
  Result<Duration> Sync(const client::ObjectName& name);
  Result<Duration> EndPod(const api::Object& pod, Node& node);
  Ok Show(const api::Object& pod, const Node& node, Life& life);
  bool Shows(const api::Object& pod, const Life& life) const;
  Life& LifeOf(const api::Object& pod, const Node& node);
  void Drop(const std::string& uid);
  Status NoContainer(std::string_view ns, std::string_view pod, std::string_view what) const;

  rt::Runtime& runtime_;
  client::Client& client_;
  const Options options_;
  std::vector<AddressBook> own_books_;
  std::vector<Node> nodes_;
  std::unordered_map<std::string, size_t> by_name_;
  client::Informer& pods_;
  client::Informer& node_objects_;
  client::WorkQueue queue_;
  std::unordered_map<std::string, std::unique_ptr<Life>> lives_;  // by uid
  rt::Event registered_;
  rt::Event stirred_;  ///< a node needs a look before the next heartbeat
  bool calm_ = false;
  bool refusal_told_ = false;
  rt::TaskGroup tasks_;
};

}  // namespace knarr::hollow
