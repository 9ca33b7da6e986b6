#include "apiserver/admission/node_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "apiserver/errors.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

// The CSI driver behind a claim; "" when its volume has none.
Result<std::string> DriverOfClaim(const AdmissionRequest& request, std::string_view claim) {
  const api::ObjectPtr found = request.Read("", "persistentvolumeclaims", request.ns, claim);
  if (found == nullptr) return NotFoundError({"", "persistentvolumeclaim"}, claim);
  const std::string_view name = found->tree().Get("spec", "volumeName").AsString();
  const api::ObjectPtr volume = request.Read("", "persistentvolumes", "", name);
  if (volume == nullptr) return NotFoundError({"", "persistentvolume"}, name);
  return std::string(volume->tree().Get("spec", "csi", "driver").AsString());
}

Result<std::string> DriverOfVolume(const AdmissionRequest& request, const Value& pod, const Value& volume) {
  if (!volume.Get("ephemeral", "volumeClaimTemplate").is_null()) {
    return DriverOfClaim(request,
                         fmt::format("{}-{}", pod.Get("metadata", "name").AsString(), volume.At("name").AsString()));
  }
  if (!volume.At("persistentVolumeClaim").is_null()) {
    return DriverOfClaim(request, volume.Get("persistentVolumeClaim", "claimName").AsString());
  }
  return std::string(volume.Get("csi", "driver").AsString());
}

Result<bool> VolumeAsksFor(const AdmissionRequest& request, const Value& pod, const Value& volume,
                           std::string_view audience) {
  for (const Value& source : volume.Get("projected", "sources").items()) {
    const Value& token = source.At("serviceAccountToken");
    if (!token.is_null() && token.At("audience").AsString() == audience) return true;
  }
  const std::string driver = TRY(DriverOfVolume(request, pod, volume));
  if (driver.empty()) return false;
  const api::ObjectPtr found = request.Find("storage.k8s.io", "csidrivers", "", driver);
  if (found == nullptr) return NotFoundError({"storage.k8s.io", "csidriver"}, driver);
  const auto requests = found->tree().Get("spec", "tokenRequests").items();
  return std::ranges::any_of(requests, [&](const Value& each) { return each.At("audience").AsString() == audience; });
}

Result<bool> PodAsksFor(const AdmissionRequest& request, const Value& pod, std::string_view audience) {
  std::vector<std::string> errors;
  for (const Value& volume : pod.Get("spec", "volumes").items()) {
    const Result<bool> asks = VolumeAsksFor(request, pod, volume, audience);
    if (asks.ok() && *asks) return true;
    if (!asks.ok()) errors.push_back(asks.status().message());
  }
  if (errors.empty()) return false;
  return Internal(AggregateText(errors));
}

Ok CheckAudience(const AdmissionRequest& request, const Value& pod) {
  const auto audiences = request.root().Get("spec", "audiences").items();
  if (audiences.size() > 1) return request.Forbidden("node may only request 0 or 1 audiences");
  const std::string audience(audiences.empty() ? std::string_view() : audiences.front().AsString());
  const Result<bool> asked = PodAsksFor(request, pod, audience);
  if (!asked.ok()) {
    return request.Forbidden(
        fmt::format("error validating audience {}: {}", GoQuote(audience), asked.status().message()));
  }
  if (*asked) return {};
  Attributes attributes;
  attributes.user = request.context.user;
  attributes.verb = "request-serviceaccounts-token-audience";
  attributes.resource_request = true;
  attributes.ns = request.ns;
  attributes.version = "v1";
  attributes.resource = audience;
  attributes.name = request.name;
  const Verdict verdict = request.authorizer.Authorize(request.context.runtime, attributes);
  if (verdict.allowed()) return {};
  const std::string& user = request.context.user.name;
  if (!verdict.error.empty()) {
    return request.Forbidden(
        fmt::format("audience {} not found in pod spec volume, error authorizing {} to request "
                    "tokens for this audience: {}",
                    GoQuote(audience), user, verdict.error));
  }
  return request.Forbidden(
      fmt::format("audience {} not found in pod spec volume, {} is not authorized to request tokens for this audience",
                  GoQuote(audience), user));
}

}  // namespace

Ok AdmitNodeToken(const AdmissionRequest& request, const std::string& node) {
  if (request.operation != AdmissionOperation::kCreate || request.subresource != "token") return {};
  const Value& reference = request.root().Get("spec", "boundObjectRef");
  const std::string_view name = reference.At("name").AsString();
  if (reference.At("apiVersion").AsString() != "v1" || reference.At("kind").AsString() != "Pod" || name.empty()) {
    return request.Forbidden("node requested token not bound to a pod");
  }
  const std::string_view uid = reference.At("uid").AsString();
  if (uid.empty()) return request.Forbidden("node requested token with a pod binding without a uid");
  const api::ObjectPtr pod = request.Read("", "pods", request.ns, name);
  if (pod == nullptr) return NotFoundError({"", "pod"}, name);
  if (uid != pod->uid()) {
    return request.Forbidden(
        fmt::format("the UID in the bound object reference ({}) does not match the UID in record. The object might "
                    "have been deleted and then recreated",
                    uid));
  }
  if (pod->tree().Get("spec", "nodeName").AsString() != node) {
    return request.Forbidden("node requested token bound to a pod scheduled on a different node");
  }
  return CheckAudience(request, pod->tree());
}

}  // namespace knarr::apiserver
