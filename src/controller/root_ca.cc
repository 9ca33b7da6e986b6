#include "controller/root_ca.h"

#include "api/core_v1.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using client::ObjectName;

constexpr std::string_view kName = "kube-root-ca.crt";
constexpr std::string_view kKey = "ca.crt";
constexpr std::string_view kDescriptionKey = "kubernetes.io/description";
constexpr std::string_view kDescription =
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters.";

class RootCaController : public Controller {
 public:
  explicit RootCaController(Context context)
      : context_(std::move(context)),
        namespaces_(context_.informers.For(api::core_v1::NamespaceInfo())),
        maps_(context_.informers.For(api::core_v1::ConfigMapInfo(),
                                     {.field_selector = "metadata.name=" + std::string(kName)})),
        worker_(context_.runtime, "root ca", [this](const ObjectName& key) { return Sync(key); }) {
    namespaces_.AddHandler([this](const ObjectPtr&, const ObjectPtr& after) {
      if (after != nullptr) worker_.Add(NameOf(*after));
    });
    maps_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
      worker_.Add({"", std::string((after != nullptr ? after : before)->ns())});
    });
  }
  void Start() override {
    if (!context_.keys.ca_certificate_pem.empty()) worker_.Start({&namespaces_, &maps_}, 1);
  }
  void Stop() override { worker_.Stop(); }

 private:
  Result<Requeue> Sync(const ObjectName& key) {
    const ObjectPtr space = namespaces_.Get(key);
    if (space == nullptr || space->deleting()) return Requeue();
    const ObjectName name{key.name, std::string(kName)};
    const ObjectPtr present = maps_.Get(name);
    doc::Document document;
    if (present != nullptr) {
      const doc::Value& data = present->tree().At("data");
      const bool good = data.size() == 1 && data.At(kKey).AsString() == context_.keys.ca_certificate_pem &&
                        !present->tree().Get("metadata", "annotations", kDescriptionKey).is_null();
      if (good) return Requeue();
      document = doc::Document::Copy(present->tree());
      document.root.Remove("data");
    }
    api::core_v1::ConfigMapEdit map(document);
    map.metadata().set_name(kName).set_ns(key.name).put_annotations(kDescriptionKey, kDescription);
    map.put_data(kKey, context_.keys.ca_certificate_pem);
    const api::KindInfo& kind = api::core_v1::ConfigMapInfo();
    const Result<ObjectPtr> written = present == nullptr ? context_.client.Create(kind, key.name, document.root)
                                                         : context_.client.Update(kind, name, document.root);
    // Forbidden: the namespace began to go away meanwhile.
    const bool fine = written.ok() || written.Failed(Reason::kAlreadyExists) || written.Failed(Reason::kForbidden) ||
                      written.Failed(Reason::kNotFound);
    if (!fine) return written.status();
    return Requeue(kUntilSeen);
  }

  Context context_;
  client::Informer& namespaces_;
  client::Informer& maps_;
  Worker worker_;
};

}  // namespace

std::unique_ptr<Controller> MakeRootCaController(Context context) {
  return std::make_unique<RootCaController>(std::move(context));
}

}  // namespace knarr::controller
