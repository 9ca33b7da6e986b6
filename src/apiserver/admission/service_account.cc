#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apiserver/admission/plugins.h"
#include "apiserver/admission/pod_references.h"
#include "apiserver/errors.h"
#include "apiserver/local.h"
#include "base/random_name.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

using doc::Arena;
using doc::Value;
using Names = std::set<std::string_view, std::less<>>;

constexpr std::string_view kDefault = "default";
constexpr std::string_view kTokenVolume = "kube-api-access-";
constexpr std::string_view kTokenPath = "/var/run/secrets/kubernetes.io/serviceaccount";
constexpr std::string_view kMirror = "kubernetes.io/config.mirror";
constexpr std::string_view kEnforceMountable = "kubernetes.io/enforce-mountable-secrets";
// An hour, and seven seconds by which the token of a volume that nobody asked for is told from others.
constexpr int64_t kTokenSeconds = 3607;
constexpr int64_t kVolumeMode = 0644;
// A namespace's default account is made a moment after the namespace: a pod may come in between.
constexpr Duration kDefaultWait = std::chrono::seconds(1);
constexpr Duration kDefaultPoll = std::chrono::milliseconds(50);

bool IsMirror(const Value& pod) { return pod.Get("metadata", "annotations").Find(kMirror) != nullptr; }

Names NamesIn(const Value& references) {
  Names out;
  for (const Value& reference : references.items()) out.insert(reference.At("name").AsString());
  return out;
}

// What a container takes from secrets that its account does not list; "" when nothing.
std::string ForeignSecret(const Value& container, std::string_view what, const Names& own, std::string_view account) {
  const std::string_view name = container.At("name").AsString();
  for (const Value& variable : container.At("env").items()) {
    const Value& reference = variable.Get("valueFrom", "secretKeyRef");
    if (reference.is_null() || own.contains(reference.At("name").AsString())) continue;
    return fmt::format(
        "{} {} with envVar {} referencing secret.secretName=\"{}\" is not allowed because service account {} does not "
        "reference that secret",
        what, name, variable.At("name").AsString(), reference.At("name").AsString(), account);
  }
  for (const Value& source : container.At("envFrom").items()) {
    const Value& reference = source.At("secretRef");
    if (reference.is_null() || own.contains(reference.At("name").AsString())) continue;
    return fmt::format(
        "{} {} with envFrom referencing secret.secretName=\"{}\" is not allowed because service account {} does not "
        "reference that secret",
        what, name, reference.At("name").AsString(), account);
  }
  return {};
}

std::string ForeignSecretOfPod(const Value& spec, const Value& account) {
  const Names own = NamesIn(account.At("secrets"));
  const std::string_view account_name = account.Get("metadata", "name").AsString();
  for (const Value& volume : spec.At("volumes").items()) {
    if (volume.At("secret").is_null()) continue;
    const std::string_view name = volume.Get("secret", "secretName").AsString();
    if (own.contains(name)) continue;
    return fmt::format(
        "volume with secret.secretName=\"{}\" is not allowed because service account {} does not reference that secret",
        name, account_name);
  }
  for (const Value& container : spec.At("initContainers").items()) {
    std::string found = ForeignSecret(container, "init container", own, account_name);
    if (!found.empty()) return found;
  }
  for (const Value& container : spec.At("containers").items()) {
    std::string found = ForeignSecret(container, "container", own, account_name);
    if (!found.empty()) return found;
  }
  const Names pull = NamesIn(account.At("imagePullSecrets"));
  size_t index = 0;
  for (const Value& reference : spec.At("imagePullSecrets").items()) {
    const std::string_view name = reference.At("name").AsString();
    if (!pull.contains(name)) {
      return fmt::format(
          "imagePullSecrets[{}].name=\"{}\" is not allowed because service account {} does not reference that "
          "imagePullSecret",
          index, name, account_name);
    }
    ++index;
  }
  return {};
}

bool EnforcesMountable(const Value& account) {
  return ParseBool(account.Get("metadata", "annotations", kEnforceMountable).AsString()).value_or(false);
}

