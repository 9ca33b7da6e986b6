#pragma once

// The one way to the cluster for controllers, scheduler, node agent, DNS, proxy and command line. In the server's own
// process it is a direct call into the same pipeline that HTTP requests take (apiserver::LocalClient); elsewhere it is
// HTTP/2 over TLS (client::HttpClient). Every call suspends the fiber; errors are the API's Status values.
//
// Objects given out are shared and const. Objects given in are trees the callee only reads.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "api/schema.h"
#include "base/status.h"
#include "base/time.h"
#include "rt/runtime.h"

namespace knarr::client {

using api::KindInfo;
using api::ObjectPtr;

struct ObjectName {
  std::string ns;  ///< "" for kinds without a namespace
  std::string name;
  bool operator==(const ObjectName&) const = default;
  auto operator<=>(const ObjectName&) const = default;
  /// "ns/name" or "name".
  std::string ToString() const { return ns.empty() ? name : ns + "/" + name; }
};

struct ListOptions {
  std::string label_selector;
  std::string field_selector;
  int64_t limit = 0;
  std::string continue_token;
  std::string resource_version;
  std::string resource_version_match;
};

struct ObjectList {
  std::vector<ObjectPtr> items;
  std::string resource_version;
  std::string continue_token;
};

enum class PatchType : uint8_t { kJson, kMerge, kStrategicMerge, kApply };

struct WriteOptions {
  bool dry_run = false;
  std::string field_manager;
  std::string field_validation;  ///< "", "Strict", "Warn", "Ignore"
  bool force = false;            ///< kApply
};

enum class Propagation : uint8_t { kDefault, kOrphan, kBackground, kForeground };

struct DeleteOptions {
  std::optional<int64_t> grace_seconds;
  std::string uid;               ///< precondition, "" none
  std::string resource_version;  ///< precondition, "" none
  Propagation propagation = Propagation::kDefault;
  bool dry_run = false;
};

enum class WatchEventType : uint8_t { kAdded, kModified, kDeleted, kBookmark };

struct WatchEvent {
  WatchEventType type = WatchEventType::kAdded;
  /// Of a bookmark: only kind and metadata.resourceVersion mean anything.
  ObjectPtr object;
};

struct WatchOptions {
  std::string label_selector;
  std::string field_selector;
  /// Changes after this; "" or "0": the present objects first, as ADDED.
  std::string resource_version;
  bool bookmarks = false;
  Duration timeout{};  ///< 0: the server's choice
};

class WatchStream {
 public:
  virtual ~WatchStream() = default;
  /// At least one event. Expired (410) when the revision is gone: list again. Unavailable when the stream ended
  /// (watch again from the last resource version).
  virtual Result<std::vector<WatchEvent>> Next() = 0;
};

class Client {
 public:
  virtual ~Client() = default;

  /// `subresource` is "" for the object itself ("status", "scale", …).
  virtual Result<ObjectPtr> Get(const KindInfo& kind, const ObjectName& name, std::string_view subresource = {}) = 0;
  /// ns "" means all namespaces.
  virtual Result<ObjectList> List(const KindInfo& kind, std::string_view ns, const ListOptions& options = {}) = 0;
  virtual Result<std::unique_ptr<WatchStream>> Watch(const KindInfo& kind, std::string_view ns,
                                                     const WatchOptions& options) = 0;
  /// A subresource that is created ("binding", "eviction", "token") goes to the object `name`; otherwise `name` may be
  /// empty and the object's own metadata counts.
  virtual Result<ObjectPtr> Create(const KindInfo& kind, std::string_view ns, const doc::Value& object,
                                   const WriteOptions& options = {}) = 0;
  virtual Result<ObjectPtr> CreateSub(const KindInfo& kind, const ObjectName& name, std::string_view subresource,
                                      const doc::Value& object, const WriteOptions& options = {}) = 0;
  virtual Result<ObjectPtr> Update(const KindInfo& kind, const ObjectName& name, const doc::Value& object,
                                   std::string_view subresource = {}, const WriteOptions& options = {}) = 0;
  virtual Result<ObjectPtr> Patch(const KindInfo& kind, const ObjectName& name, PatchType type, std::string_view body,
                                  std::string_view subresource = {}, const WriteOptions& options = {}) = 0;
  /// The object as it was last (or as it is now, when finalizers or grace hold it).
  virtual Result<ObjectPtr> Delete(const KindInfo& kind, const ObjectName& name, const DeleteOptions& options = {}) = 0;
  virtual Ok DeleteCollection(const KindInfo& kind, std::string_view ns, const ListOptions& list,
                              const DeleteOptions& options = {}) = 0;
};

/// Whether a write that failed so may have taken effect all the same (the answer was lost, not the request): who must
/// know asks the server for what is there now.
bool OutcomeUnknown(const Status& status);

/// Reads, changes and writes back, again on Conflict (with back-off, up to `tries`). `change` returns false to leave
/// the object as it is.
Result<ObjectPtr> UpdateWithRetry(rt::Runtime& runtime, Client& client, const KindInfo& kind, const ObjectName& name,
                                  std::string_view subresource, const std::function<bool(doc::Document&)>& change,
                                  int tries = 5);

}  // namespace knarr::client
