#include "api/validation/objects.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <set>
#include <utility>

#include "api/core_v1.h"
#include "api/validation/addresses.h"
#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "base/ip.h"
#include "base/names.h"
#include "base/quantity.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

constexpr size_t kDataMax = 1024 * 1024;
constexpr std::string_view kSealed = "field is immutable when `immutable` is set";
constexpr std::string_view kRedacted = "<secret contents redacted>";

size_t DecodedSize(std::string_view base64) {
  const size_t padding = base64.ends_with("==") ? 2 : base64.ends_with('=') ? 1 : 0;
  return base64.size() / 4 * 3 - padding;
}

void ValidateSealed(const Value& object, const Value& old, std::initializer_list<std::string_view> members,
                    Errors& errors) {
  if (!old.At("immutable").AsBool()) return;
  if (!object.At("immutable").AsBool()) errors.Forbidden(Path("immutable"), kSealed);
  for (const std::string_view name : members) {
    if (!object.At(name).Equals(old.At(name))) errors.Forbidden(Path(name), kSealed);
  }
}

void ValidateDockerConfig(const Value& data, std::string_view key, const Path& path, Errors& errors) {
  const Value* value = data.Find(key);
  if (value == nullptr) return errors.Required(path.Key(key));
  // A canonical tree holds valid base64.
  const Result<std::string> text = Base64Decode(value->AsString());
  const Result<doc::Document> parsed = doc::ParseJson(text.ok() ? *text : std::string());
  if (!parsed.ok()) {
    std::string_view message = parsed.status().message();
    if (message.starts_with("line ")) message = message.substr(message.find(": ") + 2);
    errors.Invalid(path.Key(key), kRedacted, message);
  } else if (!parsed->root.is_object() && !parsed->root.is_null()) {
    errors.Invalid(path.Key(key), kRedacted, "json: cannot unmarshal into Go value of type map[string]interface {}");
  }
}

void ValidateSecretType(const core_v1::Secret& secret, const Path& path, Errors& errors) {
  const Value& data = secret.tree().At("data");
  const std::string_view type = secret.type();
  const auto require = [&](std::string_view key) {
    if (data.Find(key) == nullptr) errors.Required(path.Key(key));
  };
  if (type == "kubernetes.io/service-account-token") {
    constexpr std::string_view kName = "kubernetes.io/service-account.name";
    if (secret.metadata().annotations().Find(kName).value_or("").empty()) {
      errors.Required((MetadataPath() / "annotations").Key(kName));
    }
  } else if (type == "kubernetes.io/dockercfg") {
    ValidateDockerConfig(data, ".dockercfg", path, errors);
  } else if (type == "kubernetes.io/dockerconfigjson") {
    ValidateDockerConfig(data, ".dockerconfigjson", path, errors);
  } else if (type == "kubernetes.io/basic-auth") {
    if (data.Find("username") != nullptr || data.Find("password") != nullptr) return;
    require("username");
    require("password");
  } else if (type == "kubernetes.io/ssh-auth") {
    if (data.At("ssh-privatekey").AsString().empty()) errors.Required(path.Key("ssh-privatekey"));
  } else if (type == "kubernetes.io/tls") {
    require("tls.crt");
    require("tls.key");
  }
}

void ValidateConfigMapData(const Value& object, Errors& errors) {
  size_t size = 0;
  for (const doc::Member& entry : object.At("data").members()) {
    const Path at = Path("data").Key(entry.key);
    errors.InvalidAll(at, entry.key, CheckConfigMapKey(entry.key));
    if (object.At("binaryData").Find(entry.key) != nullptr) {
      errors.Invalid(at, entry.key, "duplicate of key present in binaryData");
    }
    size += entry.value.AsString().size();
  }
  for (const doc::Member& entry : object.At("binaryData").members()) {
    errors.InvalidAll(Path("binaryData").Key(entry.key), entry.key, CheckConfigMapKey(entry.key));
    size += DecodedSize(entry.value.AsString());
  }
  if (size > kDataMax) errors.TooLong(Path("[]"), kDataMax);
}

