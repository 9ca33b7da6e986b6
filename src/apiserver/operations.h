#pragma once

// What a request means, transport aside: verbs on resources and subresources, from decoded trees to objects. The HTTP
// handlers and the LocalClient both end here, so that both go through the same pipeline: authorise, decode strictly or
// not, default, apply patches, then the registry.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/registry.h"
#include "apiserver/security.h"
#include "apiserver/subresource.h"
#include "apiserver/watch_session.h"

namespace knarr::apiserver {

struct ParsedPatch;

enum class FieldValidation : uint8_t { kIgnore, kWarn, kStrict };

/// "", "Ignore", "Warn" or "Strict"; "" is Warn. Invalid, as upstream says it, for others.
Result<FieldValidation> ParseFieldValidation(std::string_view text);

struct WriteRequest {
  bool dry_run = false;
  FieldValidation validation = FieldValidation::kWarn;
  std::string field_manager;  ///< who writes: what the request names, or its user agent
  bool force = false;         ///< of an apply patch: others lose the fields that it sets otherwise
};

struct PatchRequest {
  client::PatchType type = client::PatchType::kMerge;
  std::string body;  ///< JSON (or YAML for an apply patch)
};

class Operations {
 public:
  Operations(ResourceRegistry& registry, ResourceTable& resources, Security& security)
      : registry_(registry), resources_(resources), security_(security) {}

  /// Forbidden with upstream's whole message when the user may not.
  Ok Authorize(const RequestContext& context, const Attributes& attributes) const;

  Result<ObjectPtr> Get(RequestContext& context, Resource& resource, const ObjectName& name,
                        std::string_view subresource, std::string_view resource_version = {}) const;
  Result<ListPage> List(RequestContext& context, Resource& resource, const ListRequest& request) const;
  Result<std::unique_ptr<WatchSession>> Watch(RequestContext& context, Resource& resource, WatchRequest request) const {
    return WatchSession::Start(context, registry_.store(), resource, std::move(request));
  }
  // Objects are in the form of the resource's kind, given in and given out.
  // Objects given in are canonical (decoders leave them so, Normalize makes them so), without defaults.
  Result<ObjectPtr> Create(RequestContext& context, Resource& resource, std::string_view ns, doc::Document object,
                           const WriteRequest& request);
  /// A subresource that is created: binding, eviction, token. nullptr where the answer is only "Success".
  Result<ObjectPtr> CreateSub(RequestContext& context, Resource& resource, const ObjectName& name,
                              std::string_view subresource, doc::Document object, const WriteRequest& request);
  Result<UpdateOutcome> Update(RequestContext& context, Resource& resource, const ObjectName& name,
                               std::string_view subresource, doc::Document object, const WriteRequest& request);
  Result<UpdateOutcome> Patch(RequestContext& context, Resource& resource, const ObjectName& name,
                              std::string_view subresource, const PatchRequest& patch, const WriteRequest& request);
  Result<DeleteOutcome> Delete(RequestContext& context, Resource& resource, const ObjectName& name,
                               const client::DeleteOptions& options);
  Result<ListPage> DeleteCollection(RequestContext& context, Resource& resource, const ListRequest& list,
                                    const client::DeleteOptions& options);

  ResourceRegistry& registry() const { return registry_; }
  ResourceTable& resources() const { return resources_; }

 private:
  enum class ViewWrite : uint8_t { kPut, kPatch, kApply };
  /// Whether a subresource may be created: the chain is asked about what was sent.
  Ok AdmitSub(RequestContext& context, Resource& resource, const ObjectName& name, std::string_view subresource,
              doc::Document& object, bool dry_run);
  /// Whether the one who writes may create what is not there.
  Ok AuthorizeCreate(const RequestContext& context, const Resource& resource, const ObjectName& name,
                     std::string_view subresource) const;
  /// Updates through a subresource's view of the object.
  Result<UpdateOutcome> UpdateView(RequestContext& context, Resource& resource, const ObjectName& name,
                                   const Subresource& view, const WriteRequest& request, ViewWrite write,
                                   const std::function<Result<doc::Document>(const doc::Value& current)>& change);
  Result<UpdateOutcome> Apply(RequestContext& context, Resource& resource, const ObjectName& name,
                              const Subresource& view, const ParsedPatch& patch, const WriteRequest& request);

  /// Answers a question that came as an object (IsReview).
  Result<ObjectPtr> Review(const RequestContext& context, const api::KindInfo& kind, std::string_view ns,
                           doc::Document review) const;
  /// Before a request: what other servers of this cluster had answered by now is seen. Not waited for where the caller
  /// takes any state, or names one that is there.
  Ok CatchUp(RequestContext& context, std::string_view resource_version = {}) const;
  /// After a write: what decides about later requests has seen it.
  void Settle(const RequestContext& context, const Resource& resource) const;

  ResourceRegistry& registry_;
  ResourceTable& resources_;
  Security& security_;
};

/// Makes a tree canonical, and what was odd about it an error or warnings as `validation` says.
Ok Normalize(RequestContext& context, const api::KindInfo& kind, doc::Document& object, FieldValidation validation);
/// `Pod in version "v1" cannot be handled as a Pod: why`
Status DecodeError(const api::KindInfo& kind, const Status& why);
/// The same for oddities that a decoder found.
Ok ReportStrict(RequestContext& context, const std::vector<std::string>& found, FieldValidation validation);

}  // namespace knarr::apiserver
