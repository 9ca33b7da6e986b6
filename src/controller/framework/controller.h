#pragma once

// The reconcile contract. A controller is a function from a key to the next steps towards what the key's object asks
// for: it reads the informers' (possibly stale) copies, computes, writes through the Client. It is level-triggered and
// idempotent: it may be called at any time, any number of times. One key is worked on by one fiber at a time. An error
// brings the key back after a back-off; Conflict is no error worth a log line, just a reason to look again.

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/events.h"
#include "client/informer.h"
#include "rt/runtime.h"

namespace knarr::controller {

/// Ways to the server, each as a service account of kube-system: made when first asked for, and kept.
class Accounts {
 public:
  virtual ~Accounts() = default;
  /// "" is the user system:kube-controller-manager.
  virtual client::Client& Of(std::string_view account) = 0;
};

/// What only whoever holds the cluster's private keys can do; each may be missing.
struct ClusterKeys {
  std::string ca_certificate_pem;
  std::string ca_key_pem;
  /// The token of a service account that stands in a secret.
  std::function<Result<std::string>(std::string_view ns, std::string_view account, std::string_view account_uid,
                                    std::string_view secret)>
      sign_token;
};

/// What every controller gets.
struct Context {
  rt::Runtime& runtime;
  client::Client& client;  ///< as the account of its entry
  Accounts& accounts;      ///< for a controller that does the work of two
  client::InformerFactory& informers;
  client::EventRecorder& events;
  const ClusterKeys& keys;
};

/// How long until the key is to be looked at again although nothing changed; nullopt: not at all.
using Requeue = std::optional<Duration>;
/// After making what should be there: until it is looked whether our copy shows it. What is made, and removed before
/// the watch tells of either, would be missed for ever.
inline constexpr Duration kUntilSeen = 10s;
using Reconcile = std::function<Result<Requeue>(const client::ObjectName& key)>;

/// Runs a reconcile function over a work queue.
class Worker {
 public:
  Worker(rt::Runtime& runtime, std::string name, Reconcile reconcile);
  ~Worker();
  /// Waits until the informers are synced, then works with `fibers` fibers.
  void Start(std::vector<client::Informer*> needs, int fibers = 4);
  void Stop();
  void Add(const client::ObjectName& key);
  void AddAfter(const client::ObjectName& key, Duration delay);

 private:
  void Run();
  const std::string name_;
  Reconcile reconcile_;
  client::WorkQueue queue_;
  rt::TaskGroup tasks_;
};

class Controller {
 public:
  virtual ~Controller() = default;
  virtual void Start() = 0;
  virtual void Stop() = 0;
};

using MakeController = std::unique_ptr<Controller> (*)(Context context);
struct ControllerEntry {
  std::string_view name;
  /// The service account of kube-system it acts as: what the role system:controller:ACCOUNT allows is all it may do.
  /// "": the user system:kube-controller-manager.
  std::string_view account;
  MakeController make;
};
/// The one list of what a server starts.
std::span<const ControllerEntry> AllControllers();

/// Only whether it was written.
Ok Outcome(const Result<api::ObjectPtr>& written);

/// Keys of an object and of its controlling owner, if that is of `kind`.
client::ObjectName NameOf(const api::Object& object);
/// The ownerReference with controller=true, if any.
struct ControllerRef {
  std::string_view api_version;
  std::string_view kind;
  std::string_view name;
  std::string_view uid;
};
std::optional<ControllerRef> ControllerOf(const api::Object& object);

}  // namespace knarr::controller
