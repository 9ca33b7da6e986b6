// Requests and limits.

#include <algorithm>
#include <array>

#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "base/names.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

bool IsHugePages(std::string_view resource) { return resource.starts_with("hugepages-"); }
bool IsNative(std::string_view resource) {
  return resource.find('/') == std::string_view::npos || resource.find("kubernetes.io/") != std::string_view::npos;
}
bool IsExtended(std::string_view resource) {
  if (IsNative(resource) || resource.starts_with("requests.")) return false;
  return CheckQualifiedName("requests." + std::string(resource)).empty();
}

bool IsCounted(std::string_view resource) {
  static constexpr std::array kIntegers = {std::string_view("pods"),
                                           std::string_view("resourcequotas"),
                                           std::string_view("services"),
                                           std::string_view("secrets"),
                                           std::string_view("replicationcontrollers"),
                                           std::string_view("configmaps"),
                                           std::string_view("persistentvolumeclaims"),
                                           std::string_view("services.nodeports"),
                                           std::string_view("services.loadbalancers")};
  return std::ranges::find(kIntegers, resource) != kIntegers.end();
}
bool IsInteger(std::string_view resource) { return IsCounted(resource) || IsExtended(resource); }

Quantity Parsed(std::string_view text) {
  const Result<Quantity> quantity = Quantity::Parse(text);
  return quantity.ok() ? *quantity : Quantity();
}

// Huge pages are handed out whole. "hugepages-2Mi" says how large they are.
void ValidateHugePages(std::string_view resource, std::string_view amount, const Path& path, Errors& errors) {
  std::string_view size_text = resource;
  if (!ConsumePrefix(size_text, "hugepages-")) return;
  const Result<Quantity> size = Quantity::Parse(size_text);
  const bool usable = size.ok() && size->Sign() > 0 && size->MilliValue() % 1000 == 0;
  if (usable && Parsed(amount).Value() % size->Value() == 0) return;
  errors.Invalid(path, amount, std::string(amount) + " is not positive integer multiple of " + std::string(resource));
}

struct Seen {
  bool compute = false;
  bool huge_pages = false;
  void Add(std::string_view resource) {
    compute |= resource == "cpu" || resource == "memory";
    huge_pages |= IsHugePages(resource);
  }
};

void ValidateRequest(std::string_view resource, std::string_view amount, const StringMap& limits, const Path& requests,
                     const Path& limits_path, Errors& errors) {
  const auto limit = limits.Find(resource);
  if (!limit) {
    if (!MayOvercommit(resource)) {
      errors.Required(limits_path, "Limit must be set for non overcommitable resources");
    }
    return;
  }
  const std::string of = std::string(resource) + " limit of " + std::string(*limit);
  const auto order = Parsed(amount) <=> Parsed(*limit);
  if (order != 0 && !MayOvercommit(resource)) {
    errors.Invalid(requests, amount, "must be equal to " + of);
  } else if (order > 0) {
    errors.Invalid(requests, amount, "must be less than or equal to " + of);
  }
}

bool IsContainerResource(std::string_view resource) {
  return resource == "cpu" || resource == "memory" || resource == "ephemeral-storage" || IsHugePages(resource);
}

// Known without a domain.
bool IsStandard(std::string_view resource) {
  static constexpr std::array kOthers = {std::string_view("requests.cpu"),
                                         std::string_view("requests.memory"),
                                         std::string_view("requests.ephemeral-storage"),
                                         std::string_view("limits.cpu"),
                                         std::string_view("limits.memory"),
                                         std::string_view("limits.ephemeral-storage"),
                                         std::string_view("storage"),
                                         std::string_view("requests.storage")};
  return IsContainerResource(resource) || IsCounted(resource) ||
                        resource.starts_with("requests.hugepages-") ||
                        std::ranges::find(kOthers, resource) != kOthers.end();
}