void ValidateSecretData(const Value& object, Errors& errors) {
  const Path path("data");
  size_t size = 0;
  for (const doc::Member& entry : object.At("data").members()) {
    errors.InvalidAll(path.Key(entry.key), entry.key, CheckConfigMapKey(entry.key));
    size += DecodedSize(entry.value.AsString());
  }
  if (size > kDataMax) errors.TooLong(path, kDataMax);
  ValidateSecretType(core_v1::Secret(object), path, errors);
}

void ValidateTaints(const core_v1::Node& node, Errors& errors) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  size_t index = 0;
  for (const core_v1::Taint taint : node.spec().taints()) {
    const Path at = (MetadataPath() / "taints")[index++];
    ValidateLabelName(taint.key(), at / "key", errors);
    const Problems problems = CheckLabelValue(taint.value());
    if (!problems.empty()) errors.Invalid(at / "value", taint.value(), Join(problems, ";"));
    ValidateTaintEffect(taint.effect(), false, at / "effect", errors);
    if (seen.emplace(taint.effect(), taint.key()).second) continue;
    // Upstream prints its own struct.
    doc::Arena arena;
    Value shown = Value::Object();
    shown.Set(arena, "Key", Value::Borrow(taint.key()));
    shown.Set(arena, "Value", Value::Borrow(taint.value()));
    shown.Set(arena, "Effect", Value::Borrow(taint.effect()));
    shown.Set(arena, "TimeAdded", taint.tree().At("timeAdded"));
    errors.Duplicate(at, shown, "taints must be unique by key and effect pair");
  }
}

void ValidateNodeResources(const core_v1::Node& node, Errors& errors) {
  for (const auto& [resource, amount] : node.status().capacity()) {
    ValidateResourceQuantity(resource, amount, Path("status") / "capacity" / resource, errors);
  }
  for (const auto& [resource, amount] : node.status().allocatable()) {
    ValidateResourceQuantity(resource, amount, Path("status") / "allocatable" / resource, errors);
  }
}

Quantity Amount(std::string_view text) {
  const Result<Quantity> quantity = Quantity::Parse(text);
  return quantity.ok() ? *quantity : Quantity();
}

