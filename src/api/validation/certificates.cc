#include <algorithm>
#include <set>
#include <vector>

#include "api/certificates_v1.h"
#include "api/validation/access.h"
#include "api/validation/metadata.h"
#include "base/names.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using certificates_v1::CertificateSigningRequest;
using certificates_v1::CertificateSigningRequestCondition;
using doc::Value;

constexpr std::string_view kUsages[] = {"any",
                                        "cert sign",
                                        "client auth",
                                        "code signing",
                                        "content commitment",
                                        "crl sign",
                                        "data encipherment",
                                        "decipher only",
                                        "digital signature",
                                        "email protection",
                                        "encipher only",
                                        "ipsec end system",
                                        "ipsec tunnel",
                                        "ipsec user",
                                        "key agreement",
                                        "key encipherment",
                                        "microsoft sgc",
                                        "netscape sgc",
                                        "ocsp signing",
                                        "s/mime",
                                        "server auth",
                                        "signing",
                                        "timestamping"};
constexpr std::string_view kLegacySigner = "kubernetes.io/legacy-unknown";
constexpr int32_t kExpirationLeast = 600;
constexpr size_t kSubdomainMax = 253;
constexpr size_t kLabelMax = 63;

bool IsUsage(std::string_view usage) { return std::ranges::find(kUsages, usage) != std::end(kUsages); }

template <typename List>
bool HasTwice(const List& list) {
  std::set<std::string_view> seen;
  return std::ranges::any_of(list, [&seen](std::string_view item) { return !seen.insert(item).second; });
}

std::vector<std::string_view> ConditionTypes(const CertificateSigningRequest& request) {
  std::vector<std::string_view> types;
  for (const CertificateSigningRequestCondition condition : request.status().conditions()) {
    types.push_back(condition.type());
  }
  return types;
}

bool Contains(const std::vector<std::string_view>& list, std::string_view item) {
  return std::ranges::find(list, item) != list.end();
}

// What was stored already is bearable later.
struct Tolerated {
  bool approved_and_denied = false;
  bool legacy_signer = false;
  bool repeated_conditions = false;
  bool untyped_conditions = false;
  bool repeated_usages = false;
  bool unknown_usages = false;

  static Tolerated In(const CertificateSigningRequest& old) {
    const std::vector<std::string_view> types = ConditionTypes(old);
    std::vector<std::string_view> usages;
    for (const std::string_view usage : old.spec().usages()) usages.push_back(usage);
    return {.approved_and_denied = Contains(types, "Approved") && Contains(types, "Denied"),
            .legacy_signer = old.spec().signer_name() == kLegacySigner,
            .repeated_conditions = HasTwice(types),
            .untyped_conditions = Contains(types, ""),
            .repeated_usages = HasTwice(usages),
            .unknown_usages = !std::ranges::all_of(usages, IsUsage)};
  }
};

void ValidateUsages(const ListView<std::string_view>& usages, const Tolerated& tolerated, Errors& errors) {
  const Path path = SpecPath() / "usages";
  if (usages.empty()) errors.Required(path);
  size_t index = 0;
  for (const std::string_view usage : usages) {
    const Path at = path[index++];
    if (!tolerated.unknown_usages && !IsUsage(usage)) errors.NotSupported(at, usage, kUsages);
  }
  std::set<std::string_view> seen;
  index = 0;
  for (const std::string_view usage : usages) {
    const Path at = path[index++];
    if (!seen.insert(usage).second && !tolerated.repeated_usages) errors.Duplicate(at, usage);
  }
}

void ValidateConditionStatus(const CertificateSigningRequestCondition& condition, const Path& path, Errors& errors) {
  const std::string_view type = condition.type();
  if (type == "Approved" || type == "Denied" || type == "Failed") {
    errors.OneOf(path, condition.status(), {"True"});
  } else {
    errors.OneOf(path, condition.status(), {"False", "True", "Unknown"});
  }
}

void ValidateConditions(const CertificateSigningRequest& request, const Tolerated& tolerated, Errors& errors) {
  const Path path = Path("status") / "conditions";
  std::set<std::string_view> seen;
  size_t index = 0;
  for (const CertificateSigningRequestCondition condition : request.status().conditions()) {
    const Path at = path[index++];
    const std::string_view type = condition.type();
    if (type.empty() && !tolerated.untyped_conditions) errors.Required(at / "type");
    ValidateConditionStatus(condition, at / "status", errors);
    const bool contrary =
        (type == "Approved" && seen.contains("Denied")) || (type == "Denied" && seen.contains("Approved"));
    if (contrary && !tolerated.approved_and_denied) {
      errors.Invalid(path, type, "Approved and Denied conditions are mutually exclusive");
    }
    if (!seen.insert(type).second && !tolerated.repeated_conditions) errors.Duplicate(at / "type", type);
  }
}

