#include "controller/certificate_requests.h"

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace knarr::controller {
namespace {

using doc::Value;

constexpr Duration kLifeLeast = std::chrono::minutes(10);
constexpr Duration kDoneKept = std::chrono::hours(1);
constexpr Duration kUndoneKept = std::chrono::hours(24);

using Usages = std::set<std::string, std::less<>>;

const Value& Conditions(const api::Object& request) { return request.tree().Get("status", "conditions"); }

std::string UsagesProblem(const std::vector<std::string>& usages, std::string_view needed) {
  Usages given(usages.begin(), usages.end());
  const Usages without{std::string(needed), "digital signature"};
  Usages with = without;
  with.insert("key encipherment");
  if (given == with || given == without) return {};
  return "usages did not match [" + Join(with, " ") + "]";
}

std::string NodeSubjectProblem(const net::SigningRequest& asked) {
  if (!asked.common_name.starts_with("system:node:")) {
    return "subject common name does not begin with system:node:";
  }
  return {};
}

std::string KubeletClientProblem(const net::SigningRequest& asked, const std::vector<std::string>& usages) {
  if (asked.organizations != std::vector<std::string>{"system:nodes"}) {
    return "subject organization is not system:nodes";
  }
  if (!asked.dns_names.empty()) return "DNS subjectAltNames are not allowed";
  if (!asked.email_addresses.empty()) return "Email subjectAltNames are not allowed";
  if (!asked.ip_addresses.empty()) return "IP subjectAltNames are not allowed";
  if (!asked.uris.empty()) return "URI subjectAltNames are not allowed";
  const std::string subject = NodeSubjectProblem(asked);
  return subject.empty() ? UsagesProblem(usages, "client auth") : subject;
}

std::string KubeletServingProblem(const net::SigningRequest& asked, const std::vector<std::string>& usages) {
  if (asked.organizations != std::vector<std::string>{"system:nodes"}) {
    return "subject organization is not system:nodes";
  }
  if (asked.dns_names.empty() && asked.ip_addresses.empty()) return "DNS or IP subjectAltName is required";
  if (!asked.email_addresses.empty()) return "Email subjectAltNames are not allowed";
  if (!asked.uris.empty()) return "URI subjectAltNames are not allowed";
  const std::string problem = UsagesProblem(usages, "server auth");
  return problem.empty() ? NodeSubjectProblem(asked) : problem;
}

std::string ClientUsagesProblem(const std::vector<std::string>& usages) {
  for (const std::string& usage : usages) {
    if (usage != "digital signature" && usage != "key encipherment" && usage != "client auth") {
      return "invalid usage for client certificate: " + usage;
    }
  }
  if (std::ranges::find(usages, "client auth") == usages.end()) {
    return "missing required usage for client certificate: client auth";
  }
  return {};
}

std::optional<WallTime> TimeOf(const Value& text) {
  const Result<WallTime> time = ParseTime(text.AsString());
  if (!time.ok()) return std::nullopt;
  return *time;
}

}  // namespace

Result<std::string> RequestPem(const api::Object& request) {
  return Base64Decode(request.tree().Get("spec", "request").AsString());
}

std::vector<std::string> RequestUsages(const api::Object& request) {
  std::vector<std::string> out;
  for (const Value& usage : request.tree().Get("spec", "usages").items()) out.emplace_back(usage.AsString());
  return out;
}

bool HasCondition(const api::Object& request, std::string_view type) {
  return std::ranges::any_of(Conditions(request).items(), [&](const Value& condition) {
    if (condition.At("type").AsString() != type) return false;
    return type != "Failed" || condition.At("status").AsString() == "True";
  });
}

bool IsIssued(const api::Object& request) { return !request.tree().Get("status", "certificate").AsString().empty(); }

std::string SignerProblem(std::string_view signer, const net::SigningRequest& asked,
                          const std::vector<std::string>& usages) {
  if (signer == kApiServerClientKubelet) return KubeletClientProblem(asked, usages);
  if (signer == kKubeletServing) return KubeletServingProblem(asked, usages);
  if (signer == kApiServerClient) return ClientUsagesProblem(usages);
  return {};  // the one of old signs everything
}

Duration CertificateLife(const api::Object& request, Duration most) {
  const Value& asked = request.tree().Get("spec", "expirationSeconds");
  if (!asked.is_int()) return most;
  return std::clamp<Duration>(std::chrono::seconds(asked.AsInt()), std::min(kLifeLeast, most), most);
}

std::optional<WallTime> RemoveAt(const api::Object& request) {
  std::optional<WallTime> soonest;
  const auto at = [&](std::optional<WallTime> when, Duration kept) {
    if (when.has_value() && (!soonest.has_value() || *when + kept < *soonest)) soonest = *when + kept;
  };
  const bool issued = IsIssued(request);
  const Value& conditions = Conditions(request);
  for (const Value& condition : conditions.items()) {
    const std::string_view type = condition.At("type").AsString();
    const std::optional<WallTime> updated = TimeOf(condition.At("lastUpdateTime"));
    if (type == "Approved") at(updated, issued ? kDoneKept : kUndoneKept);
    if (type == "Denied" || type == "Failed") at(updated, kDoneKept);
    if (type != "Approved" || !issued) continue;
    const Result<std::string> pem = Base64Decode(request.tree().Get("status", "certificate").AsString());
    const Result<net::CertificateInfo> info = pem.ok() ? net::ReadCertificate(*pem) : BadRequest("");
    if (info.ok()) at(info->not_after, Duration(0));
  }
  if (conditions.empty()) at(TimeOf(request.tree().Get("metadata", "creationTimestamp")), kUndoneKept);
  return soonest;
}

}  // namespace knarr::controller
