#include "apiserver/audit/audited_client.h"

#include <fmt/format.h>

#include <type_traits>
#include <utility>

#include "apiserver/audit/event.h"
#include "apiserver/object_meta.h"

namespace knarr::apiserver {
namespace {

using api::ObjectPtr;
using client::KindInfo;
using client::ObjectName;

constexpr std::string_view kLoopback = "127.0.0.1";
constexpr int kOk = 200;
constexpr int kCreated = 201;

/// What is called, as the path of a request would say it.
struct Target {
  std::string_view verb;
  const KindInfo& kind;
  std::string_view ns;
  std::string_view name = {};
  std::string_view subresource = {};
  std::string_view query = {};

  std::string Uri() const {
    std::string out = kind.group.empty() ? fmt::format("/api/{}", kind.version)
                                         : fmt::format("/apis/{}/{}", kind.group, kind.version);
    if (!ns.empty() && kind.namespaced) out += fmt::format("/namespaces/{}", ns);
    out += fmt::format("/{}", kind.plural);
    if (!name.empty()) out += fmt::format("/{}", name);
    if (!subresource.empty()) out += fmt::format("/{}", subresource);
    if (!query.empty()) out += fmt::format("?{}", query);
    return out;
  }
};

/// The watch's end is the request's.
class AuditedStream : public client::WatchStream {
 public:
  AuditedStream(std::unique_ptr<client::WatchStream> inner, std::unique_ptr<AuditEvent> event)
      : inner_(std::move(inner)), event_(std::move(event)) {}
  ~AuditedStream() override { event_->Complete(true); }
  Result<std::vector<client::WatchEvent>> Next() override { return inner_->Next(); }

 private:
  std::unique_ptr<client::WatchStream> inner_;
  std::unique_ptr<AuditEvent> event_;
};

class AuditedClient : public client::Client {
 public:
  AuditedClient(std::unique_ptr<client::Client> inner, AuditLog& log, Local& local, UserInfo user,
                std::string agent)
      : inner_(std::move(inner)), log_(log), local_(local), user_(std::move(user)), agent_(std::move(agent)) {}

  Result<ObjectPtr> Get(const KindInfo& kind, const ObjectName& name, std::string_view subresource) override {
    const auto event = Begin({"get", kind, name.ns, name.name, subresource});
    return Finish(*event, kOk, [&] { return inner_->Get(kind, name, subresource); });
  }

  Result<client::ObjectList> List(const KindInfo& kind, std::string_view ns,
                                  const client::ListOptions& options) override {
    const auto event = Begin({"list", kind, ns});
    Result<client::ObjectList> done = Run(*event, [&] { return inner_->List(kind, ns, options); });
    if (!done.ok()) return done;
    if (event->wants_response()) {
      std::string json = fmt::format(R"({{"kind":"{}List","apiVersion":"{}","metadata":{{"resourceVersion":"{}"}},)"
                                     R"("items":[)",
                                     kind.kind, kind.api_version, done->resource_version);
      for (size_t i = 0; i < done->items.size(); ++i) {
        if (i > 0) json += ',';
        json += done->items[i]->json();
      }
      event->SetResponseJson(json + "]}");
    }
    event->SetCode(kOk);
    event->Complete(false);
    return done;
  }

  Result<std::unique_ptr<client::WatchStream>> Watch(const KindInfo& kind, std::string_view ns,
                                                     const client::WatchOptions& options) override {
    auto event = Begin({"watch", kind, ns, {}, {}, "watch=true"});
    auto done = Run(*event, [&] { return inner_->Watch(kind, ns, options); });
    if (!done.ok()) return done.status();
    event->SetCode(kOk);
    event->Stage(AuditStage::kResponseStarted);
    return std::unique_ptr<client::WatchStream>(std::make_unique<AuditedStream>(std::move(*done), std::move(event)));
  }

  Result<ObjectPtr> Create(const KindInfo& kind, std::string_view ns, const doc::Value& object,
                           const client::WriteOptions& options) override {
    const auto event = Begin({"create", kind, ns, NameOf(object)});
    event->SetRequestObject(object);
    return Finish(*event, kCreated, [&] { return inner_->Create(kind, ns, object, options); });
  }

