#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "apiserver/admission/plugins.h"
#include "apiserver/errors.h"
#include "apiserver/resource.h"

namespace knarr::apiserver {
namespace {

constexpr std::array<std::string_view, 3> kImmortal = {"default", "kube-system", "kube-public"};

/// Nothing is made in a namespace that is not there or going away; some namespaces never go.
class NamespaceLifecycle : public AdmissionPlugin {
 public:
  Ok Mutate(AdmissionRequest& request) const override {
    const bool deletes = request.operation == AdmissionOperation::kDelete;
    if (request.IsFor("", "namespaces")) {
      if (!deletes || std::ranges::find(kImmortal, request.name) == kImmortal.end()) return {};
      return request.Forbidden("this namespace may not be deleted");
    }
    if (request.ns.empty() || deletes || request.operation == AdmissionOperation::kConnect) return {};
    // Whether a namespace exists is not for everybody to know who may ask what he may do in it.
    if (request.IsFor("authorization.k8s.io", "localsubjectaccessreviews")) return {};
    const api::ObjectPtr space = request.Find("", "namespaces", "", request.ns);
    if (space == nullptr) return NotFoundError({"", "namespaces"}, request.ns);
    if (request.operation != AdmissionOperation::kCreate || !space->deleting()) return {};
    return Terminating(request);
  }

  /// Whoever empties the namespace looks once: what comes after its end began would be left.
  Ok Charge(const AdmissionRequest& request, const store::Store& store,
            std::vector<SideWrite>& /*out*/) const override {
    if (request.ns.empty() || request.operation != AdmissionOperation::kCreate) return {};
    if (request.IsFor("", "namespaces")) return {};
    const auto space = store.Newest(StorePrefix("", "namespaces") + request.ns);
    if (!space.has_value()) return NotFoundError({"", "namespaces"}, request.ns);
    const bool ends =
        api::Mentions(*space->value, "deletionTimestamp") && api::Object::FromBytes(space->value)->deleting();
    return ends ? Ok(Terminating(request)) : Ok();
  }

 private:
  static Status Terminating(const AdmissionRequest& request) {
    const Status refused = request.Forbidden(
        fmt::format("unable to create new content in namespace {} because it is being terminated", request.ns));
    return refused.WithCause(
        {"NamespaceTerminating", fmt::format("namespace {} is being terminated", request.ns), "metadata.namespace"});
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> MakeNamespaceLifecycle() { return std::make_unique<NamespaceLifecycle>(); }

}  // namespace knarr::apiserver
