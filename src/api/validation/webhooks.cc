#include <algorithm>
#include <set>

#include "api/validation/admission.h"
#include "api/validation/metadata.h"
#include "api/validation/webhook_client.h"
#include "base/names.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using doc::Value;
namespace v1 = admissionregistration_v1;

// Both kinds of webhooks have the same fields, but for the mutating one's reinvocationPolicy.
using Webhook = v1::MutatingWebhook;
using Webhooks = ListView<Webhook>;

constexpr int32_t kTimeoutMax = 30;

bool IsReviewVersion(std::string_view version) { return version == "v1" || version == "v1beta1"; }
bool HasReviewVersion(const Webhook& hook) {
  for (const std::string_view version : hook.admission_review_versions()) {
    if (IsReviewVersion(version)) return true;
  }
  return false;
}
bool HasNoSideEffects(const Webhook& hook) {
  return hook.side_effects() == "None" || hook.side_effects() == "NoneOnDryRun";
}

void ValidateSelectors(const Webhook& hook, bool strict_values, const Path& path, Errors& errors) {
  ValidateLabelSelector(hook.namespace_selector(), strict_values, path / "namespaceSelector", errors);
  ValidateLabelSelector(hook.object_selector(), strict_values, path / "objectSelector", errors);
}

// What must hold; an update may leave things as they are.
struct Demands {
  bool match_conditions = true;
  bool no_side_effects = true;
  bool known_review_version = true;
  bool unique_names = true;
  bool strict_label_values = true;

  static Demands After(const Webhooks& old, const Webhooks& hooks) {
    Demands demands;
    std::set<std::string_view> names;
    for (const Webhook hook : old) {
      demands.no_side_effects &= HasNoSideEffects(hook);
      demands.unique_names &= names.insert(hook.name()).second;
      demands.known_review_version &= hook.admission_review_versions().empty() || HasReviewVersion(hook);
      Errors errors;
      ValidateSelectors(hook, true, Path(), errors);
      demands.strict_label_values &= errors.empty();
    }
    demands.match_conditions = old.size() != hooks.size();
    for (size_t i = 0; i < old.size() && !demands.match_conditions; ++i) {
      demands.match_conditions = !old[i].tree().At("matchConditions").Equals(hooks[i].tree().At("matchConditions"));
    }
    return demands;
  }
};

void ValidateFullName(std::string_view name, const Path& path, Errors& errors) {
  if (name.empty()) return errors.Required(path);
  const Problems problems = CheckDns1123Subdomain(name);
  if (!problems.empty()) return errors.Invalid(path, name, Join(problems, ","));
  if (std::ranges::count(name, '.') < 2) {
    errors.Invalid(path, name, "should be a domain with at least three segments separated by dots");
  }
}

void ValidateSideEffects(const Webhook& hook, bool none, const Path& path, Errors& errors) {
  if (!hook.side_effects()) {
    errors.Required(path, none ? "must specify one of None, NoneOnDryRun"
                               : "must specify one of None, NoneOnDryRun, Some, Unknown");
  } else if (none) {
    ValidateChoice(hook.side_effects(), {"None", "NoneOnDryRun"}, path, errors);
  } else {
    ValidateChoice(hook.side_effects(), {"None", "NoneOnDryRun", "Some", "Unknown"}, path, errors);
  }
}

void ValidateClient(const v1::WebhookClientConfig& client, const Path& path, Errors& errors) {
  if (client.url().has_value() == client.has_service()) {
    return errors.Required(path, "exactly one of url or service is required");
  }
  if (client.url()) return ValidateWebhookUrl(*client.url(), path / "url", errors);
  // Upstream takes the one for the other here, and reports a missing name as a missing namespace.
  ValidateWebhookService({.ns = client.service().name(),
                          .name = client.service().ns(),
                          .path = client.service().path(),
                          .port = client.service().port().value_or(0)},
                         path / "service", errors);
}

void ValidateReviewVersions(const Webhook& hook, bool known, const Path& path, Errors& errors) {
  const auto versions = hook.admission_review_versions();
  if (versions.empty()) return errors.Required(path, "must specify one of v1, v1beta1");
  std::set<std::string_view> seen;
  size_t index = 0;
  for (const std::string_view version : versions) {
    const Path at = path[index++];
    if (!seen.insert(version).second) {
      errors.Invalid(at, version, "duplicate version");
    } else {
      errors.InvalidAll(at, version, CheckDns1035Label(version));
    }
  }
  if (known && !HasReviewVersion(hook)) {
    errors.Invalid(path, hook.tree().At("admissionReviewVersions"), "must include at least one of v1, v1beta1");
  }
}

void ValidateWebhook(const Webhook& hook, const Demands& demands, const Path& path, Errors& errors) {
  ValidateFullName(hook.name(), path / "name", errors);
  size_t index = 0;
  for (const v1::RuleWithOperations rule : hook.rules()) {
    ValidateAdmissionRule(rule, (path / "rules")[index++], errors);
  }
  ValidateChoice(hook.failure_policy(), {"Fail", "Ignore"}, path / "failurePolicy", errors);
  ValidateChoice(hook.match_policy(), {"Equivalent", "Exact"}, path / "matchPolicy", errors);
  ValidateSideEffects(hook, demands.no_side_effects, path / "sideEffects", errors);
  const int32_t timeout = hook.timeout_seconds().value_or(1);
  if (timeout < 1 || timeout > kTimeoutMax) {
    errors.Invalid(path / "timeoutSeconds", timeout, "the timeout value must be between 1 and 30 seconds");
  }
  ValidateSelectors(hook, demands.strict_label_values, path, errors);
  ValidateChoice(hook.reinvocation_policy(), {"IfNeeded", "Never"}, path / "reinvocationPolicy", errors);
  ValidateClient(hook.client_config(), path / "clientConfig", errors);
  if (demands.match_conditions) ValidateMatchConditions(hook.match_conditions(), path / "matchConditions", errors);
}

void ValidateWebhooksAs(const Value& object, const Demands& demands, Errors& errors) {
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  std::set<std::string_view> names;
  size_t index = 0;
  for (const Webhook hook : Webhooks(object.At("webhooks"))) {
    const Path at = Path("webhooks")[index++];
    ValidateWebhook(hook, demands, at, errors);
    ValidateReviewVersions(hook, demands.known_review_version, at / "admissionReviewVersions", errors);
    if (demands.unique_names && !hook.name().empty() && !names.insert(hook.name()).second) {
      errors.Duplicate(at / "name", hook.name());
    }
  }
}

}  // namespace

void ValidateWebhooks(const Value& object, Errors& errors) { ValidateWebhooksAs(object, {}, errors); }
void ValidateWebhooksUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateWebhooksAs(object, Demands::After(Webhooks(old.At("webhooks")), Webhooks(object.At("webhooks"))), errors);
}

}  // namespace knarr::api::validation