bool Automounts(const Value& account, const Value& spec) {
  const Value& own = spec.At("automountServiceAccountToken");
  return own.is_bool() ? own.AsBool() : account.At("automountServiceAccountToken").AsBool(true);
}

Value ObjectWith(Arena& arena, std::initializer_list<doc::Member> members) {
  return Value::ObjectOf(arena, std::span<const doc::Member>(members.begin(), members.size()));
}
Value ListWith(Arena& arena, std::initializer_list<Value> items) {
  return Value::ArrayOf(arena, std::span<const Value>(items.begin(), items.size()));
}

// A token that is renewed, the cluster's certificate authority, and the namespace's name.
Value TokenVolume(Arena& arena, std::string_view name) {
  const auto text = [](std::string_view literal) { return Value::Borrow(literal); };
  const Value token = ObjectWith(arena, {{"expirationSeconds", Value::Int(kTokenSeconds)}, {"path", text("token")}});
  const Value authority =
      ObjectWith(arena, {{"name", text("kube-root-ca.crt")},
                         {"items", ListWith(arena, {ObjectWith(arena, {{"key", text("ca.crt")},  //
                                                                       {"path", text("ca.crt")}})})}});
  const Value field = ObjectWith(arena, {{"apiVersion", text("v1")}, {"fieldPath", text("metadata.namespace")}});
  const Value downward = ObjectWith(
      arena, {{"items", ListWith(arena, {ObjectWith(arena, {{"path", text("namespace")}, {"fieldRef", field}})})}});
  const Value sources =
      ListWith(arena, {ObjectWith(arena, {{"serviceAccountToken", token}}),
                       ObjectWith(arena, {{"configMap", authority}}), ObjectWith(arena, {{"downwardAPI", downward}})});
  const Value projected = ObjectWith(arena, {{"sources", sources}, {"defaultMode", Value::Int(kVolumeMode)}});
  return ObjectWith(arena, {{"name", Value::String(arena, name)}, {"projected", projected}});
}

// Mounts the volume in each container that has nothing at its path yet. Whether there was one.
bool MountToken(Arena& arena, Value& containers, std::string_view volume) {
  bool mounted = false;
  for (Value& container : containers.items()) {
    Value& mounts = container.Ensure(arena, "volumeMounts");
    const bool taken = std::ranges::any_of(std::as_const(mounts).items(), [](const Value& mount) {
      return mount.At("mountPath").AsString() == kTokenPath;
    });
    if (taken) continue;
    mounts.Append(arena, ObjectWith(arena, {{"name", Value::String(arena, volume)},
                                            {"readOnly", Value::Bool(true)},
                                            {"mountPath", Value::Borrow(kTokenPath)}}));
    mounted = true;
  }
  return mounted;
}

void AddToken(rt::Runtime& runtime, Arena& arena, Value& spec) {
  std::string name;
  for (const Value& volume : std::as_const(spec).At("volumes").items()) {
    if (volume.At("name").AsString().starts_with(kTokenVolume)) {
      name = volume.At("name").AsString();
      break;
    }
  }
  const bool present = !name.empty();
  if (!present) name = GenerateName(kTokenVolume, runtime.Random());
  bool needed = false;
  for (const std::string_view list : {"initContainers", "containers"}) {
    Value* containers = spec.Find(list);
    if (containers != nullptr && MountToken(arena, *containers, name)) needed = true;
  }
  if (!present && needed) spec.Ensure(arena, "volumes").Append(arena, TokenVolume(arena, name));
}

