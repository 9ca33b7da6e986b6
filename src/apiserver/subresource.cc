#include "apiserver/subresource.h"

#include <algorithm>

#include "apiserver/field_managers.h"
#include "apiserver/scale.h"

namespace knarr::apiserver {
namespace {

using doc::Document;
using doc::Value;

// All of what is written counts, but for the status.
Result<Document> MergeFinalize(const api::KindInfo& /*kind*/, const Value& object, const Value& view) {
  Document out = Document::Copy(view);
  KeepMember(out, object, "status");
  return out;
}

const api::KindInfo& ScaleKind() {
  static const api::KindInfo* const kKind = api::FindKind("autoscaling/v1", "Scale");
  CHECK(kKind != nullptr);
  return *kKind;
}

bool Has(const api::KindInfo& kind, std::string_view name) {
  return std::ranges::find(kind.subresources, name) != kind.subresources.end();
}

// The views, each made once for a kind and kept: there are as many as kinds have subresources.
struct ViewTable {
  std::vector<std::pair<const api::KindInfo*, Subresource>> views;
  ViewTable() {
    for (const api::KindInfo& kind : api::AllKinds()) {
      Add(kind, {"", &kind, Target::kObject, true, true});
      if (Has(kind, "status")) Add(kind, {"status", &kind, Target::kStatus, true, true});
      if (Has(kind, "scale")) {
        Add(kind, {"scale", &ScaleKind(), Target::kSpecial, true, true, ProjectScale, MergeScale});
      }
      if (Has(kind, "approval")) {
        Add(kind, {"approval", &kind, Target::kSpecial, true, true});
      }
      if (Has(kind, "ephemeralcontainers")) {
        Add(kind, {"ephemeralcontainers", &kind, Target::kEphemeralContainers, true, true});
      }
      if (Has(kind, "resize")) {
        Add(kind, {"resize", &kind, Target::kResize, true, true});
      }
      if (Has(kind, "finalize")) {
        Add(kind, {"finalize", &kind, Target::kSpecial, false, true, nullptr, MergeFinalize});
      }
    }
  }
  void Add(const api::KindInfo& kind, Subresource view) {
    const bool whole = view.kind == &kind;
    view.fields = std::make_shared<const api::managed::FieldManager>(
        *view.kind, view.name, whole ? ResetFieldsOf(kind, view.name) : api::managed::ResetFields());
    views.push_back({&kind, std::move(view)});
  }
};

}  // namespace

const Subresource* FindSubresource(const api::KindInfo& kind, std::string_view name) {
  static const ViewTable kTable;
  for (const auto& [owner, view] : kTable.views) {
    if (owner == &kind && view.name == name) return &view;
  }
  return nullptr;
}

std::vector<ServedSubresource> ServedSubresources(const api::KindInfo& kind) {
  std::vector<ServedSubresource> out;
  const auto of = [](std::string_view api_version, std::string_view name) { return api::FindKind(api_version, name); };
  for (const std::string_view name : kind.subresources) {
    if (name == "status") out.push_back({name, &kind, {"get", "patch", "update"}});
    if (name == "scale") out.push_back({name, &ScaleKind(), {"get", "patch", "update"}});
    if (name == "approval") out.push_back({name, &kind, {"get", "patch", "update"}});
    if (name == "ephemeralcontainers" || name == "resize") out.push_back({name, &kind, {"get", "patch", "update"}});
    if (name == "finalize") out.push_back({name, &kind, {"update"}});
    if (name == "binding") out.push_back({name, of("v1", "Binding"), {"create"}});
    if (name == "eviction") out.push_back({name, of("policy/v1", "Eviction"), {"create"}});
    if (name == "token") out.push_back({name, of("authentication.k8s.io/v1", "TokenRequest"), {"create"}});
    if (name == "log") out.push_back({name, &kind, {"get"}});
    if (name == "exec") out.push_back({name, of("v1", "PodExecOptions"), {"create", "get"}});
    if (name == "attach") out.push_back({name, of("v1", "PodAttachOptions"), {"create", "get"}});
    if (name == "portforward") out.push_back({name, of("v1", "PodPortForwardOptions"), {"create", "get"}});
    if (name == "proxy") {
      out.push_back({name, of("v1", std::string(kind.kind) + "ProxyOptions"),
                     {"create", "delete", "get", "patch", "update"}});
    }
  }
  std::erase_if(out, [](const ServedSubresource& sub) { return sub.kind == nullptr; });
  return out;
}

}  // namespace knarr::apiserver
