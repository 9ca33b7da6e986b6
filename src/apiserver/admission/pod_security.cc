#include "apiserver/admission/pod_security.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "apiserver/admission/plugins.h"
#include "apiserver/errors.h"
#include "apiserver/object_meta.h"
#include "apiserver/resource.h"
#include "base/strings.h"
#include "doc/yaml.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kPrefix = "pod-security.kubernetes.io/";
constexpr size_t kPodsMax = 3000;
constexpr Duration kCheckTime = std::chrono::seconds(1);
// Pods that are looked at before other requests have their turn.
constexpr size_t kTurn = 64;

/// What a namespace asks for.
struct Policies {
  PodSecurityPolicy enforce;
  PodSecurityPolicy audit;
  PodSecurityPolicy warn;
  bool operator==(const Policies&) const = default;
};

struct Read {
  Policies policies;
  std::vector<StatusCause> errors;
};

bool IsPrivileged(const PodSecurityPolicy& policy) { return policy.level == PodSecurityLevel::kPrivileged; }
bool AllPrivileged(const Policies& p) {
  return IsPrivileged(p.enforce) && IsPrivileged(p.audit) && IsPrivileged(p.warn);
}

/// One label; what it says when it is readable, `otherwise` when it is not.
template <typename T>
bool ReadLabel(const Value& labels, std::string_view name, Result<T> (*parse)(std::string_view), T otherwise, T& out,
               std::vector<StatusCause>& errors) {
  const std::string key = std::string(kPrefix) + std::string(name);
  const Value* label = labels.Find(key);
  if (label == nullptr) return false;
  const Result<T> parsed = parse(label->AsString());
  out = parsed.ok() ? *parsed : otherwise;
  if (!parsed.ok()) {
    errors.push_back({"FieldValueInvalid",
                      fmt::format("Invalid value: {}: {}", GoQuote(label->AsString()), parsed.status().message()),
                      fmt::format("metadata.labels[{}]", key)});
  }
  return true;
}

// What can't be read is taken for strict where it is enforced, and for nothing where it only warns.
Read ReadPolicies(const Value& labels, const Policies& defaults) {
  using Level = PodSecurityLevel;
  Read out{defaults, {}};
  Policies& p = out.policies;
  if (labels.empty()) return out;
  constexpr int kLatest = PodSecurityPolicy::kLatest;
  const auto level = ParsePodSecurityLevel;
  const auto version = ParsePodSecurityVersion;
  const bool enforces =
      ReadLabel<Level>(labels, "enforce", level, Level::kRestricted, p.enforce.level, out.errors) && out.errors.empty();
  ReadLabel<int>(labels, "enforce-version", version, kLatest, p.enforce.minor, out.errors);
  ReadLabel<Level>(labels, "audit", level, Level::kPrivileged, p.audit.level, out.errors);
  ReadLabel<int>(labels, "audit-version", version, kLatest, p.audit.minor, out.errors);
  const bool warns = ReadLabel<Level>(labels, "warn", level, Level::kPrivileged, p.warn.level, out.errors);
  const bool warn_version = ReadLabel<int>(labels, "warn-version", version, kLatest, p.warn.minor, out.errors);
  if (!warns && enforces && p.enforce.level > p.warn.level) {
    p.warn.level = p.enforce.level;
    if (!warn_version) p.warn.minor = p.enforce.minor;
  }
  return out;
}

std::string ErrorsText(const std::vector<StatusCause>& errors) {
  std::vector<std::string> texts;
  for (const StatusCause& each : errors) texts.push_back(fmt::format("{}: {}", each.field, each.message));
  return AggregateText(texts);
}

struct Configuration {
  Policies defaults;
  std::vector<std::string> users;
  std::vector<std::string> namespaces;
  std::vector<std::string> runtime_classes;
};

bool Has(const std::vector<std::string>& list, std::string_view item) {
  return !item.empty() && std::ranges::find(list, item) != list.end();
}

