#include "controller/certificates.h"

#include <algorithm>
#include <array>

#include "api/authorization_v1.h"
#include "api/certificates_v1.h"
#include "base/log.h"
#include "base/strings.h"
#include "controller/certificate_requests.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using client::ObjectName;
using doc::Value;

const api::KindInfo& Kind() { return api::certificates_v1::CertificateSigningRequestInfo(); }

/// What the three have in common: a worker over all requests.
class RequestController : public Controller {
 public:
  RequestController(Context context, std::string name)
      : context_(context),
        requests_(context.informers.For(Kind())),
        worker_(context.runtime, std::move(name), [this](const ObjectName& key) -> Result<Requeue> {
          const ObjectPtr request = requests_.Get(key);
          return request == nullptr ? Result<Requeue>(Requeue()) : Sync(*request);
        }) {
    requests_.AddHandler([this](const ObjectPtr&, const ObjectPtr& after) {
      if (after != nullptr) worker_.Add(NameOf(*after));
    });
  }
  void Start() override { worker_.Start({&requests_}, 1); }
  void Stop() override { worker_.Stop(); }

 protected:
  virtual Result<Requeue> Sync(const api::Object& request) = 0;

  /// Writes the request with one more condition. Who writes it at the same time brings it back here.
  Result<Requeue> AddCondition(const api::Object& request, std::string_view subresource, std::string_view type,
                               std::string_view reason, std::string_view message) {
    doc::Document copy = doc::Document::Copy(request.tree());
    doc::Arena& arena = copy.arena;
    Value condition = Value::Object();
    condition.AddMember(arena, "type", Value::Borrow(type));
    condition.AddMember(arena, "status", Value::Borrow("True"));
    condition.AddMember(arena, "reason", Value::Borrow(reason));
    condition.AddMember(arena, "message", Value::String(arena, message));
    copy.root.Ensure(arena, "status").Ensure(arena, "conditions").Append(arena, condition);
    return Write(request, copy, subresource);
  }

  Result<Requeue> Write(const api::Object& request, const doc::Document& changed, std::string_view subresource) {
    const Result<ObjectPtr> written = context_.client.Update(Kind(), NameOf(request), changed.root, subresource);
    if (written.ok() || written.Failed(Reason::kNotFound)) return Requeue();
    return written.status();
  }

  Context context_;
  client::Informer& requests_;
  Worker worker_;
};

class Approver : public RequestController {
 public:
  explicit Approver(Context context) : RequestController(context, "csr approver") {}

 private:
  Result<Requeue> Sync(const api::Object& request) override {
    if (IsIssued(request) || HasCondition(request, "Approved") || HasCondition(request, "Denied")) return Requeue();
    if (request.tree().Get("spec", "signerName").AsString() != kApiServerClientKubelet) return Requeue();
    const std::string pem = TRY(RequestPem(request));
    const net::SigningRequest asked = TRY(net::ReadSigningRequest(pem));
    if (!SignerProblem(kApiServerClientKubelet, asked, RequestUsages(request)).empty()) return Requeue();
    const bool self = request.tree().Get("spec", "username").AsString() == asked.common_name;
    if (self && TRY(MayAsk(request, "selfnodeclient"))) {
      return Approve(request, "Auto approving self kubelet client certificate after SubjectAccessReview.");
    }
    if (TRY(MayAsk(request, "nodeclient"))) {
      return Approve(request, "Auto approving kubelet client certificate after SubjectAccessReview.");
    }
    LOG_DEBUG("a node's certificate request is not approved", {"request", request.name()});
    return Requeue();
  }

  Result<Requeue> Approve(const api::Object& request, std::string_view message) {
    return AddCondition(request, "approval", "Approved", "AutoApproved", message);
  }

