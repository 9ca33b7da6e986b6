#include "apiserver/local_client.h"

#include <fmt/format.h>

#include "api/codec.h"
#include "apiserver/errors.h"
#include "apiserver/object_meta.h"
#include "apiserver/request_info.h"
#include "apiserver/reviews.h"

namespace knarr::apiserver {
namespace {

using client::KindInfo;

class LocalWatchStream : public client::WatchStream {
 public:
  explicit LocalWatchStream(std::unique_ptr<WatchSession> session) : session_(std::move(session)) {}
  Result<std::vector<client::WatchEvent>> Next() override {
    const std::vector<WatchItem> items = TRY(session_->Next());
    if (items.empty()) return Unavailable("the watch's time is over");
    std::vector<client::WatchEvent> out;
    out.reserve(items.size());
    // Objects of its own, not the hub's: an informer keeps them for long, and drops their trees when they are its
    // alone.
    for (const WatchItem& item : items) out.push_back({item.type, api::Object::FromBytes(item.bytes)});
    return out;
  }

 private:
  std::unique_ptr<WatchSession> session_;
};

class LocalClient : public client::Client {
 public:
  LocalClient(Operations& operations, Local& local, UserInfo user, std::string agent)
      : operations_(operations), local_(local), user_(std::move(user)), agent_(std::move(agent)) {}

  Result<ObjectPtr> Get(const KindInfo& kind, const ObjectName& name, std::string_view subresource) override {
    Call call(*this);
    Resource& resource = *TRY(call.Enter("get", kind, name.ns, name.name, subresource));
    return operations_.Get(call.context, resource, name, subresource);
  }

  Result<client::ObjectList> List(const KindInfo& kind, std::string_view ns,
                                  const client::ListOptions& options) override {
    Call call(*this);
    Resource& resource = *TRY(call.Enter("list", kind, ns, {}, {}, options.field_selector, options.label_selector));
    const ListRequest request = TRY(MakeList(kind, ns, options));
    ListPage page = TRY(operations_.List(call.context, resource, request));
    client::ObjectList out;
    out.items.reserve(page.items.size());
    for (store::Bytes& bytes : page.items) out.items.push_back(api::Object::FromBytes(std::move(bytes)));
    out.resource_version = std::to_string(page.revision);
    out.continue_token = std::move(page.continue_token);
    return out;
  }

  Result<std::unique_ptr<client::WatchStream>> Watch(const KindInfo& kind, std::string_view ns,
                                                     const client::WatchOptions& options) override {
    Call call(*this);
    Resource& resource = *TRY(call.Enter("watch", kind, ns, {}, {}, options.field_selector, options.label_selector));
    WatchRequest request;
    request.ns = ns;
    request.selection = TRY(Selection::Parse(kind, options.label_selector, options.field_selector));
    request.resource_version = options.resource_version;
    request.bookmarks = options.bookmarks;
    // In the process a watch costs nothing to keep.
    request.timeout = options.timeout > Duration::zero() ? options.timeout : Duration::max();
    std::unique_ptr<WatchSession> session = TRY(operations_.Watch(call.context, resource, std::move(request)));
    return std::unique_ptr<client::WatchStream>(std::make_unique<LocalWatchStream>(std::move(session)));
  }

  Result<ObjectPtr> Create(const KindInfo& kind, std::string_view ns, const doc::Value& object,
                           const client::WriteOptions& options) override {
    Call call(*this);
    Resource& resource = *TRY(call.Enter("create", kind, ns, NameOf(object), {}));
    const WriteRequest write = TRY(MakeWrite(options));
    doc::Document copy = doc::Document::Copy(object);
    TRY(Normalize(call.context, kind, copy, write.validation));
    return operations_.Create(call.context, resource, ns, std::move(copy), write);
  }

  Result<ObjectPtr> CreateSub(const KindInfo& kind, const ObjectName& name, std::string_view subresource,
                              const doc::Value& object, const client::WriteOptions& options) override {
    Call call(*this);
    Resource& resource = *TRY(call.Enter("create", kind, name.ns, name.name, subresource));
    const WriteRequest write = TRY(MakeWrite(options));
    doc::Document copy = doc::Document::Copy(object);
    for (const ServedSubresource& served : ServedSubresources(kind)) {
      if (served.name == subresource) TRY(Normalize(call.context, *served.kind, copy, write.validation));
    }
    ObjectPtr made = TRY(operations_.CreateSub(call.context, resource, name, subresource, std::move(copy), write));
    if (made != nullptr) return made;
    return operations_.registry().Get(call.context, resource, name);
  }