Result<Configuration> ReadConfiguration(const std::string& text) {
  const doc::YamlDocument parsed = TRY(doc::ParseYaml(text));
  const Value& root = parsed.document.root;
  if (root.At("kind").AsString() != "PodSecurityConfiguration" ||
      !root.At("apiVersion").AsString().starts_with("pod-security.admission.config.k8s.io/")) {
    return BadRequest(fmt::format("no kind {} is registered for version {}", GoQuote(root.At("kind").AsString()),
                                  GoQuote(root.At("apiVersion").AsString())));
  }
  Configuration out;
  const Value& defaults = root.At("defaults");
  for (const auto& [mode, policy] : {std::pair("enforce", &out.defaults.enforce),
                                     std::pair("audit", &out.defaults.audit), std::pair("warn", &out.defaults.warn)}) {
    const std::string field = fmt::format("defaults.{}", mode);
    const std::string_view level = defaults.At(mode).AsString("privileged");
    const std::string_view version = defaults.At(fmt::format("{}-version", mode)).AsString("latest");
    policy->level = TRY(ParsePodSecurityLevel(level).Context(field));
    policy->minor = TRY(ParsePodSecurityVersion(version).Context(field + "-version"));
  }
  const Value& exempt = root.At("exemptions");
  for (const auto& [member, list] : {std::pair("usernames", &out.users), std::pair("namespaces", &out.namespaces),
                                     std::pair("runtimeClasses", &out.runtime_classes)}) {
    for (const Value& item : exempt.At(member).items()) list->emplace_back(item.AsString());
  }
  return out;
}

/// The pod that an object of a kind makes; nulls for what makes none.
struct PodView {
  const Value* metadata = nullptr;
  const Value* spec = nullptr;
};
PodView PodOf(const AdmissionRequest& request) {
  const Value& root = request.root();
  const auto of_template = [](const Value& pod_template) -> PodView {
    if (pod_template.is_null()) return {};
    return {&pod_template.At("metadata"), &pod_template.At("spec")};
  };
  if (request.IsFor("", "pods")) return {&root.At("metadata"), &root.At("spec")};
  if (request.IsFor("", "podtemplates")) return of_template(root.At("template"));
  if (request.IsFor("batch", "cronjobs")) return of_template(root.Get("spec", "jobTemplate", "spec", "template"));
  return of_template(root.Get("spec", "template"));
}

bool MakesPods(const AdmissionRequest& request) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kKinds = {{
      {"", "pods"},
      {"", "replicationcontrollers"},
      {"", "podtemplates"},
      {"apps", "replicasets"},
      {"apps", "deployments"},
      {"apps", "statefulsets"},
      {"apps", "daemonsets"},
      {"batch", "jobs"},
      {"batch", "cronjobs"},
  }};
  return std::ranges::any_of(kKinds, [&](const auto& kind) { return request.IsFor(kind.first, kind.second); });
}

bool SameImages(const Value& containers, const Value& old_containers) {
  const auto now = containers.items();
  const auto before = old_containers.items();
  return std::ranges::equal(now, before,
                            [](const Value& a, const Value& b) { return a.At("image").Equals(b.At("image")); });
}

// Of what may change in a pod, only new images and new ephemeral containers matter.
bool IsSignificant(const Value& spec, const Value& old) {
  if (!SameImages(spec.At("containers"), old.At("containers"))) return true;
  if (!SameImages(spec.At("initContainers"), old.At("initContainers"))) return true;
  for (const Value& container : spec.At("ephemeralContainers").items()) {
    const auto before = old.At("ephemeralContainers").items();
    const bool same = std::ranges::any_of(before, [&](const Value& each) {
      return each.At("name").Equals(container.At("name")) && each.At("image").Equals(container.At("image"));
    });
    if (!same) return true;
  }
  return false;
}

void Note(const AdmissionRequest& request, std::string_view key, std::string value) {
  request.Annotate(std::string(kPrefix) + std::string(key), std::move(value));
}

/// How many pods break the new rules in the same way, and the first of them by name.
struct SamePods {
  std::string first;
  size_t count = 0;
};

std::vector<std::string> SamePodsTexts(const std::map<std::string, SamePods>& found) {
  std::vector<std::string> out;
  for (const auto& [reasons, pods] : found) {
    std::string text = pods.first;
    if (pods.count == 2) text += " (and 1 other pod)";
    if (pods.count > 2) text += fmt::format(" (and {} other pods)", pods.count - 1);
    out.push_back(fmt::format("{}: {}", text, reasons));
  }
  std::ranges::sort(out);
  return out;
}

/// What a namespace's labels allow its pods: refused, warned of, or noted in the audit.
class PodSecurity : public AdmissionPlugin {
 public:
  explicit PodSecurity(Configuration configuration) : configuration_(std::move(configuration)) {}