  /// Whether who made the request may have such a certificate.
  Result<bool> MayAsk(const api::Object& request, std::string_view subresource) {
    doc::Document review;
    doc::Arena& arena = review.arena;
    const Value& by = request.tree().At("spec");
    Value attributes = Value::Object();
    attributes.AddMember(arena, "verb", Value::Borrow("create"));
    attributes.AddMember(arena, "group", Value::Borrow("certificates.k8s.io"));
    attributes.AddMember(arena, "version", Value::Borrow("*"));
    attributes.AddMember(arena, "resource", Value::Borrow("certificatesigningrequests"));
    attributes.AddMember(arena, "subresource", Value::Borrow(subresource));
    Value spec = Value::Object();
    spec.AddMember(arena, "resourceAttributes", attributes);
    spec.AddMember(arena, "user", by.At("username"));
    if (!by.At("groups").is_null()) spec.AddMember(arena, "groups", by.At("groups"));
    if (!by.At("extra").is_null()) spec.AddMember(arena, "extra", by.At("extra"));
    if (!by.At("uid").is_null()) spec.AddMember(arena, "uid", by.At("uid"));
    review.root.Set(arena, "spec", spec);
    const ObjectPtr answer =
        TRY(context_.client.Create(api::authorization_v1::SubjectAccessReviewInfo(), "", review.root));
    return answer->tree().Get("status", "allowed").AsBool();
  }
};

// Clocks of those who check a certificate may be behind.
constexpr Duration kBackdate = std::chrono::minutes(5);
// Of a certificate that is shorter than this, nothing is taken away for that.
constexpr Duration kShort = std::chrono::hours(8);
constexpr Duration kLifeMost = std::chrono::hours(365 * 24);
constexpr std::array<std::string_view, 4> kSigners = {kApiServerClient, kApiServerClientKubelet, kKubeletServing,
                                                      kLegacyUnknown};

class Signer : public RequestController {
 public:
  explicit Signer(Context context) : RequestController(context, "csr signer") {}
  void Start() override {
    if (!context_.keys.ca_key_pem.empty()) RequestController::Start();
  }

 private:
  Result<Requeue> Sync(const api::Object& request) override {
    if (IsIssued(request) || !HasCondition(request, "Approved") || HasCondition(request, "Failed")) return Requeue();
    const std::string_view signer = request.tree().Get("spec", "signerName").AsString();
    if (std::ranges::find(kSigners, signer) == kSigners.end()) return Requeue();
    const std::string pem = TRY(RequestPem(request));
    const net::SigningRequest asked = TRY(net::ReadSigningRequest(pem));
    const std::vector<std::string> usages = RequestUsages(request);
    const std::string problem = SignerProblem(signer, asked, usages);
    if (!problem.empty()) return AddCondition(request, "status", "Failed", "SignerValidationFailure", problem);
    const Duration life = CertificateLife(request, kLifeMost);
    const WallTime now = context_.runtime.Wall();
    const net::SigningPolicy policy{usages, now - kBackdate, now + (life < kShort ? life : life - kBackdate)};
    const std::string certificate =
        TRY(net::SignRequest(pem, policy, {context_.keys.ca_certificate_pem, context_.keys.ca_key_pem}));
    doc::Document copy = doc::Document::Copy(request.tree());
    copy.root.Ensure(copy.arena, "status")
        .Set(copy.arena, "certificate", Value::String(copy.arena, Base64Encode(certificate)));
    return Write(request, copy, "status");
  }
};

class Cleaner : public RequestController {
 public:
  explicit Cleaner(Context context) : RequestController(context, "csr cleaner") {}

 private:
  Result<Requeue> Sync(const api::Object& request) override {
    const std::optional<WallTime> when = RemoveAt(request);
    if (!when.has_value()) return Requeue();
    const Duration left = *when - context_.runtime.Wall();
    // The wall's time may jump: it is looked at again once a day at least.
    if (left >= Duration(0)) return Requeue(std::min<Duration>(left + std::chrono::seconds(1), std::chrono::hours(24)));
    const Result<ObjectPtr> deleted =
        context_.client.Delete(Kind(), NameOf(request), {.uid = std::string(request.uid())});
    if (deleted.ok() || deleted.Failed(Reason::kNotFound) || deleted.Failed(Reason::kConflict)) return Requeue();
    return deleted.status();
  }
};

}  // namespace

std::unique_ptr<Controller> MakeCertificateApprover(Context context) { return std::make_unique<Approver>(context); }
std::unique_ptr<Controller> MakeCertificateSigner(Context context) { return std::make_unique<Signer>(context); }
std::unique_ptr<Controller> MakeCertificateCleaner(Context context) { return std::make_unique<Cleaner>(context); }

}  // namespace knarr::controller