  Result<ObjectPtr> Update(const KindInfo& kind, const ObjectName& name, const doc::Value& object,
                           std::string_view subresource, const client::WriteOptions& options) override {
    Call call(*this);
    Resource& resource = *TRY(call.Enter("update", kind, name.ns, name.name, subresource));
    const WriteRequest write = TRY(MakeWrite(options));
    doc::Document copy = doc::Document::Copy(object);
    const Subresource* view = FindSubresource(kind, subresource);
    if (view == nullptr) return NoSuchResourceError();
    TRY(Normalize(call.context, *view->kind, copy, write.validation));
    UpdateOutcome outcome = TRY(operations_.Update(call.context, resource, name, subresource, std::move(copy), write));
    return std::move(outcome.object);
  }

  Result<ObjectPtr> Patch(const KindInfo& kind, const ObjectName& name, client::PatchType type, std::string_view body,
                          std::string_view subresource, const client::WriteOptions& options) override {
    Call call(*this);
    Resource& resource = *TRY(call.Enter("patch", kind, name.ns, name.name, subresource));
    const WriteRequest write = TRY(MakeWrite(options));
    UpdateOutcome outcome =
        TRY(operations_.Patch(call.context, resource, name, subresource, {type, std::string(body)}, write));
    return std::move(outcome.object);
  }

  Result<ObjectPtr> Delete(const KindInfo& kind, const ObjectName& name,
                           const client::DeleteOptions& options) override {
    Call call(*this);
    Resource& resource = *TRY(call.Enter("delete", kind, name.ns, name.name, {}));
    DeleteOutcome outcome = TRY(operations_.Delete(call.context, resource, name, options));
    return std::move(outcome.object);
  }

  Ok DeleteCollection(const KindInfo& kind, std::string_view ns, const client::ListOptions& list,
                      const client::DeleteOptions& options) override {
    Call call(*this);
    Resource& resource =
        *TRY(call.Enter("deletecollection", kind, ns, {}, {}, list.field_selector, list.label_selector));
    const ListRequest request = TRY(MakeList(kind, ns, list));
    TRY(operations_.DeleteCollection(call.context, resource, request, options));
    return {};
  }

 private:
  /// One call: its context, and the way in past the authoriser.
  struct Call {
    explicit Call(LocalClient& owner)
        : client(owner), context{owner.local_.runtime(), owner.local_, owner.user_, {}, owner.local_.audit(), {}} {}

    Result<Resource*> Enter(std::string_view verb, const KindInfo& kind, std::string_view ns, std::string_view name,
                            std::string_view subresource, std::string_view field_text = {},
                            std::string_view label_text = {}) {
      CHECK(context.runtime.OnThisThread());
      Resource* resource = client.operations_.resources().Find(kind);
      if (resource == nullptr) return NoSuchResourceError();
      if (IsReview(kind) && verb != "create") return MethodNotAllowedError(ResourceOf(kind), verb);
      Attributes attributes;
      attributes.user = context.user;
      attributes.verb = verb;
      attributes.resource_request = true;
      attributes.group = kind.group;
      attributes.version = kind.version;
      attributes.resource = kind.plural;
      attributes.subresource = subresource;
      attributes.ns = ns;
      attributes.name = name;
      if (!field_text.empty() || !label_text.empty()) AddSelectors(attributes, field_text, label_text);
      TRY(client.operations_.Authorize(context, attributes));
      return resource;
    }

    LocalClient& client;
    RequestContext context;
  };

  static Result<ListRequest> MakeList(const KindInfo& kind, std::string_view ns, const client::ListOptions& options) {
    ListRequest request;
    request.ns = ns;
    request.selection = TRY(Selection::Parse(kind, options.label_selector, options.field_selector));
    request.limit = options.limit;
    request.continue_token = options.continue_token;
    request.resource_version = options.resource_version;
    request.resource_version_match = options.resource_version_match;
    return request;
  }

  Result<WriteRequest> MakeWrite(const client::WriteOptions& options) const {
    const std::string& manager = options.field_manager.empty() ? agent_ : options.field_manager;
    return WriteRequest{options.dry_run, TRY(ParseFieldValidation(options.field_validation)), manager, options.force};
  }

  Operations& operations_;
  Local& local_;
  UserInfo user_;
  std::string agent_;
};

}  // namespace

std::unique_ptr<client::Client> MakeLocalClient(Operations& operations, Local& local, UserInfo user,
                                                std::string agent) {
  return std::make_unique<LocalClient>(operations, local, std::move(user), std::move(agent));
}

}  // namespace knarr::apiserver
