#pragma once

// What is particular about a resource. The registry does what all resources have in common (names, uids, timestamps,
// versions, finalizers, the store); it asks the resource's Strategy for the rest. A resource without special behaviour
// uses Strategy itself; docs/recipes/add-a-resource-strategy.md shows how to add one.
//
// Strategies are const and shared by all runtimes, except for what Reserve and Release keep: those run on the world.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/schema.h"
#include "api/validation.h"
#include "apiserver/apiserver.h"
#include "apiserver/side_write.h"
#include "base/ip.h"
#include "base/status.h"
#include "doc/value.h"
#include "store/store.h"

namespace knarr::apiserver {

/// Which part of an object an update is for.
enum class Target : uint8_t {
  kObject,               ///< the object itself: its status stays as it is
  kStatus,               ///< its status subresource: everything else stays as it is
  kEphemeralContainers,  ///< a pod's debug containers: all else stays as it is
  kResize,               ///< the cpu and memory of a pod's containers: all else stays as it is
  kSpecial,              ///< a subresource whose handler has already kept what must stay (scale, binding, finalize)
};

enum class GcPolicy : uint8_t { kDelete, kOrphan, kUnsupported };

/// What a strategy may look at.
struct StrategyContext {
  rt::Runtime& runtime;
  const store::Store& store;
  const UserInfo& user;
  WallTime now;
  bool dry_run = false;
  /// The newest durable state, for checks against other objects.
  std::shared_ptr<const store::Snapshot> snapshot;
};

/// What Reserve and Release may look at and change, on the world thread.
struct ReserveContext {
  rt::Runtime& world;
  const store::Store& store;
  bool dry_run = false;
};

/// What goes along with the write of an object.
struct Reservation {
  /// Changes of other objects, in the same transaction. When a comparison fails, all of it is done again.
  std::vector<SideWrite> sides;
  /// Called when the write has failed, or when it is durable; may be empty.
  std::function<void()> undo;
  std::function<void()> done;
};

class Strategy {
 public:
  explicit Strategy(const api::KindInfo& kind) : kind_(kind) {}
  virtual ~Strategy() = default;
  Strategy(const Strategy&) = delete;
  Strategy& operator=(const Strategy&) = delete;

  const api::KindInfo& kind() const { return kind_; }

  /// PUT of an object that does not exist creates it.
  virtual bool allow_create_on_update() const { return false; }
  /// PUT without a resourceVersion is allowed.
  virtual bool allow_unconditional_update() const { return true; }
  /// DELETE answers with the object, not with a Status.
  virtual bool returns_deleted_object() const { return false; }
  virtual GcPolicy gc_policy() const { return GcPolicy::kDelete; }
  /// Whether metadata.generation counts changes of the spec.
  bool has_generation() const;

  /// Fills in and resets what only the server may say. By default: an empty status, generation 1.
  virtual Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const;
  /// The same for an update, with the object as it is now. By default: status or spec kept as `target` says, and the
  /// generation counted on.
  virtual Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                              const doc::Value& old) const;
  /// What makes the object invalid; empty when it is fine. By default: the kind's own rules (api/validation.h).
  virtual api::ErrorList Validate(const doc::Value& object) const;
  virtual api::ErrorList ValidateUpdate(Target target, const doc::Value& object, const doc::Value& old) const;
  /// Things worth a Warning header, of an object that is fine otherwise. `old` is null when the object is created.
  virtual std::vector<std::string> Warnings(Target target, const doc::Value& object, const doc::Value* old) const;
  /// The same of a deletion that says nothing about the objects that this one owns.
  virtual std::vector<std::string> DeleteWarnings() const;

  /// Fills in what upstream does when it reads the object back from its store. Called before it is stored.
  virtual void FillStored(doc::Document& object) const;

  /// Refuses (Forbidden) to delete what the system needs.
  virtual Ok CheckDelete(std::string_view name) const;
  /// The seconds a deletion is delayed (asked for, or the default), or nullopt when the resource goes at once.
  virtual std::optional<int64_t> GraceSeconds(const doc::Value& object, std::optional<int64_t> asked) const;
  /// Adds to an object that a delete has just marked, when it is not gone at once.
  virtual void PrepareForDelete(doc::Document& object) const;
  /// Whether an object that is being deleted and has no metadata.finalizers may go.
  virtual bool ReadyToGo(const doc::Value& object) const;

  /// Whether writes take something from a pool (addresses, ports) or change other objects with them: then they end on
  /// the world thread.
  virtual bool reserves() const { return false; }
  /// Takes what the object needs, writes it into the object, and gives back what `old` (null for a create) had and the
  /// object has not. World thread.
  virtual Result<Reservation> Reserve(const ReserveContext& context, doc::Document& object, const doc::Value* old);
  /// Gives back what an object that is being removed has. World thread.
  virtual Reservation Release(const ReserveContext& context, const doc::Value& object);

 protected:
  const api::KindInfo& kind_;
};

/// Sets the member at `path` of the object to a copy of what `from` has there, or removes it.
void KeepMember(doc::Document& object, const doc::Value& from, std::string_view member);
/// The same inside metadata.
void KeepMetadata(doc::Document& object, const doc::Value& from, std::string_view member);
/// Keeps all metadata that users write as it was: of statuses whose writers own nothing else.
void KeepMetadataForStatus(doc::Document& object, const doc::Value& from);
/// metadata of an object, made if it is not there.
doc::Value& Metadata(doc::Document& object);

struct StrategyOptions {
  /// The families Services can have addresses of, the default one first.
  std::vector<IpFamily> service_families = {IpFamily::kIpv4};
  uint16_t node_port_first = 30000;
  uint16_t node_port_last = 32767;
};
/// The strategy of a kind as it is stored, for requests that name it as `served`: its own, or the general one.
std::unique_ptr<Strategy> MakeStrategy(const api::KindInfo& kind, const api::KindInfo& served,
                                       const StrategyOptions& options);

}  // namespace knarr::apiserver
