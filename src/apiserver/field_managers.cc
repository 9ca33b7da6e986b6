#include "apiserver/field_managers.h"

#include <algorithm>
#include <array>

#include "apiserver/strategy.h"
#include "base/log.h"
#include "base/unicode.h"

namespace knarr::apiserver {
namespace {

using api::managed::ResetFields;
using doc::Value;

constexpr size_t kManagerBytesMax = 128;

constexpr std::string_view kStatus = R"({"f:status":{}})";
constexpr std::string_view kSpec = R"({"f:spec":{}})";
constexpr std::string_view kSpecAndMetadata = R"({"f:metadata":{},"f:spec":{}})";

struct ResetRow {
  std::string_view group;
  std::string_view kind;
  std::string_view subresource;
  ResetFields resets;
};

// Where it is not the status that the object keeps to itself, and the spec that its status does.
constexpr std::array kRows = std::to_array<ResetRow>({
    {"", "Namespace", "finalize", {kStatus}},
    {"", "Pod", "status", {R"({"f:metadata":{"f:deletionTimestamp":{},"f:ownerReferences":{}},"f:spec":{}})"}},
    {"", "Pod", "ephemeralcontainers", {"{}", R"({"f:spec":{"f:ephemeralContainers":{}}})"}},
    {"",
     "Pod",
     "resize",
     {"{}", R"({"f:spec":{"f:containers":{"*":{"f:resources":{},"f:resizePolicy":{}}},)"
            R"("f:initContainers":{"*":{"f:resources":{},"f:resizePolicy":{}}}}})"}},
    {"apps", "Deployment", "status", {R"({"f:metadata":{"f:labels":{}},"f:spec":{}})"}},
    {"certificates.k8s.io", "CertificateSigningRequest", "", {R"({"f:spec":{},"f:status":{}})"}},
    {"certificates.k8s.io", "CertificateSigningRequest", "status", {R"({"f:spec":{},"f:status":{"f:conditions":{}}})"}},
    {"certificates.k8s.io",
     "CertificateSigningRequest",
     "approval",
     {R"({"f:spec":{},"f:status":{"f:certificate":{}}})"}},
    {"admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "status", {kSpecAndMetadata}},
    {"apiregistration.k8s.io", "APIService", "status", {kSpecAndMetadata}},
    {"flowcontrol.apiserver.k8s.io", "FlowSchema", "status", {kSpecAndMetadata}},
    {"flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", "status", {kSpecAndMetadata}},
    {"networking.k8s.io", "ServiceCIDR", "status", {kSpecAndMetadata}},
    {"resource.k8s.io", "ResourceClaim", "status", {kSpecAndMetadata}},
    {"storage.k8s.io", "VolumeAttachment", "status", {kSpecAndMetadata}},
});

bool EqualBut(const Value& a, const Value& b, std::initializer_list<std::string_view> ignored) {
  const auto counts = [&](const doc::Member& member) {
    return std::ranges::find(ignored, member.key) == ignored.end();
  };
  const auto has = [&](const doc::Member& member) {
    const Value* other = b.Find(member.key);
    return !counts(member) || (other != nullptr && other->Equals(member.value));
  };
  return std::ranges::count_if(a.members(), counts) == std::ranges::count_if(b.members(), counts) &&
         std::ranges::all_of(a.members(), has);
}

}  // namespace

ResetFields ResetFieldsOf(const api::KindInfo& kind, std::string_view subresource) {
  for (const ResetRow& row : kRows) {
    if (row.kind == kind.kind && row.group == kind.group && row.subresource == subresource) return row.resets;
  }
  if (subresource == "status") return {kSpec};
  return {subresource.empty() && kind.has_status ? kStatus : "{}"};
}

std::string ManagerOfAgent(std::string_view user_agent) {
  std::string_view rest = user_agent.substr(0, user_agent.find('/'));
  std::string out;
  while (!rest.empty()) {
    const DecodedRune rune = DecodeRune(rest);
    std::string text;
    AppendRune(text, rune.rune);
    rest.remove_prefix(rune.length);
    if (!IsPrintable(rune.rune)) continue;
    if (out.size() + text.size() > kManagerBytesMax) break;
    out += text;
  }
  return out;
}

void TrackFields(const RequestContext& context, const api::managed::FieldManager& fields, const Value& live,
                 doc::Document& object, std::string_view manager) {
  const Ok tracked = fields.Update(live, object, manager, context.runtime.Wall());
  if (tracked.ok()) return;
  LOG_WARN("an object is written without managedFields", {"kind", fields.kind().kind},
           {"name", object.root.Get("metadata", "name").AsString()}, {"why", tracked.status()});
}

void ForgetManagers(doc::Document& object) {
  const Value nobody = Value::Object();
  Metadata(object).Set(object.arena, "managedFields", Value::ArrayOf(object.arena, {&nobody, 1}));
}

void KeepTimes(doc::Document& object, const Value& old) {
  const Value& now = object.root.Get("metadata", "managedFields");
  const Value& before = old.Get("metadata", "managedFields");
  if (now.size() != before.size() || now.empty()) return;
  bool times_differ = false;
  for (size_t i = 0; i < now.size(); ++i) {
    if (!now[i].At("time").Equals(before[i].At("time"))) times_differ = true;
    if (!EqualBut(now[i], before[i], {"time"})) return;
  }
  if (!times_differ || !EqualBut(object.root, old, {"metadata"}) ||
      !EqualBut(object.root.At("metadata"), old.At("metadata"), {"managedFields", "resourceVersion"})) {
    return;
  }
  KeepMetadata(object, old, "managedFields");
}

}  // namespace knarr::apiserver
