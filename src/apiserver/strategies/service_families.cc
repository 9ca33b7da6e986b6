#include "apiserver/strategies/service_families.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/validation.h"
#include "apiserver/object_meta.h"
#include "apiserver/strategies/service_fields.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

using doc::Document;
using doc::Value;

constexpr std::string_view kSingle = "SingleStack";
constexpr std::string_view kPrefer = "PreferDualStack";
constexpr std::string_view kRequire = "RequireDualStack";

class Init {
 public:
  Init(const api::KindInfo& kind, const std::vector<IpFamily>& families, Document& service, const Value* old)
      : kind_(kind), families_(families), service_(service), spec_(ServiceSpecOf(service)), old_(old) {}

  Ok Run() {
    if (!NeedsClusterAddress(service_.root) || KeepsPreferredFamilies(service_.root, old_)) return {};
    SetPolicy();
    errors_ = api::ValidateServiceAddresses(service_.root);
    TRY(Refused());
    if (old_ != nullptr) FollowPolicyChange();
    CheckSingle();
    InferFamilies();
    TRY(Refused());
    if (IsSelectorlessHeadless(service_.root)) {
      // Nobody knows what endpoints it will be given: any family, whatever the cluster has.
      if (Families().empty()) AddFamily(families_.front());
      if (Policy() != kSingle) AddOtherFamily();
      return {};
    }
    CheckConfigured();
    TRY(Refused());
    if (Families().empty()) AddFamily(families_.front());
    if (Policy() != kSingle && families_.size() == 2) AddOtherFamily();
    return {};
  }

 private:
  const Value& Spec() const { return spec_; }
  const Value& Families() const { return Spec().At("ipFamilies"); }
  const Value& Addresses() const { return Spec().At("clusterIPs"); }
  std::string_view Policy() const { return Spec().At("ipFamilyPolicy").AsString(); }
  bool IsConfigured(std::string_view family) const {
    return std::ranges::any_of(families_, [&](IpFamily own) { return FamilyName(own) == family; });
  }

  void Add(std::string field, const Value& value, std::string_view why) {
    errors_.push_back({api::FieldErrorType::kInvalid, std::move(field),
                       fmt::format("Invalid value: {}: {}", doc::ToJson(value), why)});
  }
  Ok Refused() const {
    if (errors_.empty()) return {};
    return api::InvalidObject(kind_, apiserver::NameOf(service_.root), errors_);
  }

  void SetPolicy() {
    if (!Spec().At("ipFamilyPolicy").is_null()) return;
    std::string_view policy = IsSelectorlessHeadless(service_.root) ? kRequire : kSingle;
    if (old_ != nullptr && old_->Get("spec", "ipFamilyPolicy").is_string()) {
      policy = old_->Get("spec", "ipFamilyPolicy").AsString();
    }
    spec_.Set(service_.arena, "ipFamilyPolicy", Value::String(service_.arena, policy));
  }

  // Going to a single family is said by the policy alone; otherwise a second address goes only when the policy says so.
  void FollowPolicyChange() {
    for (const auto& [member, what] : {std::pair{"clusterIPs", "cluster IP"}, std::pair{"ipFamilies", "IP family"}}) {
      const Value& before = old_->Get("spec", member);
      const Value& now = Spec().At(member);
      if (Policy() == kSingle) {
        if (now.size() > 1 && now.Equals(before)) spec_.Find(member)->Erase(1);
      } else if (!now.empty() && now.size() < before.size()) {
        Add("spec.ipFamilyPolicy", Spec().At("ipFamilyPolicy"),
            fmt::format("must be 'SingleStack' to release the secondary {}", what));
      }
    }
  }

  void CheckSingle() {
    if (Policy() != kSingle) return;
    for (const auto& [member, what] :
         {std::pair{"clusterIPs", "cluster IPs"}, std::pair{"ipFamilies", "IP families"}}) {
      if (Spec().At(member).size() != 2) continue;
      Add("spec.ipFamilyPolicy", Spec().At("ipFamilyPolicy"),
          fmt::format("must be 'RequireDualStack' or 'PreferDualStack' when multiple {} are specified", what));
    }
  }

  void InferFamilies() {
    for (size_t i = 0; i < Addresses().size(); ++i) {
      const Result<IpAddress> address = IpAddress::Parse(Addresses()[i].AsString());
      if (!address.ok()) return;  // "None": anything else has been refused
      if (i < Families().size()) continue;
      const std::string_view family = FamilyName(address->family());
      if (IsConfigured(family)) {
        AddFamily(address->family());
      } else {
        Add(fmt::format("spec.clusterIPs[{}]", i), Addresses(),
            fmt::format("{} is not configured on this cluster", family));
      }
    }
  }

  void CheckConfigured() {
    if (Policy() == kRequire && families_.size() < 2) {
      Add("spec.ipFamilyPolicy", Spec().At("ipFamilyPolicy"), "this cluster is not configured for dual-stack services");
    }
    for (size_t i = 0; i < Families().size(); ++i) {
      if (IsConfigured(Families()[i].AsString())) continue;
      Add(fmt::format("spec.ipFamilies[{}]", i), Families()[i], "not configured on this cluster");
    }
  }

  void AddFamily(IpFamily family) {
    spec_.Ensure(service_.arena, "ipFamilies").Append(service_.arena, Value::Borrow(FamilyName(family)));
  }
  void AddOtherFamily() {
    if (Families().size() != 1) return;
    AddFamily(Families()[0].AsString() == "IPv4" ? IpFamily::kIpv6 : IpFamily::kIpv4);
  }

  const api::KindInfo& kind_;
  const std::vector<IpFamily>& families_;
  Document& service_;
  Value& spec_;
  const Value* const old_;
  api::ErrorList errors_;
};

}  // namespace

std::string_view FamilyName(IpFamily family) { return family == IpFamily::kIpv4 ? "IPv4" : "IPv6"; }

bool KeepsPreferredFamilies(const Value& service, const Value* old) {
  if (old == nullptr) return false;
  const Value& spec = service.At("spec");
  const Value& before = old->At("spec");
  const std::string_view old_policy = before.At("ipFamilyPolicy").AsString(kPrefer);
  return spec.At("ipFamilyPolicy").AsString() == kPrefer && old_policy == kPrefer && NeedsClusterAddress(service) &&
         ServiceType(service) == ServiceType(*old) && spec.At("clusterIPs").Equals(before.At("clusterIPs")) &&
         spec.At("ipFamilies").Equals(before.At("ipFamilies"));
}

Ok InitFamilies(const api::KindInfo& kind, const std::vector<IpFamily>& families, Document& service, const Value* old) {
  return Init(kind, families, service, old).Run();
}

}  // namespace knarr::apiserver
