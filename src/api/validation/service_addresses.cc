// IPAddresses and ServiceCIDRs.

#include <algorithm>
#include <optional>

#include "api/networking_v1.h"
#include "api/validation/addresses.h"
#include "api/validation/go_form.h"
#include "api/validation/metadata.h"
#include "api/validation/networking.h"
#include "base/ip.h"
#include "base/names.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

void ValidateParent(const networking_v1::ParentReference& parent, const Path& path, Errors& errors) {
  if (!parent) return errors.Required(path);
  if (!parent.group().empty()) {
    errors.InvalidAll(path / "group", parent.group(), CheckDns1123Subdomain(parent.group()));
  }
  ValidatePathSegment(parent.resource(), path / "resource", errors);
  ValidatePathSegment(parent.name(), path / "name", errors);
  if (!parent.ns().empty()) ValidatePathSegment(parent.ns(), path / "namespace", errors);
}

Path CidrsPath() { return SpecPath() / "cidrs"; }

void ValidateCidrs(const Value& spec, Errors& errors) {
  const Value& cidrs = spec.At("cidrs");
  if (cidrs.empty()) return errors.Required(CidrsPath(), "at least one CIDR required");
  if (cidrs.size() > 2) {
    doc::Arena arena;
    return errors.Invalid(CidrsPath(), GoForm(networking_v1::ServiceCIDRSpec::SchemaType(), spec, arena),
                          "may only hold up to 2 values");
  }
  for (size_t i = 0; i < cidrs.size(); ++i) ValidateCanonicalCidr(cidrs[i].AsString(), CidrsPath()[i], errors);
  if (cidrs.size() < 2) return;
  const std::optional<Cidr> first = ReadOldCidr(cidrs[0].AsString());
  const std::optional<Cidr> second = ReadOldCidr(cidrs[1].AsString());
  if (first && second && first->address().Unmap().family() == second->address().Unmap().family()) {
    errors.Invalid(CidrsPath(), cidrs,
                   "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64");
  }
}

}  // namespace

void ValidateIpAddress(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), false, NameIsCanonicalIp, MetadataPath(), errors);
  ValidateParent(networking_v1::IPAddress(object).spec().parent_ref(), SpecPath() / "parentRef", errors);
}

void ValidateIpAddressUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateIpAddress(object, errors);
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  const Value& parent = object.Get("spec", "parentRef");
  if (parent.Equals(old.Get("spec", "parentRef"))) return;
  doc::Arena arena;
  errors.Invalid(SpecPath() / "parentRef", GoForm(networking_v1::ParentReference::SchemaType(), parent, arena),
                 kImmutable);
}

void ValidateServiceCidr(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  ValidateCidrs(object.At("spec"), errors);
}

void ValidateServiceCidrUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  const Value& cidrs = object.Get("spec", "cidrs");
  const Value& before = old.Get("spec", "cidrs");
  const bool second_added = before.size() == 1 && cidrs.size() == 2;
  if (cidrs.size() != before.size() && !second_added) return errors.Invalid(CidrsPath(), cidrs, kImmutable);
  for (size_t i = 0; i < before.size(); ++i) {
    if (!cidrs[i].Equals(before[i])) errors.Invalid(CidrsPath()[i], cidrs[i], kImmutable);
  }
  if (second_added) ValidateCidrs(object.At("spec"), errors);
}

}  // namespace knarr::api::validation
