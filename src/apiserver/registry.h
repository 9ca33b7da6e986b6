#pragma once

// The store-backed registry: what get, list, create, update and delete mean for every resource alike, as upstream's
// generic registry does it. Both the HTTP handlers and the LocalClient come here; nothing else writes to the store.
//
// A write is prepared where the request came in (against the newest durable snapshot) and committed on the world: the
// transaction compares the object's revision with the one it was prepared from, and when somebody else was faster it is
// prepared again. So nothing is locked while a request is decoded, patched or validated.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "apiserver/admission/admission.h"
#include "apiserver/attributes.h"
#include "apiserver/object_io.h"
#include "apiserver/request.h"
#include "apiserver/resource.h"
#include "client/client.h"
#include "store/store.h"

namespace knarr::apiserver {

using api::ObjectPtr;
using client::ObjectName;

struct ListRequest {
  std::string ns;
  Selection selection;
  int64_t limit = 0;
  std::string continue_token;
  std::string resource_version;
  std::string resource_version_match;
};

/// Part of a list: stored bytes, shared with the store.
struct ListPage {
  std::vector<store::Bytes> items;
  store::Revision revision = 0;
  std::string continue_token;
  std::optional<int64_t> remaining;
};

struct CreateRequest {
  std::string ns;
  doc::Document object;
  bool dry_run = false;
};

/// Whether a write goes through the admission chain, or is part of one that did (an eviction's delete).
enum class Admission : uint8_t { kRun, kDone };

/// What an update of an object that does not exist does.
enum class CreateWhenAbsent : uint8_t { kNo, kIfStrategyAllows, kYes };

struct UpdateRequest {
  ObjectName name;
  Target target = Target::kObject;
  Admission admission = Admission::kRun;
  std::string_view subresource;  ///< what admission is told of
  /// The new object, whole and with its defaults, made from the present one (null: there is none). Called again after
  /// somebody else's write came between.
  std::function<Result<doc::Document>(const doc::Value& current)> make;
  /// Writes of other objects in the same transaction, made on the world from the newest state; empty: none. They happen
  /// even when the object itself is written as it was.
  std::function<Result<std::vector<SideWrite>>()> along;
  CreateWhenAbsent create = CreateWhenAbsent::kNo;
  bool dry_run = false;
  std::string uid;  ///< precondition, "" none
};

struct UpdateOutcome {
  ObjectPtr object;
  bool created = false;
};

struct DeleteOutcome {
  ObjectPtr object;
  /// False when grace or finalizers hold the object.
  bool gone = false;
};

class ResourceRegistry {
 public:
  ResourceRegistry(rt::Runtime& world, store::Store& store, const AdmissionChain& admission)
      : world_(world), store_(store), admission_(admission) {}

  Result<ObjectPtr> Get(RequestContext& context, const Resource& resource, const ObjectName& name,
                        std::string_view resource_version = {}) const;
  Result<ListPage> List(RequestContext& context, const Resource& resource, const ListRequest& request) const;
  Result<ObjectPtr> Create(RequestContext& context, Resource& resource, CreateRequest request);
  Result<UpdateOutcome> Update(RequestContext& context, Resource& resource, const UpdateRequest& request);
  Result<DeleteOutcome> Delete(RequestContext& context, Resource& resource, const ObjectName& name,
                               client::DeleteOptions options, Admission admission = Admission::kRun);
  /// Deletes what the list matches; gives the objects as they were.
  Result<ListPage> DeleteCollection(RequestContext& context, Resource& resource, const ListRequest& list,
                                    const client::DeleteOptions& options);

  /// For what the chain is asked about a write.
  AdmissionRequest MakeAdmission(RequestContext& context, const Resource& resource, AdmissionOperation operation,
                                 bool dry_run) const;
  const AdmissionChain& admission() const { return admission_; }

  store::Store& store() const { return store_; }
  rt::Runtime& world() const { return world_; }

 private:
  friend class DeleteRun;
  StrategyContext MakeContext(const RequestContext& context, bool dry_run) const;
  Result<std::shared_ptr<const store::Snapshot>> ListSnapshot(const ListRequest& request, RequestContext& context,
                                                              std::string& start_after) const;
  Result<ObjectPtr> CreateNamed(RequestContext& context, Resource& resource, doc::Document& object, bool dry_run);
  Result<UpdateOutcome> UpdateOnce(RequestContext& context, Resource& resource, const UpdateRequest& request,
                                   const store::KeyValue& current);
  /// A write as its transaction needs it.
  struct Put {
    const std::string& key;
    store::Revision expected;  ///< 0: a new key
    doc::Document& object;
    const doc::Value* old = nullptr;
    const AdmissionRequest* admission = nullptr;  ///< null: nothing is charged
    std::function<Result<std::vector<SideWrite>>()> along = {};
    /// The object's stored form, if its caller has made it: taken where nothing is reserved. Null: made by the write.
    StoredForm* form = nullptr;
  };
  /// What a dry run has of Reserve and of admission's charges: the object as it would be.
  Ok TryCommit(RequestContext& context, Resource& resource, const Put& put);
  /// Reserves, charges, writes and waits until it is durable, on the world. Conflict when the key's revision is
  /// another.
  Result<store::KeyValue> CommitPut(RequestContext& context, Resource& resource, const Put& put);
  // World thread: one attempt of a write that reserves; the write with what admission charges and what was reserved;
  // and the transaction.
  Result<store::KeyValue> ReserveAndWrite(Resource& resource, const Put& put);
  Result<store::KeyValue> WriteWithSides(const Put& put, StoredForm form, const Reservation* reservation = nullptr);
  Result<store::KeyValue> Write(store::Compare compare, store::Op op, std::vector<SideWrite> sides);
  Result<store::KeyValue> CommitDelete(RequestContext& context, Resource& resource, const std::string& key,
                                       store::Revision expected, const doc::Value& old);
  /// What a retry starts from, perhaps not durable yet; that there is nothing is.
  Result<std::optional<store::KeyValue>> Newest(RequestContext& context, const std::string& key) const;
  /// The state when all that is under way now is durable: what a client may be told.
  Result<std::optional<store::KeyValue>> Settled(RequestContext& context, const std::string& key) const;

  rt::Runtime& world_;
  store::Store& store_;
  const AdmissionChain& admission_;
};

/// What Go says of text that is no number: "invalid syntax" or "value out of range".
std::string_view NumberProblem(std::string_view text);
/// "resourceVersion" of gets, lists and watches; an error without a reason for anything but "" or digits.
Result<store::Revision> ParseResourceVersion(std::string_view text);

}  // namespace knarr::apiserver
