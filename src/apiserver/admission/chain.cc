#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "apiserver/admission/plugins.h"
#include "apiserver/audit/event.h"
#include "apiserver/errors.h"
#include "apiserver/local.h"
#include "apiserver/object_meta.h"
#include "apiserver/resource.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

using MadePlugin = Result<std::unique_ptr<AdmissionPlugin>>;
using MakePlugin = MadePlugin (*)(const AdmissionOptions& options);

struct PluginEntry {
  std::string_view name;
  MakePlugin make;
  bool on;  ///< unless a flag says otherwise
};

/// A constructor that needs no options.
template <std::unique_ptr<AdmissionPlugin> (*kMake)()>
MadePlugin Plain(const AdmissionOptions& /*options*/) {
  return kMake();
}

// In upstream's recommended order. What is to come there: webhooks and policies stand before ResourceQuota, so that
// what is charged is what they leave.
constexpr PluginEntry kPlugins[] = {
    {"NamespaceLifecycle", Plain<MakeNamespaceLifecycle>, true},
    {"LimitRanger", Plain<MakeLimitRanger>, true},
    {"ServiceAccount", Plain<MakeServiceAccountAdmission>, true},
    // Off upstream unless asked for, which every installer does.
    {"NodeRestriction", Plain<MakeNodeRestriction>, true},
    {"TaintNodesByCondition", Plain<MakeTaintNodesByCondition>, true},
    {"PodSecurity", MakePodSecurity, true},
    {"Priority", Plain<MakePriorityAdmission>, true},
    {"DefaultTolerationSeconds", MakeDefaultTolerationSeconds, true},
    {"DefaultStorageClass", Plain<MakeDefaultStorageClass>, true},
    {"StorageObjectInUseProtection", Plain<MakeStorageObjectInUse>, true},
    {"PersistentVolumeClaimResize", Plain<MakeClaimResize>, true},
    {"RuntimeClass", Plain<MakeRuntimeClassAdmission>, true},
    {"CertificateApproval", Plain<MakeCertificateApproval>, true},
    {"CertificateSigning", Plain<MakeCertificateSigning>, true},
    {"CertificateSubjectRestriction", Plain<MakeCertificateSubjectRestriction>, true},
    {"DefaultIngressClass", Plain<MakeDefaultIngressClass>, true},
    {"PodTopologyLabels", Plain<MakePodTopologyLabels>, true},
    {"PodResizeValidator", Plain<MakePodResizeValidator>, true},
    {"ResourceQuota", MakeResourceQuotaAdmission, true},
};

Ok CheckNames(const std::vector<std::string>& names, std::string_view flag) {
  for (const std::string& name : names) {
    const bool known = std::ranges::any_of(kPlugins, [&](const PluginEntry& entry) { return entry.name == name; });
    if (!known) return BadRequest(fmt::format("{} plugin {} is unknown", flag, GoQuote(name)));
  }
  return {};
}

std::string KeyOf(std::string_view group, std::string_view plural, std::string_view ns, std::string_view name) {
  std::string key = StorePrefix(group, plural);
  if (!ns.empty()) key.append(ns).append("/");
  return key.append(name);
}

bool Contains(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

std::string_view OperationText(AdmissionOperation operation) {
  static constexpr std::array<std::string_view, 4> kTexts = {"CREATE", "UPDATE", "DELETE", "CONNECT"};
  return kTexts[static_cast<size_t>(operation)];
}

api::ObjectPtr AdmissionRequest::Find(std::string_view group, std::string_view plural, std::string_view object_ns,
                                      std::string_view object_name) const {
  return context.local.objects().Get(*snapshot, KeyOf(group, plural, object_ns, object_name));
}

api::ObjectPtr AdmissionRequest::Read(std::string_view group, std::string_view plural, std::string_view object_ns,
                                      std::string_view object_name) const {
  const auto found = snapshot->Get(KeyOf(group, plural, object_ns, object_name));
  return found.has_value() ? api::Object::FromBytes(found->value) : nullptr;
}

std::vector<api::ObjectPtr> AdmissionRequest::List(std::string_view group, std::string_view plural,
                                                   std::string_view object_ns) const {
  std::string prefix = StorePrefix(group, plural);
  if (!object_ns.empty()) prefix.append(object_ns).append("/");
  return context.local.objects().List(*snapshot, prefix);
}

Status AdmissionRequest::Forbidden(std::string_view why) const {
  std::string_view own = name;
  if (own.empty() && object != nullptr) {
    own = NameOf(object->root);
    if (own.empty()) own = root().Get("metadata", "generateName").AsString();
    if (own.empty()) own = "Unknown";
  }
  return ForbiddenError(ResourceOf(kind), own.empty() ? std::string_view("Unknown") : own, why);
}

void AdmissionRequest::Annotate(std::string key, std::string value) const {
  if (context.audit != nullptr) context.audit->Annotate(std::move(key), std::move(value));
}

Result<std::unique_ptr<AdmissionChain>> AdmissionChain::Create(const AdmissionOptions& options) {
  TRY(CheckNames(options.disable, "disable-admission-plugins"));
  TRY(CheckNames(options.enable, "enable-admission-plugins"));
  for (const std::string& name : options.enable) {
    if (!Contains(options.disable, name)) continue;
    return BadRequest(fmt::format("[{}] in enable-admission-plugins and disable-admission-plugins overlapped", name));
  }
  auto chain = std::make_unique<AdmissionChain>();
  for (const PluginEntry& entry : kPlugins) {
    if (Contains(options.disable, entry.name) || !(entry.on || Contains(options.enable, entry.name))) continue;
    chain->names_.push_back(entry.name);
    chain->plugins_.push_back(TRY(entry.make(options).Context(std::string(entry.name))));
  }
  return chain;
}

Ok AdmissionChain::Mutate(AdmissionRequest& request) const {
  for (const auto& plugin : plugins_) TRY(plugin->Mutate(request));
  return {};
}

Ok AdmissionChain::Validate(const AdmissionRequest& request) const {
  for (const auto& plugin : plugins_) TRY(plugin->Validate(request));
  return {};
}

Ok AdmissionChain::Charge(const AdmissionRequest& request, const store::Store& store,
                          std::vector<SideWrite>& out) const {
  for (const auto& plugin : plugins_) TRY(plugin->Charge(request, store, out));
  return {};
}

}  // namespace knarr::apiserver
