#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "apiserver/admission/plugins.h"
#include "apiserver/errors.h"

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
    const Status refused = request.Forbidden(
        fmt::format("unable to create new content in namespace {} because it is being terminated", request.ns));
    return refused.WithCause(
        {"NamespaceTerminating", fmt::format("namespace {} is being terminated", request.ns), "metadata.namespace"});
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> MakeNamespaceLifecycle() { return std::make_unique<NamespaceLifecycle>(); }

}  // namespace knarr::apiserver