void ValidateRequest(const CertificateSigningRequest& request, const Tolerated& tolerated, Errors& errors) {
  // Any name that a path can hold.
  ValidateMetadata(request.tree().At("metadata"), false, NameIsPathSegment, MetadataPath(), errors);
  ValidateUsages(request.spec().usages(), tolerated, errors);
  const Path signer = SpecPath() / "signerName";
  if (request.spec().signer_name() == kLegacySigner && !tolerated.legacy_signer) {
    errors.Invalid(signer, kLegacySigner, "the legacy signerName is not allowed via this API version");
  } else {
    ValidateSignerName(request.spec().signer_name(), signer, errors);
  }
  const std::optional<int32_t> expiration = request.spec().expiration_seconds();
  if (expiration && *expiration < kExpirationLeast) {
    errors.Invalid(SpecPath() / "expirationSeconds", *expiration,
                   "may not specify a duration less than 600 seconds (10 minutes)");
  }
  ValidateConditions(request, tolerated, errors);
}

std::vector<const Value*> ConditionsOfType(const CertificateSigningRequest& request, std::string_view type) {
  std::vector<const Value*> found;
  for (const Value& condition : request.tree().Get("status", "conditions").items()) {
    if (condition.At("type").AsString() == type) found.push_back(&condition);
  }
  return found;
}

bool SameConditions(const std::vector<const Value*>& a, const std::vector<const Value*>& b) {
  return std::ranges::equal(a, b, [](const Value* x, const Value* y) { return x->Equals(*y); });
}

void ValidateKeptConditions(const CertificateSigningRequest& request, const CertificateSigningRequest& old,
                            bool may_approve, Errors& errors) {
  const Path path = Path("status") / "conditions";
  for (const std::string_view type : {"Approved", "Denied", "Failed"}) {
    if (ConditionsOfType(request, type).size() < ConditionsOfType(old, type).size()) {
      errors.Forbidden(path, "updates may not remove a condition of type " + GoQuote(type));
    }
  }
  if (may_approve) return;
  for (const std::string_view type : {"Approved", "Denied"}) {
    const auto before = ConditionsOfType(old, type);
    const auto after = ConditionsOfType(request, type);
    if (after.size() > before.size()) {
      errors.Forbidden(path, "updates may not add a condition of type " + GoQuote(type));
    } else if (after.size() == before.size() && !SameConditions(before, after)) {
      errors.Forbidden(path, "updates may not modify a condition of type " + GoQuote(type));
    }
  }
}

enum class Change : uint8_t { kNothing, kCertificate, kApproval };

void ValidateChange(const Value& object, const Value& old_object, Change may_change, Errors& errors) {
  const CertificateSigningRequest request(object);
  const CertificateSigningRequest old(old_object);
  ValidateRequest(request, Tolerated::In(old), errors);
  ValidateKeptConditions(request, old, may_change == Change::kApproval, errors);
  const Path certificate = Path("status") / "certificate";
  if (request.status().certificate() != old.status().certificate()) {
    if (may_change != Change::kCertificate) {
      errors.Forbidden(certificate, "updates may not set certificate content");
    } else if (!old.status().certificate().empty()) {
      errors.Forbidden(certificate, "updates may not modify existing certificate content");
    }
  }
  ValidateMetadataUpdate(object.At("metadata"), old_object.At("metadata"), MetadataPath(), errors);
}

// Reports the first part, split at dots, that does not fit.
void ValidateLabelsOf(std::string_view text, Problems (*check)(std::string_view), const Path& path, Errors& errors) {
  for (const std::string_view label : Split(text, '.')) {
    const Problems problems = check(label);
    for (const std::string& problem : problems) {
      errors.Invalid(path, text, "validating label " + GoQuote(label) + ": " + problem);
    }
    if (!problems.empty()) return;
  }
}

}  // namespace

void ValidateSignerName(std::string_view name, const Path& path, Errors& errors) {
  if (name.empty()) return errors.Required(path);
  const std::vector<std::string_view> segments = Split(name, '/');
  if (segments.size() != 2) {
    return errors.Invalid(path, name,
                          "must be a fully qualified domain and path of the form 'example.com/signer-name'");
  }
  if (segments[0].size() > kSubdomainMax) errors.TooLong(path, kSubdomainMax);
  ValidateLabelsOf(segments[0], CheckDns1123Label, path, errors);
  if (segments[0].find('.') == std::string_view::npos) {
    errors.Invalid(path, segments[0], "should be a domain with at least two segments separated by dots");
  }
  ValidateLabelsOf(segments[1], CheckDns1123Subdomain, path, errors);
  // The path has room for a label and a subdomain with a dot between.
  constexpr size_t kNameMax = kSubdomainMax + kSubdomainMax + kLabelMax + 2;
  if (name.size() > kNameMax) errors.TooLong(path, kNameMax);
}

void ValidateSigningRequest(const Value& object, Errors& errors) {
  ValidateRequest(CertificateSigningRequest(object), {}, errors);
}
void ValidateSigningRequestUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateChange(object, old, Change::kNothing, errors);
}
void ValidateSigningRequestStatusUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateChange(object, old, Change::kCertificate, errors);
}
void ValidateSigningRequestApproval(const Value& object, const Value& old, Errors& errors) {
  ValidateChange(object, old, Change::kApproval, errors);
}

}  // namespace knarr::api::validation