// That what a container wants of the pod's claims are claims of the pod, each wanted once.
void ValidateClaimUse(const core_v1::ResourceRequirements& resources, const std::set<std::string_view>& claims,
                      const Path& path, Errors& errors) {
  std::set<std::string, std::less<>> used;  // "claim" or "claim/request"
  std::string known;
  size_t index = 0;
  for (const core_v1::ResourceClaim claim : resources.claims()) {
    const Path at = path[index++];
    const std::string name(claim.name());
    if (name.empty()) {
      errors.Required(at);
      continue;
    }
    const std::string_view request = claim.request();
    if (used.contains(name)) {
      errors.Duplicate(at, name);
    } else {
      const std::string key = request.empty() ? name : name + "/" + std::string(request);
      if (!request.empty()) ValidateDns1123Label(request, at / "request", errors);
      if (used.contains(key)) errors.Duplicate(at, key);
      // A whole claim, of which a part is wanted already.
      const std::string part = name + "/";
      auto other = request.empty() ? used.lower_bound(part) : used.end();
      for (; other != used.end() && other->starts_with(part); ++other) errors.Duplicate(at, name);
      used.insert(key);
    }
    if (claims.contains(name)) continue;
    if (known.empty()) {
      known = "must be one of the names in pod.spec.resourceClaims";
      known += claims.empty() ? " which is empty" : ": " + Join(claims, ", ");
    }
    errors.NotFound(at, name, known);
  }
}

}  // namespace

bool MayOvercommit(std::string_view resource) { return IsNative(resource) && !IsHugePages(resource); }

void ValidateResourceName(std::string_view resource, const Path& path, Errors& errors) {
  const Problems problems = CheckQualifiedName(resource);
  errors.InvalidAll(path, resource, problems);
  if (!problems.empty() || resource.find('/') != std::string_view::npos) return;
  if (!IsStandard(resource)) errors.Invalid(path, resource, "must be a standard resource type or fully qualified");
}

void ValidateContainerResourceName(std::string_view resource, const Path& path, Errors& errors) {
  ValidateResourceName(resource, path, errors);
  if (resource.find('/') == std::string_view::npos) {
    if (!IsContainerResource(resource)) errors.Invalid(path, resource, "must be a standard resource for containers");
  } else if (!IsNative(resource) && !IsExtended(resource)) {
    errors.Invalid(path, resource, "doesn't follow extended resource name standard");
  }
}

void ValidatePodResourceName(std::string_view resource, const Path& path, Errors& errors) {
  const size_t before = errors.size();
  ValidateResourceName(resource, path, errors);
  if (errors.size() != before || resource == "cpu" || resource == "memory" || IsHugePages(resource)) return;
  errors.NotSupported(path, resource, {"cpu", "hugepages-", "memory"});
}

bool IsQuotaResource(std::string_view resource) { return resource != "storage" && IsStandard(resource); }

void ValidateQuotaResourceName(std::string_view resource, const Path& path, Errors& errors) {
  ValidateResourceName(resource, path, errors);
  if (resource.find('/') != std::string_view::npos || IsQuotaResource(resource)) return;
  errors.Invalid(path, resource, "must be a standard resource for quota");
}

void ValidateResourceQuantity(std::string_view resource, std::string_view quantity, const Path& path, Errors& errors) {
  const Quantity amount = Parsed(quantity);
  if (amount.Sign() < 0) errors.Invalid(path, quantity, kNegative);
  if (IsInteger(resource) && amount.MilliValue() % 1000 != 0) errors.Invalid(path, quantity, "must be an integer");
}

void ValidateResources(const core_v1::ResourceRequirements& resources, const std::set<std::string_view>& claims,
                       ResourceNameRule name_rule, const Path& path, Errors& errors) {
  if (!resources) return;
  const Path limits = path / "limits";
  const Path requests = path / "requests";
  Seen seen;
  for (const auto& [resource, amount] : resources.limits()) {
    name_rule(resource, limits.Key(resource), errors);
    ValidateResourceQuantity(resource, amount, limits.Key(resource), errors);
    ValidateHugePages(resource, amount, limits.Key(resource), errors);
    seen.Add(resource);
  }
  for (const auto& [resource, amount] : resources.requests()) {
    name_rule(resource, requests.Key(resource), errors);
    ValidateResourceQuantity(resource, amount, requests.Key(resource), errors);
    ValidateRequest(resource, amount, resources.limits(), requests, limits, errors);
    ValidateHugePages(resource, amount, requests.Key(resource), errors);
    seen.Add(resource);
  }
  if (!seen.compute && seen.huge_pages) errors.Forbidden(path, "HugePages require cpu or memory");
  ValidateClaimUse(resources, claims, path / "claims", errors);
}

void ValidateOverhead(const doc::Value& amounts, const Path& path, Errors& errors) {
  if (amounts.is_null()) return;
  doc::Document limits;
  limits.root.Set(limits.arena, "limits", amounts);
  ValidateResources(core_v1::ResourceRequirements(limits.root), {}, ValidateContainerResourceName, path, errors);
}

}  // namespace knarr::api::validation