// The amounts of one item's lists, which may be long.
class LimitAmounts {
 public:
  explicit LimitAmounts(const core_v1::LimitRangeItem& item) : pod_(item.type() == "Pod") {
    for (const doc::Member& list : item.tree().members()) {
      if (pod_ && list.key.starts_with("default")) continue;
      auto& amounts = amounts_[list.key];
      for (const doc::Member& entry : list.value.members()) amounts.emplace(entry.key, entry.value.AsString());
    }
  }
  bool of_pods() const { return pod_; }
  std::optional<std::string_view> Find(std::string_view list, std::string_view resource) const {
    const auto amounts = amounts_.find(list);
    if (amounts == amounts_.end()) return std::nullopt;
    const auto found = amounts->second.find(resource);
    return found == amounts->second.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  bool pod_;
  std::map<std::string_view, std::map<std::string_view, std::string_view>> amounts_;
};

// The ratio of limit to request can't be more than what the bounds leave, and what can't be shared out twice has none.
void ValidateRatio(const LimitAmounts& amounts, std::string_view resource, const Path& path, Errors& errors) {
  const auto given = amounts.Find("maxLimitRequestRatio", resource);
  const auto lowest = amounts.Find("min", resource);
  const auto highest = amounts.Find("max", resource);
  if (given && lowest && highest) {
    constexpr int64_t kMilliMax = std::numeric_limits<int64_t>::max() / 1000;
    const Quantity ratio = Amount(*given);
    const Quantity least = Amount(*lowest);
    const Quantity most = Amount(*highest);
    const bool fine = ratio.Value() < kMilliMax && least.Value() < kMilliMax && most.Value() < kMilliMax;
    const double value = fine ? static_cast<double>(ratio.MilliValue()) / 1000 : static_cast<double>(ratio.Value());
    const double bound = fine ? static_cast<double>(most.MilliValue()) / static_cast<double>(least.MilliValue())
                              : static_cast<double>(most.Value()) / static_cast<double>(least.Value());
    if (value > bound) {
      char text[64];
      std::snprintf(text, sizeof text, "%f", bound);
      errors.Invalid((path / "maxLimitRequestRatio").Key(resource), *given,
                     "ratio " + std::string(*given) + " is greater than max/min = " + text);
    }
  }
  if (amounts.of_pods() || MayOvercommit(resource)) return;
  const auto fallback = amounts.Find("default", resource);
  const auto request = amounts.Find("defaultRequest", resource);
  if (!fallback || !request || Amount(*fallback) == Amount(*request)) return;
  errors.Invalid((path / "defaultRequest").Key(resource), *request,
                 "default value " + std::string(*fallback) + " must equal to defaultRequest value " +
                     std::string(*request) + " in " + std::string(resource));
}

// Wherever two limits on one resource contradict each other.
void ValidateLimitOrder(const LimitAmounts& amounts, std::string_view resource, const Path& path, Errors& errors) {
  // `shown` is the amount that the error is about, in upstream's choice.
  const auto check = [&](std::string_view lower, std::string_view lower_name, std::string_view upper,
                         std::string_view upper_name, std::string_view member, std::string_view shown) {
    const auto least = amounts.Find(lower, resource);
    const auto most = amounts.Find(upper, resource);
    if (!least || !most || Amount(*least) <= Amount(*most)) return;
    errors.Invalid((path / member).Key(resource), *amounts.Find(shown, resource),
                   std::string(lower_name) + " value " + std::string(*least) + " is greater than " +
                       std::string(upper_name) + " value " + std::string(*most));
  };
  check("min", "min", "max", "max", "min", "min");
  check("min", "min", "defaultRequest", "default request", "defaultRequest", "defaultRequest");
  check("defaultRequest", "default request", "max", "max", "defaultRequest", "defaultRequest");
  check("defaultRequest", "default request", "default", "default limit", "defaultRequest", "defaultRequest");
  check("min", "min", "default", "default", "default", "min");
  check("default", "default", "max", "max", "default", "max");
  const auto ratio = amounts.Find("maxLimitRequestRatio", resource);
  if (ratio && Amount(*ratio) < Quantity(1)) {
    errors.Invalid((path / "maxLimitRequestRatio").Key(resource), *ratio,
                   "ratio " + std::string(*ratio) + " is less than 1");
  }
  ValidateRatio(amounts, resource, path, errors);
}

void ValidateLimitNames(const core_v1::LimitRangeItem& item, const Path& path, std::set<std::string_view>& resources,
                        Errors& errors) {
  const bool pod = item.type() == "Pod";
  for (const std::string_view member : {"max", "min", "default", "defaultRequest", "maxLimitRequestRatio"}) {
    const Value& list = item.tree().At(member);
    if (pod && member.starts_with("default")) {
      if (!list.empty()) errors.Forbidden(path / member, "may not be specified when `type` is 'Pod'");
      continue;
    }
    for (const doc::Member& entry : list.members()) {
      const Path at = (path / member).Key(entry.key);
      if (pod || item.type() == "Container") {
        ValidateContainerResourceName(entry.key, at, errors);
      } else {
        ValidateResourceName(entry.key, at, errors);
      }
      resources.insert(entry.key);
    }
  }
}

}  // namespace

void ValidateConfigMap(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), true, NameIsSubdomain, MetadataPath(), errors);
  ValidateConfigMapData(object, errors);
}

void ValidateConfigMapUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateSealed(object, old, {"data", "binaryData"}, errors);
  ValidateConfigMap(object, errors);
}

void ValidateSecret(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), true, NameIsSubdomain, MetadataPath(), errors);
  ValidateSecretData(object, errors);
}

void ValidateSecretUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateImmutable(object.At("type"), old.At("type"), Path("type"), errors);
  ValidateSealed(object, old, {"data"}, errors);
  ValidateSecret(object, errors);
}

namespace {

void ValidateFinalizerName(std::string_view name, const Path& path, Errors& errors) {
  errors.InvalidAll(path, name, CheckQualifiedName(name));
  if (!IsFinalizerName(name)) {
    errors.Invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified");
  }
}

}  // namespace

void ValidateNamespace(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), false, NameIsLabel, MetadataPath(), errors);
  for (const Value& finalizer : object.Get("spec", "finalizers").items()) {
    ValidateFinalizerName(finalizer.AsString(), SpecPath() / "finalizers", errors);
  }
}

void ValidateNamespaceUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  // Only its finalize subresource changes them.
  if (!object.Get("spec", "finalizers").Equals(old.Get("spec", "finalizers"))) {
    size_t index = 0;
    for (const Value& finalizer : object.Get("spec", "finalizers").items()) {
      ValidateFinalizerName(finalizer.AsString(), (SpecPath() / "finalizers")[index++], errors);
    }
  }
}

void ValidateNamespaceStatusUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateNamespaceUpdate(object, old, errors);
  const std::string_view phase = object.Get("status", "phase").AsString();
  const Path path = Path("status") / "Phase";
  if (object.Get("metadata", "deletionTimestamp").is_null()) {
    if (phase != "Active") errors.Invalid(path, phase, "may only be 'Active' if `deletionTimestamp` is empty");
  } else if (phase != "Terminating") {
    errors.Invalid(path, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty");
  }
}

namespace {

// "MyFeature/mySubFeature"
bool IsFeatureName(std::string_view name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (name.empty() || name.front() < 'A' || name.front() > 'Z') return false;
  for (const std::string_view part : Split(name, '/')) {
    if (part.empty() || !is_letter(part.front())) return false;
    if (!std::ranges::all_of(part, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); })) return false;
  }
  return true;
}

void ValidateFeatures(const core_v1::Node& node, Errors& errors) {
  constexpr size_t kBytesMax = 253;
  const Path path = Path("status") / "declaredFeatures";
  const Value& features = node.status().tree().At("declaredFeatures");
  for (size_t i = 0; i < features.size(); ++i) {
    const std::string_view name = features[i].AsString();
    const std::string what = "invalid feature name " + GoQuote(name) + ": ";
    if (name.size() > kBytesMax) {
      errors.Invalid(path[i], name, what + "must be no more than 253 characters");
    } else if (!IsFeatureName(name)) {
      errors.Invalid(path[i], name,
                     what + "must start with an UpperCamelCase segment, with subsequent segments separated by '/' "
                            "(e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters "
                            "and slashes");
    }
    if (i + 1 == features.size()) continue;
    const std::string_view next = features[i + 1].AsString();
    if (name == next) errors.Duplicate(path[i + 1], next);
    if (name > next) errors.Invalid(path[i + 1], next, "list must be sorted alphabetically");
  }
}

}  // namespace

void ValidateNode(const Value& object, Errors& errors) {
  const core_v1::Node node(object);
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  ValidateTaints(node, errors);
  ValidateNodeResources(node, errors);
  ValidateFeatures(node, errors);
  const Path path = SpecPath() / "podCIDRs";
  const auto ranges = node.spec().pod_cidrs();
  for (size_t i = 0; i < ranges.size(); ++i) {
    ValidateCidr(ranges[i], path[i], errors);
  }
  if (ranges.size() < 2) return;
  const Result<Cidr> first = Cidr::Parse(ranges[0]);
  const Result<Cidr> second = Cidr::Parse(ranges[1]);
  const bool dual = first.ok() && second.ok() && first->family() != second->family();
  if (!dual || ranges.size() > 2) {
    errors.Invalid(path, node.spec().tree().At("podCIDRs"), "may specify no more than one CIDR for each IP family");
  }
}