  Result<ObjectPtr> CreateSub(const KindInfo& kind, const ObjectName& name, std::string_view subresource,
                              const doc::Value& object, const client::WriteOptions& options) override {
    const auto event = Begin({"create", kind, name.ns, name.name, subresource});
    event->SetRequestObject(object);
    return Finish(*event, kCreated, [&] { return inner_->CreateSub(kind, name, subresource, object, options); });
  }

  Result<ObjectPtr> Update(const KindInfo& kind, const ObjectName& name, const doc::Value& object,
                           std::string_view subresource, const client::WriteOptions& options) override {
    const auto event = Begin({"update", kind, name.ns, name.name, subresource});
    event->SetRequestObject(object);
    return Finish(*event, kOk, [&] { return inner_->Update(kind, name, object, subresource, options); });
  }

  Result<ObjectPtr> Patch(const KindInfo& kind, const ObjectName& name, client::PatchType type, std::string_view body,
                          std::string_view subresource, const client::WriteOptions& options) override {
    const auto event = Begin({"patch", kind, name.ns, name.name, subresource});
    event->SetRequestPatch(body);
    return Finish(*event, kOk, [&] { return inner_->Patch(kind, name, type, body, subresource, options); });
  }

  Result<ObjectPtr> Delete(const KindInfo& kind, const ObjectName& name,
                           const client::DeleteOptions& options) override {
    const auto event = Begin({"delete", kind, name.ns, name.name});
    return Finish(*event, kOk, [&] { return inner_->Delete(kind, name, options); });
  }

  Ok DeleteCollection(const KindInfo& kind, std::string_view ns, const client::ListOptions& list,
                      const client::DeleteOptions& options) override {
    const auto event = Begin({"deletecollection", kind, ns});
    Ok done = Run(*event, [&] { return inner_->DeleteCollection(kind, ns, list, options); });
    if (!done.ok()) return done;
    event->SetCode(kOk);
    event->Complete(false);
    return done;
  }

 private:
  std::unique_ptr<AuditEvent> Begin(const Target& target) {
    Attributes attributes;
    attributes.user = user_;
    attributes.verb = target.verb;
    attributes.resource_request = true;
    attributes.group = target.kind.group;
    attributes.version = target.kind.version;
    attributes.resource = target.kind.plural;
    attributes.subresource = target.subresource;
    attributes.ns = target.ns;
    attributes.name = target.name;
    auto event = std::make_unique<AuditEvent>(
        log_, local_.runtime(),
        AuditRequest{attributes, target.Uri(), agent_, {std::string(kLoopback)}, NewAuditId(local_.runtime())});
    event->Stage(AuditStage::kRequestReceived);
    return event;
  }

  /// The call, with the event where the pipeline finds it. An error ends the event.
  template <typename F>
  std::invoke_result_t<F> Run(AuditEvent& event, F call) {
    const Local::Auditing auditing(local_, event);
    auto done = call();
    if (!done.ok()) {
      event.SetError(done.status());
      event.Complete(false);
    }
    return done;
  }

  template <typename F>
  Result<ObjectPtr> Finish(AuditEvent& event, int code, F call) {
    Result<ObjectPtr> done = Run(event, std::move(call));
    if (!done.ok()) return done;
    if (event.wants_response() && *done != nullptr) event.SetResponseJson((*done)->json());
    event.SetCode(code);
    event.Complete(false);
    return done;
  }

  std::unique_ptr<client::Client> inner_;
  AuditLog& log_;
  Local& local_;
  const UserInfo user_;
  const std::string agent_;
};

}  // namespace

std::unique_ptr<client::Client> MakeAuditedClient(std::unique_ptr<client::Client> inner, AuditLog& log, Local& local,
                                                  UserInfo user, std::string agent) {
  return std::make_unique<AuditedClient>(std::move(inner), log, local, std::move(user), std::move(agent));
}

}  // namespace knarr::apiserver
