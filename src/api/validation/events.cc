#include "api/validation/events.h"

#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

#include "api/validation/metadata.h"
#include "base/names.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

constexpr size_t kTextMax = 128;
constexpr size_t kNoteMax = 1024;
constexpr std::string_view kUnset = "needs to be unset";
constexpr std::string_view kForeign = "does not match event.namespace";

bool IsSet(const Value& time) { return !time.is_null(); }

// Upstream prints its own structs here, by its own names for their fields.
using Names = std::initializer_list<std::pair<std::string_view, std::string_view>>;
Value Internal(const Value& value, Names names, doc::Arena& arena) {
  if (value.is_null()) return {};
  Value out = Value::Object();
  for (const auto& [shown, member] : names) {
    out.AddMember(arena, shown, Value::Borrow(value.At(member).AsString()));
  }
  return out;
}

Value InternalReference(const Value& value, doc::Arena& arena) {
  return Internal(value,
                  {{"Kind", "kind"},
                   {"Namespace", "namespace"},
                   {"Name", "name"},
                   {"UID", "uid"},
                   {"APIVersion", "apiVersion"},
                   {"ResourceVersion", "resourceVersion"},
                   {"FieldPath", "fieldPath"}},
                  arena);
}

Value InternalSource(const Value& value, doc::Arena& arena) {
  return Internal(value.is_null() ? Value::Object() : value, {{"Component", "component"}, {"Host", "host"}}, arena);
}

void AtMost(const Path& path, std::string_view text, size_t most, Errors& errors) {
  if (text.size() > most) errors.Invalid(path, "", "can have at most " + std::to_string(most) + " characters");
}

// An event of the new kind: whoever reports it must say who and what.
void ValidateReport(const Value& event, std::string_view controller, Errors& errors) {
  const auto needed = [&](std::string_view name, std::string_view text, size_t most) {
    if (text.empty()) errors.Required(Path(name));
    AtMost(Path(name), text, most, errors);
  };
  const std::string_view reporter = event.At("reportingComponent").AsString();
  if (reporter.empty()) errors.Required(Path(controller));
  ValidateQualifiedName(reporter, Path(controller), errors);
  needed("reportingInstance", event.At("reportingInstance").AsString(), kTextMax);
  needed("action", event.At("action").AsString(), kTextMax);
  needed("reason", event.At("reason").AsString(), kTextMax);
  AtMost(Path("message"), event.At("message").AsString(), kNoteMax, errors);
}

void ValidateOldRules(const Value& event, std::string_view controller, Errors& errors) {
  const Path place = Path("involvedObject") / "namespace";
  const std::string_view ns = event.Get("metadata", "namespace").AsString();
  const std::string_view about = event.Get("involvedObject", "namespace").AsString();
  if (IsSet(event.At("eventTime"))) {
    if (about.empty() && ns != "default" && ns != "kube-system") errors.Invalid(place, about, kForeign);
    ValidateReport(event, controller, errors);
  } else if (about.empty() ? !ns.empty() && ns != "default" : ns != about) {
    errors.Invalid(place, about, kForeign);
  }
  errors.InvalidAll(Path("namespace"), ns, CheckDns1123Subdomain(ns));
}

void ValidateSeries(const Value& series, Errors& errors) {
  if (series.is_null()) return;
  if (series.At("count").AsInt() < 2) errors.Invalid(Path("series.count"), "", "should be at least 2");
  if (!IsSet(series.At("lastObservedTime"))) errors.Required(Path("series.lastObservedTime"));
}

}  // namespace

void ValidateEvent(const Value& object, Errors& errors) {
  ValidateOldRules(object, "reportingComponent", errors);
  // What holds of every kind, when nothing more exact has been said.
  if (errors.empty()) ValidateAnyMetadata(object.At("metadata"), true, NameIsPathSegment, MetadataPath(), errors);
}

void ValidateEventUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateAnyMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateOldRules(object, "reportingComponent", errors);
}

void ValidateNewEvent(const Value& object, Errors& errors) {
  ValidateOldRules(object, "reportingController", errors);
  ValidateMetadata(object.At("metadata"), true, NameIsSubdomain, MetadataPath(), errors);
  ValidateSeries(object.At("series"), errors);
  if (!IsSet(object.At("eventTime"))) errors.Required(Path("eventTime"));
  const std::string_view type = object.At("type").AsString();
  if (type != "Normal" && type != "Warning") {
    errors.Invalid(Path("type"), "", "has invalid value: " + std::string(type));
  }
  for (const std::string_view time : {"firstTimestamp", "lastTimestamp"}) {
    if (IsSet(object.At(time))) errors.Invalid(Path(time), "", kUnset);
  }
  if (object.At("count").AsInt() != 0) errors.Invalid(Path("count"), "", kUnset);
  const Value& source = object.At("source");
  if (!source.At("component").AsString().empty() || !source.At("host").AsString().empty()) {
    errors.Invalid(Path("source"), "", kUnset);
  }
}

void ValidateNewEventUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateOldRules(object, "reportingController", errors);
  if (!object.At("series").Equals(old.At("series"))) ValidateSeries(object.At("series"), errors);
  doc::Arena arena;
  const auto fixed = [&](std::string_view name, const Value& now, const Value& before) {
    if (!now.Equals(before)) errors.Invalid(Path(name), now, kImmutable);
  };
  const auto text = [&](std::string_view name, std::string_view member) {
    fixed(name, Value::Borrow(object.At(member).AsString()), Value::Borrow(old.At(member).AsString()));
  };
  fixed("involvedObject", InternalReference(object.At("involvedObject"), arena),
        InternalReference(old.At("involvedObject"), arena));
  text("reason", "reason");
  text("message", "message");
  fixed("source", InternalSource(object.At("source"), arena), InternalSource(old.At("source"), arena));
  fixed("firstTimestamp", object.At("firstTimestamp"), old.At("firstTimestamp"));
  fixed("lastTimestamp", object.At("lastTimestamp"), old.At("lastTimestamp"));
  fixed("count", Value::Int(object.At("count").AsInt()), Value::Int(old.At("count").AsInt()));
  text("type", "type");
  fixed("eventTime", object.At("eventTime"), old.At("eventTime"));
  text("action", "action");
  fixed("related", InternalReference(object.At("related"), arena), InternalReference(old.At("related"), arena));
  text("reportingController", "reportingComponent");
  text("reportingInstance", "reportingInstance");
}

}  // namespace knarr::api::validation