  Ok Validate(const AdmissionRequest& request) const override {
    if (request.object == nullptr || request.operation == AdmissionOperation::kConnect) return {};
    if (request.IsFor("", "namespaces")) return ValidateNamespace(request);
    if (!MakesPods(request)) return {};
    return ValidatePods(request, request.IsFor("", "pods"));
  }

 private:
  Ok ValidatePods(const AdmissionRequest& request, bool is_pod) const {
    constexpr std::array<std::string_view, 8> kIgnored = {"exec", "attach",      "binding", "eviction",
                                                          "log",  "portforward", "proxy",   "status"};
    const bool ignored =
        is_pod ? std::ranges::find(kIgnored, request.subresource) != kIgnored.end() : !request.subresource.empty();
    if (ignored) return {};
    if (Has(configuration_.namespaces, request.ns)) return Exempt(request, "namespace");
    if (Has(configuration_.users, request.context.user.name)) return Exempt(request, "user");
    const api::ObjectPtr space = request.Find("", "namespaces", "", request.ns);
    if (space == nullptr) {
      if (is_pod) return Internal(fmt::format("failed to lookup namespace {}", GoQuote(request.ns)));
      return {};
    }
    const Read read = ReadPolicies(space->tree().Get("metadata", "labels"), configuration_.defaults);
    const Policies& p = read.policies;
    if (read.errors.empty() && is_pod && AllPrivileged(p)) {
      Note(request, "enforce-policy", PodSecurityPolicy().Text());
      return {};
    }
    if (read.errors.empty() && !is_pod && IsPrivileged(p.warn) && IsPrivileged(p.audit)) return {};
    if (is_pod && request.old_object != nullptr &&
        !IsSignificant(request.root().At("spec"), request.old_object->At("spec"))) {
      return {};
    }
    const PodView pod = PodOf(request);
    if (pod.spec == nullptr) return {};
    if (Has(configuration_.runtime_classes, pod.spec->At("runtimeClassName").AsString())) {
      return Exempt(request, "runtimeClass");
    }
    return Evaluate(request, read, pod, is_pod);
  }

  static Ok Exempt(const AdmissionRequest& request, std::string_view why) {
    Note(request, "exempt", std::string(why));
    return {};
  }

  static Ok Evaluate(const AdmissionRequest& request, const Read& read, const PodView& pod, bool enforce) {
    const Policies& p = read.policies;
    if (!read.errors.empty()) Note(request, "error", "Failed to parse policy: " + ErrorsText(read.errors));
    const auto check = [&](const PodSecurityPolicy& policy) {
      return CheckPodSecurity(policy, *pod.metadata, *pod.spec);
    };
    const auto text = [](const PodSecurityPolicy& policy, const std::vector<PodSecurityViolation>& found) {
      return fmt::format("violate PodSecurity \"{}\": {}", policy.Text(), ViolationDetails(found));
    };
    std::vector<PodSecurityViolation> refused;
    if (enforce) {
      Note(request, "enforce-policy", p.enforce.Text());
      refused = check(p.enforce);
    }
    const auto audited = enforce && p.audit == p.enforce ? refused : check(p.audit);
    if (!audited.empty()) Note(request, "audit-violations", "would " + text(p.audit, audited));
    if (!refused.empty()) {
      return ForbiddenError(
          ResourceOf(request.kind), request.name,
          fmt::format("violates PodSecurity \"{}\": {}", p.enforce.Text(), ViolationDetails(refused)));
    }
    const auto warned = p.warn == p.audit ? audited : check(p.warn);
    if (!warned.empty()) request.Warn("would " + text(p.warn, warned));
    return {};
  }

  Ok ValidateNamespace(const AdmissionRequest& request) const {
    if (!request.subresource.empty()) return {};
    const Value& labels = request.root().Get("metadata", "labels");
    const Read fresh = ReadPolicies(labels, configuration_.defaults);
    const std::string name(NameOf(request.root()));
    const bool exempt = Has(configuration_.namespaces, name);
    if (request.operation == AdmissionOperation::kCreate) {
      if (!fresh.errors.empty()) return InvalidError(request.kind, name, fresh.errors);
      if (exempt) WarnExempt(request, name, fresh.policies, labels);
      return {};
    }
    const Read before = ReadPolicies(request.old_object->Get("metadata", "labels"), configuration_.defaults);
    if (!fresh.errors.empty() && fresh.errors != before.errors) return InvalidError(request.kind, name, fresh.errors);
    const PodSecurityPolicy& now = fresh.policies.enforce;
    const PodSecurityPolicy& was = before.policies.enforce;
    if (now == was || IsPrivileged(now) || (now.minor == was.minor && now.level <= was.level)) return {};
    if (exempt) {
      WarnExempt(request, name, fresh.policies, labels);
    } else {
      WarnOfPods(request, name, now);
    }
    return {};
  }

