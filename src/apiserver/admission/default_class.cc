#include "apiserver/admission/default_class.h"

#include <algorithm>

#include "apiserver/admission/plugins.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

/// An Ingress that names no class gets the default one, if there is one.
class DefaultIngressClass : public AdmissionPlugin {
 public:
  Ok Mutate(AdmissionRequest& request) const override {
    if (!request.IsFor("networking.k8s.io", "ingresses") || !request.subresource.empty()) return {};
    if (request.operation != AdmissionOperation::kCreate) return {};
    if (!request.root().Get("spec", "ingressClassName").is_null()) return {};
    // How a class was named before there was a field for it.
    if (request.root().Get("metadata", "annotations").Find("kubernetes.io/ingress.class") != nullptr) return {};
    const api::ObjectPtr found = DefaultClass(request.List("networking.k8s.io", "ingressclasses", ""),
                                              {"ingressclass.kubernetes.io/is-default-class"});
    if (found == nullptr) return {};
    doc::Document& object = *request.object;
    Value& spec = object.root.Ensure(object.arena, "spec");
    if (!spec.is_object()) spec = Value::Object();
    spec.Set(object.arena, "ingressClassName", Value::String(object.arena, found->name()));
    return {};
  }
};

}  // namespace

api::ObjectPtr DefaultClass(const std::vector<api::ObjectPtr>& classes,
                            std::initializer_list<std::string_view> annotations) {
  api::ObjectPtr found;
  const auto created = [](const api::Object& each) {
    return each.tree().Get("metadata", "creationTimestamp").AsString();
  };
  for (const api::ObjectPtr& each : classes) {
    const Value& own = each->tree().Get("metadata", "annotations");
    const bool marked =
        std::ranges::any_of(annotations, [&](std::string_view name) { return own.At(name).AsString() == "true"; });
    if (!marked) continue;
    // The classes come by name, and times of one form sort as text.
    if (found == nullptr || created(*each) > created(*found)) found = each;
  }
  return found;
}

std::unique_ptr<AdmissionPlugin> MakeDefaultIngressClass() { return std::make_unique<DefaultIngressClass>(); }

}  // namespace knarr::apiserver