/// Every pod has an account: its token, its pull secrets, and what it may mount.
class ServiceAccountAdmission : public AdmissionPlugin {
 public:
  Ok Mutate(AdmissionRequest& request) const override {
    if (!ForPods(request) || request.operation != AdmissionOperation::kCreate) return {};
    doc::Document& object = *request.object;
    if (IsMirror(object.root)) return CheckMirror(request);
    Value& spec = object.root.Ensure(object.arena, "spec");
    if (!spec.is_object()) spec = Value::Object();
    std::string name(spec.At("serviceAccountName").AsString());
    // serviceAccount is the older name of the same field.
    if (name.empty()) name = spec.At("serviceAccount").AsString(kDefault);
    if (name.empty()) name = kDefault;
    spec.Set(object.arena, "serviceAccountName", Value::String(object.arena, name));
    spec.Set(object.arena, "serviceAccount", Value::String(object.arena, name));
    const api::ObjectPtr account = TRY(FindAccount(request, name));
    if (Automounts(account->tree(), spec)) AddToken(request.context.runtime, object.arena, spec);
    if (spec.At("imagePullSecrets").empty()) {
      const Value& secrets = account->tree().At("imagePullSecrets");
      if (!secrets.empty()) spec.Set(object.arena, "imagePullSecrets", secrets.Clone(object.arena));
    }
    return Check(request, account->tree());
  }

  Ok Validate(const AdmissionRequest& request) const override {
    if (!ForPods(request)) return {};
    const Value& spec = request.root().At("spec");
    const bool ephemeral = request.operation == AdmissionOperation::kUpdate && !request.subresource.empty();
    if (!ephemeral && request.operation != AdmissionOperation::kCreate) return {};
    if (!ephemeral && IsMirror(request.root())) return CheckMirror(request);
    const std::string name(spec.At("serviceAccountName").AsString());
    if (name.empty()) {
      return request.Forbidden(fmt::format("no service account specified for pod {}/{}", request.ns, request.name));
    }
    const api::ObjectPtr account = TRY(FindAccount(request, name));
    return ephemeral ? CheckEphemeral(request, account->tree()) : Check(request, account->tree());
  }

 private:
  static bool ForPods(const AdmissionRequest& request) {
    return request.IsFor("", "pods") && request.object != nullptr &&
           (request.subresource.empty() || request.subresource == "ephemeralcontainers");
  }

  static Ok CheckMirror(const AdmissionRequest& request) {
    const Value& spec = request.root().At("spec");
    if (!spec.At("serviceAccountName").AsString().empty()) {
      return request.Forbidden("a mirror pod may not reference service accounts");
    }
    if (UsesSecrets(spec)) return request.Forbidden("a mirror pod may not reference secrets");
    for (const Value& volume : spec.At("volumes").items()) {
      for (const Value& source : volume.Get("projected", "sources").items()) {
        if (source.At("serviceAccountToken").is_null()) continue;
        return request.Forbidden("a mirror pod may not use ServiceAccountToken volume projections");
      }
    }
    return {};
  }

  static Ok Check(const AdmissionRequest& request, const Value& account) {
    if (!EnforcesMountable(account)) return {};
    const std::string found = ForeignSecretOfPod(request.root().At("spec"), account);
    if (found.empty()) return {};
    return request.Forbidden(found);
  }

  static Ok CheckEphemeral(const AdmissionRequest& request, const Value& account) {
    if (!EnforcesMountable(account)) return {};
    const Names own = NamesIn(account.At("secrets"));
    for (const Value& container : request.root().Get("spec", "ephemeralContainers").items()) {
      const std::string found =
          ForeignSecret(container, "ephemeral container", own, account.Get("metadata", "name").AsString());
      if (!found.empty()) return request.Forbidden(found);
    }
    return {};
  }

  static Result<api::ObjectPtr> FindAccount(const AdmissionRequest& request, const std::string& name) {
    api::ObjectPtr found = request.Find("", "serviceaccounts", request.ns, name);
    if (found != nullptr) return found;
    rt::Runtime& runtime = request.context.runtime;
    const std::string key = fmt::format("/registry/core/serviceaccounts/{}/{}", request.ns, name);
    const MonoTime until = runtime.Mono() + (name == kDefault ? kDefaultWait : Duration(0));
    while (runtime.Mono() < until) {
      TRY(runtime.Sleep(kDefaultPoll));
      const auto made = request.context.local.store().Latest()->Get(key);
      if (made.has_value()) return api::Object::FromBytes(made->value);
    }
    return request.Forbidden(
        fmt::format("error looking up service account {}/{}: serviceaccount \"{}\" not found", request.ns, name, name));
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> MakeServiceAccountAdmission() { return std::make_unique<ServiceAccountAdmission>(); }

}  // namespace knarr::apiserver
