#include "controller/service_account.h"

#include "api/core_v1.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using client::ObjectName;

constexpr std::string_view kDefault = "default";

class ServiceAccountController : public Controller {
 public:
  explicit ServiceAccountController(Context context)
      : context_(context),
        namespaces_(context.informers.For(api::core_v1::NamespaceInfo())),
        accounts_(context.informers.For(api::core_v1::ServiceAccountInfo())),
        worker_(context.runtime, "service accounts", [this](const ObjectName& key) { return Sync(key); }) {
    namespaces_.AddHandler([this](const ObjectPtr&, const ObjectPtr& after) {
      if (after != nullptr) worker_.Add(NameOf(*after));
    });
    accounts_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
      if (after == nullptr && before->name() == kDefault) worker_.Add({"", std::string(before->ns())});
    });
  }
  void Start() override { worker_.Start({&namespaces_, &accounts_}, 1); }
  void Stop() override { worker_.Stop(); }

 private:
  Result<Requeue> Sync(const ObjectName& key) {
    ObjectPtr ns = namespaces_.Get(key);
    if (ns == nullptr || ns->deleting()) return Requeue();
    if (accounts_.Get({key.name, std::string(kDefault)}) != nullptr) return Requeue();
    doc::Document document;
    api::core_v1::ServiceAccountEdit account(document);
    account.metadata().set_name(kDefault).set_ns(key.name);
    Result<ObjectPtr> created = context_.client.Create(api::core_v1::ServiceAccountInfo(), key.name, document.root);
    // Forbidden: the namespace began to go away meanwhile.
    const bool fine = created.ok() || created.Failed(Reason::kAlreadyExists) || created.Failed(Reason::kForbidden) ||
                      created.Failed(Reason::kNotFound);
    if (!fine) return created.status();
    return Requeue(kUntilSeen);
  }

  Context context_;
  client::Informer& namespaces_;
  client::Informer& accounts_;
  Worker worker_;
};

}  // namespace

std::unique_ptr<Controller> MakeServiceAccountController(Context context) {
  return std::make_unique<ServiceAccountController>(context);
}

}  // namespace knarr::controller