  void WarnExempt(const AdmissionRequest& request, std::string_view name, const Policies& p,
                  const Value& labels) const {
    if (AllPrivileged(p) || p == configuration_.defaults) return;
    std::vector<std::string> modes;
    for (const auto& [mode, policy] :
         {std::pair("enforce", &p.enforce), std::pair("audit", &p.audit), std::pair("warn", &p.warn)}) {
      const bool set = labels.Find(fmt::format("{}{}", kPrefix, mode)) != nullptr ||
                       labels.Find(fmt::format("{}{}-version", kPrefix, mode)) != nullptr;
      if (set && !IsPrivileged(*policy)) modes.push_back(fmt::format("{}={}", mode, policy->Text()));
    }
    request.Warn(fmt::format("namespace {} is exempt from Pod Security, and the policy ({}) will be ignored",
                             GoQuote(name), fmt::join(modes, ", ")));
  }

  /// The namespace's pods, those of one owner but the first behind all others.
  std::vector<api::ObjectPtr> PodsByPriority(const AdmissionRequest& request, std::string_view name) const {
    std::vector<api::ObjectPtr> first;
    std::vector<api::ObjectPtr> behind;
    std::set<std::string, std::less<>> owners;
    size_t read = 0;
    const std::string prefix = StorePrefix("", "pods") + std::string(name) + "/";
    request.snapshot->Visit(prefix, "", [&](std::string_view, const store::Bytes& bytes, store::Revision) {
      if (++read % kTurn == 0) request.context.runtime.Yield();
      api::ObjectPtr pod = api::Object::FromBytes(bytes);
      if (Has(configuration_.runtime_classes, pod->tree().Get("spec", "runtimeClassName").AsString())) return true;
      bool again = false;
      for (const Value& owner : pod->tree().Get("metadata", "ownerReferences").items()) {
        if (owner.At("controller").AsBool()) again = !owners.emplace(owner.At("uid").AsString()).second;
      }
      (again ? behind : first).push_back(std::move(pod));
      return true;
    });
    first.insert(first.end(), behind.begin(), behind.end());
    return first;
  }

  void WarnOfPods(const AdmissionRequest& request, const std::string& name, const PodSecurityPolicy& policy) const {
    const std::vector<api::ObjectPtr> pods = PodsByPriority(request, name);
    rt::Runtime& runtime = request.context.runtime;
    const MonoTime until = runtime.Mono() + kCheckTime;
    std::map<std::string, SamePods> found;
    size_t checked = 0;
    for (const api::ObjectPtr& pod : pods) {
      if (checked == kPodsMax || runtime.Mono() > until) break;
      if (++checked % kTurn == 0) runtime.Yield();
      const auto violations = CheckPodSecurity(policy, pod->tree().At("metadata"), pod->tree().At("spec"));
      if (violations.empty()) continue;
      SamePods& same = found[ViolationReasons(violations)];
      if (same.count == 0 || pod->name() < same.first) same.first = pod->name();
      ++same.count;
    }
    if (checked < pods.size()) {
      request.Warn(fmt::format("new PodSecurity enforce level only checked against the first {} of {} existing pods",
                               checked, pods.size()));
    }
    if (found.empty()) return;
    request.Warn(fmt::format("existing pods in namespace {} violate the new PodSecurity enforce level \"{}\"",
                             GoQuote(name), policy.Text()));
    for (std::string& text : SamePodsTexts(found)) request.Warn(std::move(text));
  }

  const Configuration configuration_;
};

}  // namespace

Result<std::unique_ptr<AdmissionPlugin>> MakePodSecurity(const AdmissionOptions& options) {
  Configuration configuration;
  const auto own = options.configuration.find("PodSecurity");
  if (own != options.configuration.end()) configuration = TRY(ReadConfiguration(own->second));
  return std::unique_ptr<AdmissionPlugin>(std::make_unique<PodSecurity>(std::move(configuration)));
}

}  // namespace knarr::apiserver