void ValidateNodeUpdate(const Value& object, const Value& old_object, Errors& errors) {
  const core_v1::Node node(object);
  const core_v1::Node old(old_object);
  ValidateMetadataUpdate(object.At("metadata"), old_object.At("metadata"), MetadataPath(), errors);
  ValidateNodeResources(node, errors);
  ValidateFeatures(node, errors);
  std::set<std::pair<std::string_view, std::string_view>> addresses;
  size_t index = 0;
  for (const core_v1::NodeAddress address : node.status().addresses()) {
    const Path at = (Path("status") / "addresses")[index++];
    if (addresses.emplace(address.type(), address.address()).second) continue;
    doc::Arena arena;
    Value shown = Value::Object();  // as upstream's own struct prints
    shown.Set(arena, "Type", Value::Borrow(address.type()));
    shown.Set(arena, "Address", Value::Borrow(address.address()));
    errors.Duplicate(at, shown);
  }
  const Value& before = old.spec().tree().At("podCIDRs");
  const Value& now = node.spec().tree().At("podCIDRs");
  constexpr std::string_view kRange = "node updates may not change podCIDR except from \"\" to valid";
  if (!before.empty() && before.size() != now.size()) {
    errors.Forbidden(SpecPath() / "podCIDRs", kRange);
  } else {
    for (size_t i = 0; i < before.size(); ++i) {
      if (!before[i].Equals(now[i])) errors.Forbidden(SpecPath() / "podCIDRs", kRange);
    }
  }
  if (!old.spec().provider_id().empty() && old.spec().provider_id() != node.spec().provider_id()) {
    errors.Forbidden(SpecPath() / "providerID", "node updates may not change providerID except from \"\" to valid");
  }
  ValidateTaints(node, errors);
  if (old.spec().external_id() != node.spec().external_id()) {
    errors.Forbidden(SpecPath() / "externalID", "may not be updated");
  }
}

void ValidateBinding(const Value& object, Errors& errors) {
  const std::string_view kind = object.Get("target", "kind").AsString();
  if (!kind.empty() && kind != "Node") {
    errors.NotSupported(Path("target") / "kind", kind, {"Node", "<empty>"});
  }
  if (object.Get("target", "name").AsString().empty()) errors.Required(Path("target") / "name");
}

void ValidateLimitRange(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), true, NameIsSubdomain, MetadataPath(), errors);
  std::set<std::string_view> types;
  size_t index = 0;
  for (const core_v1::LimitRangeItem item : core_v1::LimitRange(object).spec().limits()) {
    const Path at = (SpecPath() / "limits")[index++];
    const Problems problems = CheckQualifiedName(item.type());
    errors.InvalidAll(at / "type", item.type(), problems);
    if (problems.empty() && item.type().find('/') == std::string_view::npos && item.type() != "Pod" &&
        item.type() != "Container" && item.type() != "PersistentVolumeClaim") {
      errors.Invalid(at / "type", item.type(), "must be a standard limit type or fully qualified");
    }
    if (!types.insert(item.type()).second) errors.Duplicate(at / "type", item.type());
    std::set<std::string_view> resources;
    ValidateLimitNames(item, at, resources, errors);
    if (item.type() == "PersistentVolumeClaim" && !item.min().Has("storage") && !item.max().Has("storage")) {
      errors.Required(at / "limits", "either minimum or maximum storage value is required, but neither was provided");
    }
    const LimitAmounts amounts(item);
    for (const std::string_view resource : resources) ValidateLimitOrder(amounts, resource, at, errors);
  }
}

}  // namespace knarr::api::validation
