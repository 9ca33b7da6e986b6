#pragma once

// Admission: what may refuse a write, or add to it, after it was authorised and decoded. Each plugin is one of
// upstream's and has its name; the chain runs those that are switched on in upstream's order, in three phases:
//
//   Mutate    where the request came in, before the strategy prepares the object: adds to the object, or refuses
//   Validate  there too, after the object was found valid: refuses
//   Charge    on the world, in one step with the write: what else is written in the same transaction (a quota's use)
//
// A write that lost a race is prepared again, so Mutate and Validate may run several times for one request and must
// give the same when repeated. Plugins are const and shared by all runtimes; what they look up is in `Local::objects`,
// which decodes each state of an object once.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "api/schema.h"
#include "apiserver/apiserver.h"
#include "apiserver/authorization/authorizer.h"
#include "apiserver/request.h"
#include "apiserver/side_write.h"
#include "doc/value.h"
#include "store/store.h"

namespace knarr::apiserver {

enum class AdmissionOperation : uint8_t { kCreate, kUpdate, kDelete, kConnect };
/// "CREATE", "UPDATE", "DELETE", "CONNECT": as messages and webhooks name it.
std::string_view OperationText(AdmissionOperation operation);

/// What is to be admitted: upstream's admission attributes. Lives as long as one attempt of one write.
struct AdmissionRequest {
  RequestContext& context;
  Authorizer& authorizer;
  /// The newest durable state when the attempt began.
  std::shared_ptr<const store::Snapshot> snapshot;
  AdmissionOperation operation;
  const api::KindInfo& kind;  ///< the resource's
  std::string_view subresource;
  std::string ns;
  std::string name;  ///< "" while a name is still to be generated
  /// What is to be stored; null for a delete.
  doc::Document* object = nullptr;
  /// What is stored; null for a create.
  const doc::Value* old_object = nullptr;
  bool dry_run = false;

  bool IsFor(std::string_view group, std::string_view plural) const {
    return kind.group == group && kind.plural == plural;
  }
  const doc::Value& root() const { return object->root; }

  /// The object under the name; null when there is none.
  api::ObjectPtr Find(std::string_view group, std::string_view plural, std::string_view object_ns,
                      std::string_view object_name) const;
  /// All of a namespace, or ("") of a kind without namespaces, ordered by name.
  std::vector<api::ObjectPtr> List(std::string_view group, std::string_view plural, std::string_view object_ns) const;

  /// As Find, for what is not looked up again and again: nothing is kept of it.
  api::ObjectPtr Read(std::string_view group, std::string_view plural, std::string_view object_ns,
                      std::string_view object_name) const;

  /// `pods "x" is forbidden: why`; an object without a name yet goes by its generateName.
  Status Forbidden(std::string_view why) const;
  void Warn(std::string text) const { context.warnings.Add(std::move(text)); }
  /// Noted in the request's audit event.
  void Annotate(std::string key, std::string value) const;
};

class AdmissionPlugin {
 public:
  virtual ~AdmissionPlugin() = default;
  virtual Ok Mutate(AdmissionRequest& /*request*/) const { return {}; }
  virtual Ok Validate(const AdmissionRequest& /*request*/) const { return {}; }
  /// World thread; must not wait. Adds to `out`, from the newest state, or refuses.
  virtual Ok Charge(const AdmissionRequest& /*request*/, const store::Store& /*store*/,
                    std::vector<SideWrite>& /*out*/) const {
    return {};
  }
};

class AdmissionChain {
 public:
  /// BadRequest when a flag names a plugin that does not exist, or the configuration is wrong.
  static Result<std::unique_ptr<AdmissionChain>> Create(const AdmissionOptions& options);

  Ok Mutate(AdmissionRequest& request) const;
  Ok Validate(const AdmissionRequest& request) const;
  Ok Charge(const AdmissionRequest& request, const store::Store& store, std::vector<SideWrite>& out) const;

  /// Whom plugins ask what users may. REQUIRES: before the first request; it outlives the chain.
  void UseAuthorizer(Authorizer& authorizer) { authorizer_ = &authorizer; }
  Authorizer& authorizer() const { return *authorizer_; }
  /// The names of what is on, in order.
  const std::vector<std::string_view>& names() const { return names_; }

 private:
  Authorizer* authorizer_ = nullptr;
  std::vector<std::string_view> names_;
  std::vector<std::unique_ptr<const AdmissionPlugin>> plugins_;
};

}  // namespace knarr::apiserver
