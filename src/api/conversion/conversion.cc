#include "api/conversion/conversion.h"

#include <algorithm>
#include <iterator>

#include "api/autoscaling_v1.h"
#include "api/autoscaling_v2.h"
#include "api/codec.h"
#include "api/conversion/rules.h"
#include "api/core_v1.h"
#include "api/events_v1.h"

namespace knarr::api {
namespace conversion {
namespace {

using doc::Value;

// What the two kinds of Events call differently; everything else has one name in both.
constexpr struct {
  std::string_view core;
  std::string_view events;
} kEventNames[] = {
    {"involvedObject", "regarding"},
    {"message", "note"},
    {"source", "deprecatedSource"},
    {"firstTimestamp", "deprecatedFirstTimestamp"},
    {"lastTimestamp", "deprecatedLastTimestamp"},
    {"count", "deprecatedCount"},
    {"reportingComponent", "reportingController"},
};

void CopyRenamed(const Value& from, doc::Document& to, bool to_core) {
  for (const doc::Member& member : from.members()) {
    if (member.key == "apiVersion" || member.key == "kind") continue;
    const auto* names = std::ranges::find_if(
        kEventNames, [&](const auto& pair) { return (to_core ? pair.events : pair.core) == member.key; });
    const bool same = names == std::end(kEventNames);
    const std::string_view name = same ? member.key : to_core ? names->core : names->events;
    to.root.SetCopy(to.arena, name, member.value.Clone(to.arena));
  }
}
void EventToCore(const Value& from, doc::Document& to) { CopyRenamed(from, to, true); }
void EventFromCore(const Value& from, doc::Document& to) { CopyRenamed(from, to, false); }

struct Conversion {
  const KindInfo& (*from)();
  const KindInfo& (*to)();
  Rule rule;
};

// The first of each pair turns a kind into the one it is stored as.
constexpr Conversion kConversions[] = {
    {autoscaling_v1::HorizontalPodAutoscalerInfo, autoscaling_v2::HorizontalPodAutoscalerInfo, AutoscalerV1ToV2},
    {autoscaling_v2::HorizontalPodAutoscalerInfo, autoscaling_v1::HorizontalPodAutoscalerInfo, AutoscalerV2ToV1},
    {events_v1::EventInfo, core_v1::EventInfo, EventToCore},
    {core_v1::EventInfo, events_v1::EventInfo, EventFromCore},
};

}  // namespace
}  // namespace conversion

using doc::Value;

const KindInfo& StorageKind(const KindInfo& kind) {
  if (&kind == &autoscaling_v1::HorizontalPodAutoscalerInfo()) return autoscaling_v2::HorizontalPodAutoscalerInfo();
  if (&kind == &events_v1::EventInfo()) return core_v1::EventInfo();
  return kind;
}

Result<doc::Document> ConvertKind(const Value& object, const KindInfo& from, const KindInfo& to) {
  if (&from == &to) return doc::Document::Copy(object);
  const auto* found = std::ranges::find_if(
      conversion::kConversions, [&](const auto& entry) { return &entry.from() == &from && &entry.to() == &to; });
  CHECK(found != std::end(conversion::kConversions));
  doc::Document out;
  out.root = Value::Object();
  out.root.Reserve(out.arena, to.type->flat.size());
  out.root.Set(out.arena, "kind", Value::Borrow(to.kind));
  out.root.Set(out.arena, "apiVersion", Value::Borrow(to.api_version));
  found->rule(object, out);
  TRY(Canonicalize(*to.type, out.root, out.arena));
  return out;
}

std::string_view StoredFieldLabel(const KindInfo& kind, std::string_view label) {
  if (&kind == &core_v1::PodInfo()) return label == "spec.host" ? "spec.nodeName" : label;
  if (&kind != &events_v1::EventInfo()) return label;
  static constexpr struct {
    std::string_view label;
    std::string_view stored;
  } kLabels[] = {
      {"regarding.kind", "involvedObject.kind"},
      {"regarding.namespace", "involvedObject.namespace"},
      {"regarding.name", "involvedObject.name"},
      {"regarding.uid", "involvedObject.uid"},
      {"regarding.apiVersion", "involvedObject.apiVersion"},
      {"regarding.resourceVersion", "involvedObject.resourceVersion"},
      {"regarding.fieldPath", "involvedObject.fieldPath"},
      {"reportingController", "reportingComponent"},
  };
  const auto* found = std::ranges::find_if(kLabels, [label](const auto& entry) { return entry.label == label; });
  return found == std::end(kLabels) ? label : found->stored;
}

}  // namespace knarr::api
