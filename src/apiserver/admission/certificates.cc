#include <fmt/format.h>

#include <algorithm>

#include "apiserver/admission/plugins.h"
#include "base/strings.h"
#include "net/certificate_request.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kGroup = "certificates.k8s.io";

bool ForRequests(const AdmissionRequest& request, AdmissionOperation operation, std::string_view subresource) {
  return request.operation == operation && request.subresource == subresource &&
         request.IsFor(kGroup, "certificatesigningrequests");
}

// Whether the user may do it for this signer, or for all of the signer's domain.
bool MayFor(const AdmissionRequest& request, std::string_view verb, std::string_view signer) {
  Attributes attributes;
  attributes.user = request.context.user;
  attributes.verb = verb;
  attributes.resource_request = true;
  attributes.group = kGroup;
  attributes.version = "*";
  attributes.resource = "signers";
  attributes.name = signer;
  if (request.authorizer.Authorize(request.context.runtime, attributes).allowed()) return true;
  attributes.name = fmt::format("{}/*", signer.substr(0, signer.find('/')));
  return request.authorizer.Authorize(request.context.runtime, attributes).allowed();
}

class CertificateApproval : public AdmissionPlugin {
 public:
  Ok Validate(const AdmissionRequest& request) const override {
    if (!ForRequests(request, AdmissionOperation::kUpdate, "approval")) return {};
    const std::string_view signer = request.old_object->Get("spec", "signerName").AsString();
    if (MayFor(request, "approve", signer)) return {};
    return request.Forbidden(fmt::format("user not permitted to approve requests with signerName {}", GoQuote(signer)));
  }
};

class CertificateSigning : public AdmissionPlugin {
 public:
  Ok Validate(const AdmissionRequest& request) const override {
    if (!ForRequests(request, AdmissionOperation::kUpdate, "status")) return {};
    const Value& before = request.old_object->At("status");
    const Value& after = request.root().At("status");
    const auto same = [&](std::string_view member) {
      const Value& a = before.At(member);
      const Value& b = after.At(member);
      return a.Equals(b) || (a.empty() && b.empty() && a.AsString() == b.AsString());
    };
    if (same("certificate") && same("conditions")) return {};
    const std::string_view signer = request.old_object->Get("spec", "signerName").AsString();
    if (MayFor(request, "sign", signer)) return {};
    return request.Forbidden(fmt::format("user not permitted to sign requests with signerName {}", GoQuote(signer)));
  }
};

/// Nobody becomes a member of system:masters by a certificate of the general signer.
class CertificateSubjectRestriction : public AdmissionPlugin {
 public:
  Ok Validate(const AdmissionRequest& request) const override {
    constexpr std::string_view kSigner = "kubernetes.io/kube-apiserver-client";
    if (!ForRequests(request, AdmissionOperation::kCreate, "")) return {};
    const Value& spec = request.root().At("spec");
    if (spec.At("signerName").AsString() != kSigner) return {};
    const Result<net::SigningRequest> asked = net::ReadSigningRequestBase64(spec.At("request").AsString());
    if (!asked.ok()) return request.Forbidden("failed to parse CSR: " + asked.status().message());
    if (std::ranges::find(asked->organizations, kMasters) == asked->organizations.end()) return {};
    return request.Forbidden(fmt::format("use of {} signer with system:masters group is not allowed", kSigner));
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> MakeCertificateApproval() { return std::make_unique<CertificateApproval>(); }
std::unique_ptr<AdmissionPlugin> MakeCertificateSigning() { return std::make_unique<CertificateSigning>(); }
std::unique_ptr<AdmissionPlugin> MakeCertificateSubjectRestriction() {
  return std::make_unique<CertificateSubjectRestriction>();
}

}  // namespace knarr::apiserver
